package sandbox

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// sessionIdle is how long a session lives after its last use.
const sessionIdle = 2 * time.Hour

// sessions knows the one access token that the integration user has at a time:
// grants in a row give the same one until it has expired, whichever flow asks.
type sessions struct {
	mu      sync.Mutex
	token   string
	used    time.Time
	granted uint64

	jwtKey any // public key; nil = signatures are not looked at
}

func newSessions() *sessions { return &sessions{} }

func (s *sessions) grant(orgID string, now time.Time, secret func(which, length int) string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token == "" || now.Sub(s.used) >= sessionIdle {
		s.granted++
		s.token = orgID[:15] + "!AQ" + secret(1000+int(s.granted), 93)
	}
	s.used = now
	return s.token
}

func (s *sessions) valid(token string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token == "" || token != s.token || now.Sub(s.used) >= sessionIdle {
		return false
	}
	s.used = now
	return true
}

// ExpireSessions ends every Salesforce session: the next call with its token gets
// 401, and the next grant a new token.
func (s *Sandbox) ExpireSessions() {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	s.sessions.token = ""
}

// signedIn lets calls pass that carry the token of a live session.
func (s *Sandbox) signedIn(serve func(*call) *answer) func(*call) *answer {
	return func(c *call) *answer {
		scheme, token, _ := strings.Cut(c.r.Header.Get("Authorization"), " ")
		known := strings.EqualFold(scheme, "Bearer") || strings.EqualFold(scheme, "OAuth")
		if !known || !s.sessions.valid(token, s.now()) {
			return sfError(http.StatusUnauthorized, "INVALID_SESSION_ID", "Session expired or invalid")
		}
		return serve(c)
	}
}

const (
	grantClientCredentials = "client_credentials"
	grantJWT               = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	grantPassword          = "password"
)

// token serves POST /services/oauth2/token.
func (s *Sandbox) token(c *call) *answer {
	if c.r.Method != http.MethodPost {
		return oauthError("invalid_request", "must use HTTP POST")
	}
	form, err := url.ParseQuery(string(c.body))
	if err != nil {
		return oauthError("invalid_request", "the body is no form")
	}
	for name, values := range c.query {
		if !form.Has(name) {
			form[name] = values
		}
	}
	if id, secret, ok := c.r.BasicAuth(); ok {
		form.Set("client_id", id)
		form.Set("client_secret", secret)
	}
	var refused *answer
	switch form.Get("grant_type") {
	case grantClientCredentials:
		refused = s.checkClient(form)
	case grantJWT:
		refused = s.checkAssertion(form.Get("assertion"), baseURL(c.r))
	case grantPassword:
		if refused = s.checkClient(form); refused == nil {
			refused = s.checkPassword(form.Get("username"), form.Get("password"))
		}
	case "":
		refused = oauthError("invalid_request", "missing required parameter: grant_type")
	default:
		refused = oauthError("unsupported_grant_type", "grant type not supported")
	}
	if refused != nil {
		return refused
	}
	now := s.now()
	base := baseURL(c.r)
	// There is no expires_in: a session ends when it has not been used for a while.
	a := jsonAnswer(http.StatusOK, struct {
		AccessToken    string `json:"access_token"`
		Signature      string `json:"signature"`
		Scope          string `json:"scope"`
		InstanceURL    string `json:"instance_url"`
		ID             string `json:"id"`
		TokenType      string `json:"token_type"`
		IssuedAt       string `json:"issued_at"`
		APIInstanceURL string `json:"api_instance_url"`
	}{
		s.sessions.grant(s.org.id, now, s.seed.secret), s.seed.secret(5, 43) + "=", "api",
		base, base + "/id/" + s.org.id + "/" + s.org.userID, "Bearer",
		strconv.FormatInt(now.UnixMilli(), 10), base,
	})
	a.header.Set("Cache-Control", "no-cache, no-store")
	return a
}

func (s *Sandbox) checkClient(form url.Values) *answer {
	switch {
	case form.Get("client_id") != s.org.clientID:
		return oauthError("invalid_client_id", "client identifier invalid")
	case form.Get("client_secret") != s.org.clientSecret:
		return oauthError("invalid_client", "invalid client credentials")
	}
	return nil
}

func (s *Sandbox) checkPassword(username, password string) *answer {
	if s.variants.get(VariantPasswordFlow) != "allowed" || username != s.org.username || password != s.Password()+s.SecurityToken() {
		return oauthError("invalid_grant", "authentication failure")
	}
	return nil
}

// userinfo serves /services/oauth2/userinfo and the identity URL.
func (s *Sandbox) userinfo(c *call) *answer {
	base := baseURL(c.r)
	id := base + "/id/" + s.org.id + "/" + s.org.userID
	return jsonAnswer(http.StatusOK, map[string]any{
		"sub": id, "id": id, "user_id": s.org.userID, "organization_id": s.org.id,
		"preferred_username": s.org.username, "username": s.org.username, "name": "Integration User",
		"active": true, "user_type": "STANDARD", "language": "en_US", "locale": "en_US",
		"urls": map[string]string{
			"rest":     base + "/services/data/v{version}/",
			"sobjects": base + "/services/data/v{version}/sobjects/",
			"query":    base + "/services/data/v{version}/query/",
		},
	})
}
