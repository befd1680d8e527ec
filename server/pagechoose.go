package server

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"latchd/latch"
)

// mayNotForce is told to who signed in with a key without allow_force.
const mayNotForce = "The key that you signed in with may not force a latch: server.api_keys gives it no allow_force"

// sourcePage is the source of requests that are filed on the page.
const sourcePage = "page"

// A choice is made in two steps: a page that says in words what would happen,
// and a form on it that does just that.

type choice struct {
	title string // of the page that asks
	do    string // on the button
	// requests says that it is about requests, one or more of them.
	requests bool
	danger   bool
	shows    func(p *pages, ctx context.Context, c *confirmPage, q url.Values) error
	acts     func(p *pages, ctx context.Context, by string, form url.Values) (notice string, err error)
}

var choices = map[string]choice{
	"dismiss": {title: "Keep it as it is?", do: "Keep it as it is", requests: true, shows: (*pages).showDismiss, acts: (*pages).dismiss},
	"retry":   {title: "Ask again?", do: "Ask again", requests: true, shows: (*pages).showRetry, acts: (*pages).retry},
	"force":   {title: "Latch it to the account asked for, by force?", do: "Force it", requests: true, danger: true, shows: (*pages).showForce, acts: (*pages).force},
	"cancel":  {title: "Take it back?", do: "Take it back", requests: true, danger: true, shows: (*pages).showCancel, acts: (*pages).cancel},
	"approve": {title: "Approve what is held?", do: "Approve exactly this", danger: true, shows: (*pages).showHeld, acts: (*pages).approve},
	"reject":  {title: "Reject what is held?", do: "Reject exactly this", danger: true, shows: (*pages).showHeld, acts: (*pages).reject},
	"pause":   {title: "Pause writes to Stax Bill?", do: "Pause", danger: true, shows: (*pages).showPause, acts: (*pages).pause},
	"resume":  {title: "Resume writes to Stax Bill?", do: "Resume", shows: (*pages).showPause, acts: (*pages).resume},
}

// hidden is one value that the form of a confirmation carries.
type hidden struct{ Name, Value string }

type confirmPage struct {
	frame
	Choice  string
	Do      string
	Danger  bool
	Back    string
	Says    []string // what will happen
	Rows    []row    // the requests that it is about
	Steps   []latch.Hold
	Total   int // of the steps
	Digest  string
	Refused *latch.Refusal
	Left    []string // what is not done, and why
	Nothing bool     // there is nothing to do
	Form    []hidden
	Reason  bool // it takes a reason
}

func (p *pages) confirm(w http.ResponseWriter, r *http.Request, v *visit) error {
	name := r.PathValue("choice")
	c, ok := choices[name]
	if !ok {
		return &usageError{"there is no such choice"}
	}
	f, err := p.frame(r.Context(), v, c.title, "")
	if err != nil {
		return err
	}
	q := r.URL.Query()
	page := confirmPage{frame: f, Choice: name, Do: c.do, Danger: c.danger, Back: localPath(q.Get("back"))}
	if c.requests && len(q["id"]) == 0 {
		page.Says, page.Nothing = []string{"No request was chosen. Go back and tick some."}, true
	} else if name == "force" && !v.key.AllowForce {
		page.Says, page.Nothing = []string{mayNotForce + "."}, true
	} else if err := c.shows(p, r.Context(), &page, q); err != nil {
		return err
	}
	page.Form = append(page.Form, hidden{"back", page.Back})
	p.render(w, http.StatusOK, "confirm", page)
	return nil
}

// choose does what was confirmed.
func (p *pages) choose(w http.ResponseWriter, r *http.Request, v *visit) error {
	c, ok := choices[r.PathValue("choice")]
	if !ok {
		return &usageError{"there is no such choice"}
	}
	if c.requests && len(r.PostForm["id"]) > pageSize {
		return &usageError{fmt.Sprintf("at most %d requests at once", pageSize)}
	}
	notice, err := c.acts(p, context.WithValue(r.Context(), keyKey{}, &v.key), v.key.by(), r.PostForm)
	if err != nil {
		return err
	}
	p.sessions.tell(v.id, notice)
	redirect(w, r, localPath(r.PostForm.Get("back")))
	return nil
}

// chosen loads the requests that a confirmation is about, and puts those into
// the form that fit.
func (p *pages) chosen(ctx context.Context, c *confirmPage, q url.Values, fits func(row) string) error {
	ids := q["id"]
	if len(ids) > pageSize {
		return &usageError{fmt.Sprintf("at most %d requests at once", pageSize)}
	}
	for _, id := range slices.Compact(slices.Sorted(slices.Values(ids))) {
		req, err := p.s.store.Request(ctx, id)
		if err != nil {
			return err
		}
		rows, err := p.rows(ctx, []latch.Request{req})
		if err != nil {
			return err
		}
		if why := fits(rows[0]); why != "" {
			c.Left = append(c.Left, fmt.Sprintf("Request %s of customer %d is left out: %s.", req.ID, req.Customer, why))
			continue
		}
		c.Rows = append(c.Rows, rows[0])
		c.Form = append(c.Form, hidden{"id", req.ID})
	}
	c.Nothing = len(c.Rows) == 0
	return nil
}

