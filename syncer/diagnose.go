package syncer

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"latchd/sfclient"
	"latchd/staxbill"
)

// Finding of one check.
const (
	CheckOK      = "ok"
	CheckWarning = "warning" // works, and is unwise or will not for long
	CheckFailed  = "failed"
	CheckSkipped = "skipped"
)

// Check is one thing that was looked at, what was seen, and what to do.
type Check struct {
	Name   string `json:"check"`
	Result string `json:"result"`
	Detail string `json:"detail"`
	Hint   string `json:"hint,omitempty"`
	// Later says that it failed for now: a service cannot be reached, or a limit is
	// spent.
	Later bool `json:"later,omitempty"`
}

const (
	clockWarn   = 30 * time.Second // assertions and watermarks bear it
	clockFail   = 150 * time.Second
	certWarn    = 14 * 24 * time.Hour
	limitWarn   = 20 // percent left
	newestToSay = 3  // versions behind which nobody need care
)

// Diagnose looks at both services as a run would meet them: five calls, none of
// which changes anything, and it needs neither a mapping nor an index. A check
// that needs one that failed is skipped.
func (s *Syncer) Diagnose(ctx context.Context) []Check {
	d := &diagnosis{s: s, ctx: ctx}
	if s.sf == nil || s.sb == nil {
		d.add(Check{Name: "services", Result: CheckSkipped, Detail: "the settings for them are incomplete", Hint: "latchd config check"})
		return d.checks
	}
	if d.salesforceReached() && d.signedIn() {
		d.visible()
		d.salesforceLimit()
	}
	d.staxBill()
	return d.checks
}

type diagnosis struct {
	s      *Syncer
	ctx    context.Context
	checks []Check
}

func (d *diagnosis) add(c Check) { d.checks = append(d.checks, c) }

func (d *diagnosis) failed(name string, err error) {
	c := Check{Name: name, Result: CheckFailed, Detail: err.Error(), Hint: Hint(err)}
	switch e := err.(type) {
	case *sfclient.Error:
		c.Later = e.Unreachable() || e.Limited()
	case *staxbill.Error:
		c.Later = e.Unreachable() || e.Limited()
	}
	d.add(c)
}

func (d *diagnosis) salesforceReached() bool {
	look, err := d.s.sf.Look(d.ctx)
	if err != nil {
		d.failed("Salesforce reached", err)
		return false
	}
	d.add(reached("Salesforce reached", look.TLS, look.CertEnds, d.s.now()))
	d.clock("clock against Salesforce", look.Now)
	d.version(look.Versions)
	return true
}

func reached(name, tls string, ends, now time.Time) Check {
	c := Check{Name: name, Result: CheckOK, Detail: "its name resolves and it answers"}
	if tls != "" {
		c.Detail += fmt.Sprintf(", over %s, with a certificate until %s", tls, ends.UTC().Format(time.DateOnly))
	}
	if !ends.IsZero() && ends.Sub(now) < certWarn {
		c.Result, c.Hint = CheckWarning, "a proxy that breaks TLS may stand in between with a certificate of its own"
	}
	return c
}

func (d *diagnosis) clock(name string, theirs time.Time) {
	if theirs.IsZero() {
		d.add(Check{Name: name, Result: CheckSkipped, Detail: "it tells no time"})
		return
	}
	off := d.s.now().Sub(theirs).Round(time.Second)
	c := Check{Name: name, Result: CheckOK, Detail: "they agree within a few seconds"}
	if off.Abs() > clockWarn {
		ahead := "ahead of"
		if off < 0 {
			ahead = "behind"
		}
		c.Result, c.Detail, c.Hint = CheckWarning, fmt.Sprintf("this machine's clock is %s %s theirs", off.Abs(), ahead), "set the clock (timedatectl set-ntp true): JWT sign-ins fail, and times in the history are wrong"
		if off.Abs() > clockFail {
			c.Result = CheckFailed
		}
	}
	d.add(c)
}

