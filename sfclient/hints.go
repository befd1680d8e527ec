package sfclient

import (
	"net/http"
	"strings"
)

// hints explain Salesforce's refusals of a sign-in by what stands in them. The
// list is from help.salesforce.com (remoteaccess_oauth_flow_errors) and from
// what integrators report.
var hints = []struct{ in, hint string }{ // in: lower case
	{"request not supported on this domain", "salesforce.login_url has to be the org's My Domain address, https://NAME.my.salesforce.com"},
	{"no client credentials user enabled", "choose a run-as user in the app's policies, client credentials flow"},
	{"no valid scopes defined", "give the app the scope \"Manage user data via APIs (api)\""},
	{"user hasn't approved this consumer", "pre-authorise the user: in the app's policies choose \"Admin approved users are pre-authorized\" and assign its permission set"},
	{"user is not admin approved", "assign the app's permission set or profile to the integration user"},
	{"audience", "salesforce.auth.audience has to be https://login.salesforce.com, https://test.salesforce.com for a sandbox, or the site's address"},
	{"app must be installed into org", "the app has to be installed in this org: Setup, Connected Apps OAuth Usage, Install"},
	{"client identifier invalid", "salesforce.auth.client_id is not the consumer key of an app of this org"},
	{"invalid_client_id", "salesforce.auth.client_id is not the consumer key of an app of this org"},
	{"invalid client credentials", "the consumer secret does not belong to the consumer key; it may have been rotated"},
	{"expired authorization code", "the assertion was too old when it arrived: check this machine's clock"},
	{"expired access/refresh token", "pre-authorise the user: in the app's policies choose \"Admin approved users are pre-authorized\" and assign its permission set"},
	{"inactive user", "the integration user is frozen or inactive"},
	{"inactive_user", "the integration user is frozen or inactive"},
	{"inactive_org", "the org is closed or suspended"},
	{"login_rate_exceeded", "too many sign-ins of this user in an hour; something else signs in with it"},
	{"rate_limit_exceeded", "too many sign-ins of this user in an hour; something else signs in with it"},
	{"unsupported_grant_type", "enable this flow in the app's OAuth settings"},
	{"a redirect", "salesforce.login_url has to be the org's My Domain address, https://NAME.my.salesforce.com"},
	{"no oauth error", "salesforce.login_url may not be the org's My Domain address; otherwise see the integration user's login history in Setup"},
	{"session that it gave", "the sign-in works and its session does not: see IP restrictions, session policy and \"API Enabled\" of the integration user"},
	{"invalid_login", "the username, password or security token is wrong, or the user is locked: see the user's login history in Setup; a changed password brings a new security token"},
	{"password has expired", "set a new password for the integration user, with one that never expires, or change to client_credentials"},
	{"login() is disabled", "this org has no SOAP login: use client_credentials or jwt_bearer (salesforce.auth.flow)"},
	{"soap api login", "this org has no SOAP login: use client_credentials or jwt_bearer (salesforce.auth.flow)"},
	{"no soap fault", "salesforce.login_url may not be the org's My Domain address; otherwise see the integration user's login history in Setup"},
	{"authentication failure", "the user, password or flow is refused: see the user's login history in Setup"},
	{"api_disabled_for_org", "the org's edition has no API access"},
	{"api_currently_disabled", "give the integration user the permission \"API Enabled\""},
}

// Hint is what the operator can do, "" where nothing is known.
func (e *Error) Hint() string {
	switch e.Kind {
	case KindDailyLimit:
		return "the org's API calls of 24 hours are spent: find who spends them in Setup, Company Information, or wait; requests are kept"
	case KindBudget:
		return "latchd leaves the rest of the org's calls to others; raise salesforce.max_api_usage_percent or wait; requests are kept"
	case KindConcurrentLimit:
		return "other programs run long calls in this org; latchd tries again"
	case KindTransient, KindKeptBack:
		if e.Code == codeCursorGone {
			return "the rest of a pull was there no more; the next pull begins anew"
		}
		return "see status.salesforce.com and this machine's network; latchd tries again, requests are kept"
	case KindBulkRefused, KindBulkGone:
		return "latchd pulls by REST instead, at a call for 2,000 accounts; see Setup, Bulk Data Load Jobs, for what became of the job"
	case KindVersionRetired:
		return "raise salesforce.api_version"
	case KindPermission:
		return "give the integration user Read and View All on Account, and API Enabled"
	case KindMalformed:
		return "something between here and Salesforce changes its answers, such as a proxy; or salesforce.login_url is another address"
	case KindBadQuery:
		if e.Status == http.StatusNotFound {
			return "salesforce.api_version may be one that this org does not have yet, or the integration user may not see Account"
		}
		return "this is a fault of latchd, or the integration user may not see a field that it asks for; please report it"
	}
	text := strings.ToLower(e.Code + " " + e.Message)
	for _, h := range hints {
		if strings.Contains(text, h.in) {
			return h.hint
		}
	}
	if e.Kind == KindAuth {
		return "see the integration user's login history in Setup"
	}
	return ""
}