func fitsPerson(r row) string {
	switch {
	case !r.AttendedAt.IsZero():
		return "somebody saw to it already"
	case !r.CanEdit:
		return "nobody has to look at it"
	}
	return ""
}

func (p *pages) showDismiss(ctx context.Context, c *confirmPage, q url.Values) error {
	if err := p.chosen(ctx, c, q, fitsPerson); err != nil || c.Nothing {
		return err
	}
	for _, r := range c.Rows {
		now := "latched to no account, as far as is known here"
		if r.Now != "" {
			now = "latched to account " + string(r.Now)
		}
		c.Says = append(c.Says, fmt.Sprintf("Customer %d stays as it is (%s). The request for account %s leaves this list; it ended as %s, and the history keeps that.", r.Customer, now, r.Account, r.Outcome))
	}
	c.Says = append(c.Says, "No call goes to Stax Bill.")
	return nil
}

func (p *pages) dismiss(ctx context.Context, by string, form url.Values) (string, error) {
	done, refused, err := p.s.sync.Dismiss(ctx, form["id"], by)
	if err != nil {
		return "", err
	}
	return sumUp("%s left as it is.", "%s left as they are.", len(done), refused), nil
}

func (p *pages) showRetry(ctx context.Context, c *confirmPage, q url.Values) error {
	if err := p.chosen(ctx, c, q, fitsPerson); err != nil || c.Nothing {
		return err
	}
	for _, r := range c.Rows {
		force := "without force"
		if r.Force {
			force = "by force, as it was asked for"
			if r.OnlyFrom != "" {
				force += ", and only away from " + string(r.OnlyFrom)
			}
		}
		c.Says = append(c.Says, fmt.Sprintf("A new request asks that customer %d be latched to account %s, %s. The next run reads both afresh and decides.", r.Customer, r.Account, force))
	}
	return nil
}

func (p *pages) retry(ctx context.Context, by string, form url.Values) (string, error) {
	done, refused, err := p.s.retry(ctx, form["id"], by)
	if err != nil {
		return "", err
	}
	return sumUp("%s asked for again.", "%s asked for again.", len(done), refused), nil
}

func (p *pages) showForce(ctx context.Context, c *confirmPage, q url.Values) error {
	err := p.chosen(ctx, c, q, func(r row) string {
		switch why := fitsPerson(r); {
		case why != "":
			return why
		case r.Outcome != latch.Conflict:
			return fmt.Sprintf("it ended as %s, where force changes nothing; ask again instead", r.Outcome)
		case r.Now == "":
			return "its customer is latched to no account, as far as is known here; ask again instead"
		case r.Now == r.Account:
			return "its customer has the account asked for by now"
		}
		return ""
	})
	if err != nil || c.Nothing {
		return err
	}
	for _, r := range c.Rows {
		c.Says = append(c.Says, fmt.Sprintf("A new request takes account %s off customer %d and attaches account %s. Should the customer have another account by then, nothing happens and it is a conflict again.", r.Now, r.Customer, r.Account))
		c.Form = append(c.Form, hidden{"from", string(r.Now)}, hidden{"to", string(r.Account)})
	}
	c.Says = append(c.Says, "The guard counts it: beyond its limits it is held until it is approved. latchd undo --request puts it back.")
	return nil
}

// force files requests for exactly what was shown: id, from and to of each.
func (p *pages) force(ctx context.Context, by string, form url.Values) (string, error) {
	if !mayForceIn(ctx) {
		return "", &forceError{mayNotForce}
	}
	ids, from, to := form["id"], form["from"], form["to"]
	if len(ids) == 0 || len(from) != len(ids) || len(to) != len(ids) {
		return "", &usageError{"the form is not as it was made"}
	}
	filed, refused := 0, map[string]string{}
	for i, id := range ids {
		req, err := p.s.store.Request(ctx, id)
		if err != nil {
			return "", err
		}
		switch {
		case !needsPerson(req):
			refused[id] = "somebody saw to it already"
			continue
		case string(req.Account) != to[i] || from[i] == "" || req.Outcome != latch.Conflict:
			refused[id] = "it is not as it was shown"
			continue
		}
		_, err = p.s.sync.File(ctx, latch.Filing{
			Customer: req.Customer, Account: req.Account, Force: true, OnlyFrom: latch.AccountID(from[i]),
			Source: sourcePage, By: by, RetryOf: req.ID, Interactive: true,
		})
		if err != nil {
			return "", err
		}
		filed++
	}
	return sumUp("%s asked for by force.", "%s asked for by force.", filed, refused), nil
}

func (p *pages) showCancel(ctx context.Context, c *confirmPage, q url.Values) error {
	err := p.chosen(ctx, c, q, func(r row) string {
		if r.State == latch.Done {
			return fmt.Sprintf("it is done (%s)", r.Outcome)
		}
		return ""
	})
	if err != nil || c.Nothing {
		return err
	}
	for _, r := range c.Rows {
		c.Says = append(c.Says, fmt.Sprintf("The request that customer %d be latched to account %s ends as cancelled, unless a call for it may still take effect.", r.Customer, r.Account))
	}
	return nil
}