// version says whether the org has the version that is asked for.
func (d *diagnosis) version(versions []string) {
	const name = "Salesforce API version"
	have := d.s.sf.APIVersion()
	number := func(v string) float64 {
		n, _ := strconv.ParseFloat(v, 64) // Look lets nothing else through
		return n
	}
	newest := slices.MaxFunc(append([]string{have}, versions...), func(a, b string) int { return int(number(a)) - int(number(b)) })
	c := Check{Name: name, Result: CheckOK, Detail: fmt.Sprintf("%s; the org's newest is %s", have, newest)}
	switch {
	case !slices.Contains(versions, have):
		c.Result, c.Detail, c.Hint = CheckFailed, fmt.Sprintf("the org does not have %s", have), "set salesforce.api_version to one that it has, such as "+versions[len(versions)-1]
	case number(newest)-number(have) > 3*newestToSay:
		c.Result, c.Hint = CheckWarning, "raise salesforce.api_version some day: versions are retired after three years and more"
	}
	d.add(c)
}

func (d *diagnosis) signedIn() bool {
	const name = "Salesforce sign-in"
	org, err := d.s.sf.SignIn(d.ctx) // a session kept from earlier would tell nothing of now
	if err != nil {
		d.failed(name, err)
		return false
	}
	c := Check{Name: name, Result: CheckOK, Detail: fmt.Sprintf("org %s, by %s", org, d.s.sf.Flow())}
	bound, err := d.s.store.Binding(d.ctx)
	if err == nil && bound.OrgID != "" && bound.OrgID != org {
		c.Result, c.Detail, c.Hint = CheckFailed, fmt.Sprintf("this is org %s, and the state belongs to org %s", org, bound.OrgID), "give salesforce.login_url of that org, or another state.path"
	}
	d.add(c)
	return true
}

func (d *diagnosis) visible() {
	const name = "accounts visible"
	n, err := d.s.sf.CountVisible(d.ctx)
	if err != nil {
		d.failed(name, err)
		return
	}
	info, err := d.s.store.IndexInfo(d.ctx)
	if err != nil {
		d.failed(name, fmt.Errorf("reading the account index: %w", err))
		return
	}
	c := Check{Name: name, Result: CheckOK, Detail: fmt.Sprintf("%d, and the last complete pull had %d", n, info.Count)}
	const hint = "give the integration user View All on Account: what it does not see counts as not there"
	most := d.s.settings().Limits.MaxLostAccountsPercent
	switch {
	case n == 0:
		c.Result, c.Detail, c.Hint = CheckFailed, "none", hint
	case info.LastFull.IsZero():
		c.Detail, c.Hint = fmt.Sprintf("%d; there was no pull yet", n), "compare it with the org's number of accounts: without View All on Account some are missing"
	case most > 0 && info.Count-n > info.Count*most/100:
		c.Result, c.Detail, c.Hint = CheckFailed, fmt.Sprintf("only %d, and the last complete pull had %d", n, info.Count), hint
	}
	d.add(c)
}

func (d *diagnosis) salesforceLimit() {
	const name = "Salesforce calls left"
	u := d.s.sf.Usage()
	if u.Max == 0 {
		d.add(Check{Name: name, Result: CheckSkipped, Detail: "the org does not tell"})
		return
	}
	d.add(left(name, u.Max-u.Used, u.Max, "of 24 hours", "find who spends them: Setup, Company Information, API Requests, Last 24 Hours"))
}

func (d *diagnosis) staxBill() {
	look, err := d.s.sb.Look(d.ctx)
	if err != nil {
		d.failed("Stax Bill key", err)
		return
	}
	c := Check{Name: "Stax Bill key", Result: CheckOK, Detail: "it is taken"}
	if look.Customers >= 0 {
		c.Detail = fmt.Sprintf("it is taken, and sees %d customers", look.Customers)
	}
	if look.Customers == 0 {
		c.Result, c.Hint = CheckWarning, "this may be another environment than you think: check staxbill.base_url and the key"
	}
	d.add(c)
	d.clock("clock against Stax Bill", look.Now)
	b := d.s.sb.Budget()
	if !b.Known || b.LimitDay <= 0 {
		d.add(Check{Name: "Stax Bill calls left", Result: CheckSkipped, Detail: "the service does not tell"})
		return
	}
	d.add(left("Stax Bill calls left", b.RemainingDay, b.LimitDay, fmt.Sprintf("of the day, %d a minute", b.LimitMinute), "the key has other users, or latchd has much to do: it goes on tomorrow"))
}

func left(name string, n, most int, of, hint string) Check {
	c := Check{Name: name, Result: CheckOK, Detail: fmt.Sprintf("%d of %d %s", max(n, 0), most, of)}
	switch {
	case n <= 0:
		c.Result, c.Hint, c.Later = CheckFailed, hint, true
	case n*100 < most*limitWarn:
		c.Result, c.Hint = CheckWarning, hint
	}
	return c
}