func (p *pages) cancel(ctx context.Context, by string, form url.Values) (string, error) {
	done, refused, err := p.s.sync.Cancel(ctx, form["id"], by)
	if err != nil {
		return "", err
	}
	return sumUp("%s taken back.", "%s taken back.", len(done), refused), nil
}

// showHeld shows what a digest names, for approve and reject.
func (p *pages) showHeld(ctx context.Context, c *confirmPage, q url.Values) error {
	c.Back = "/held"
	c.Digest = q.Get("digest")
	refused, err := p.refused(ctx)
	if err != nil {
		return err
	}
	held, current, total, err := p.s.store.Held(ctx, shownHeld)
	if err != nil {
		return fmt.Errorf("listing what is held: %w", err)
	}
	switch {
	case c.Digest == "":
		return &usageError{"digest wants what names the held steps"}
	case refused != nil && refused.Digest == c.Digest:
		c.Refused = refused
		says := fmt.Sprintf("The next %s that loses exactly these %s is taken, although %s allows %d percent.", refused.Kind, thousands(refused.Lost), refused.Setting, refused.Percent)
		if c.Choice == "reject" {
			says = fmt.Sprintf("The refused %s is forgotten; it is refused again when it loses as much.", refused.Kind)
		}
		c.Says = []string{says}
	case current == c.Digest:
		c.Total, c.Steps = total, held
		says := fmt.Sprintf("Exactly these %s go out with the next run, each as long as its customer has the account shown. What changed is held again.", steps(total))
		if c.Choice == "reject" {
			says = fmt.Sprintf("The requests of these %s end as rejected. Nothing changes in Stax Bill.", steps(total))
		}
		c.Says = []string{says}
	default:
		c.Says, c.Nothing = []string{"What is held has changed since you looked. Go back and look at it again."}, true
	}
	c.Form = append(c.Form, hidden{"digest", c.Digest})
	return nil
}

func steps(n int) string {
	if n == 1 {
		return "1 step"
	}
	return thousands(n) + " steps"
}

func (p *pages) approve(ctx context.Context, by string, form url.Values) (string, error) {
	res, err := p.s.sync.Approve(ctx, form.Get("digest"), by)
	if err != nil {
		return "", err
	}
	if res.Refusal != nil {
		return fmt.Sprintf("The next %s may lose exactly this.", res.Refusal.Kind), nil
	}
	return fmt.Sprintf("Approved: %s.%s", steps(len(res.Released)), gone(res.Gone)), nil
}

func (p *pages) reject(ctx context.Context, by string, form url.Values) (string, error) {
	res, err := p.s.sync.Reject(ctx, form.Get("digest"), by)
	if err != nil {
		return "", err
	}
	if res.Refusal != nil {
		return fmt.Sprintf("The refused %s is forgotten.", res.Refusal.Kind), nil
	}
	return fmt.Sprintf("Rejected: %s.%s", steps(len(res.Released)), gone(res.Gone)), nil
}

func gone(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" No longer so: %s.", steps(n))
}

func (p *pages) showPause(_ context.Context, c *confirmPage, _ url.Values) error {
	switch {
	case c.Choice == "pause" && c.Paused != nil:
		c.Says, c.Nothing = []string{"Writes are paused already."}, true
	case c.Choice == "pause":
		c.Reason = true
		c.Says = []string{"Calls under way are settled; no further one goes to Stax Bill until somebody resumes, also after a restart. Requests are accepted all the same."}
	case c.Paused == nil:
		c.Says, c.Nothing = []string{"Writes are not paused."}, true
	default:
		c.Says = []string{"A run begins at once and goes on with what waits."}
	}
	return nil
}

func (p *pages) pause(ctx context.Context, by string, form url.Values) (string, error) {
	reason := strings.TrimSpace(form.Get("reason"))
	if err := checkReason(reason); err != nil {
		return "", err
	}
	_, settled, err := p.s.sync.Pause(ctx, reason, by)
	if err != nil {
		return "", err
	}
	if !settled {
		return "Writes are paused. A call is still under way; it is settled and none follows.", nil
	}
	return "Writes are paused. No call is under way.", nil
}

func (p *pages) resume(ctx context.Context, by string, _ url.Values) (string, error) {
	if _, err := p.s.sync.Resume(ctx, by); err != nil {
		return "", err
	}
	return "Writes are resumed.", nil
}

// sumUp says what was done, and what was not and why.
func sumUp(one, many string, n int, refused map[string]string) string {
	text := ""
	switch {
	case n == 1:
		text = fmt.Sprintf(one, "1 request")
	case n > 1 || len(refused) == 0:
		text = fmt.Sprintf(many, thousands(n)+" requests")
	}
	ids := make([]string, 0, len(refused))
	for id := range refused {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		text += fmt.Sprintf(" Request %s was left out: %s.", id, refused[id])
	}
	return strings.TrimSpace(text)
}
