package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"latchd/latch"
	"latchd/state"
	"latchd/syncer"
)

// The pages that show something and change nothing.

type queued struct {
	State  latch.State
	Count  int
	Oldest time.Time // when the oldest one was accepted; zero = there is none
}

type overviewPage struct {
	frame
	Status    Status
	Queue     []queued
	Budgets   syncer.CallBudgets
	Refused   *latch.Refusal
	ForPerson []needed
}

type needed struct {
	Outcome latch.Outcome
	Count   int
}

func (p *pages) overview(w http.ResponseWriter, r *http.Request, v *visit) error {
	ctx := r.Context()
	f, err := p.frame(ctx, v, "Overview", "overview")
	if err != nil {
		return err
	}
	out, err := p.s.status(w, r)
	if err != nil {
		return err
	}
	st, ok := out.(Status)
	if !ok {
		return errors.New("there is no status")
	}
	page := overviewPage{frame: f, Status: st, Budgets: p.s.sync.CallBudgets()}
	for _, state := range openStates {
		q := queued{State: state, Count: st.Requests[state]}
		if q.Oldest, err = p.oldest(ctx, state); err != nil {
			return err
		}
		page.Queue = append(page.Queue, q)
	}
	for _, o := range latch.OutcomesForPerson {
		if n := st.NeedPerson[string(o)]; n > 0 {
			page.ForPerson = append(page.ForPerson, needed{o, n})
		}
	}
	if page.Refused, err = p.refused(ctx); err != nil {
		return err
	}
	p.render(w, http.StatusOK, "overview", page)
	return nil
}

var openStates = []latch.State{latch.Pending, latch.Waiting, latch.Held, latch.Applying}

func (p *pages) oldest(ctx context.Context, s latch.State) (time.Time, error) {
	page, _, err := p.s.store.Requests(ctx, state.RequestFilter{States: []latch.State{s}}, "", 1)
	if err != nil || len(page) == 0 {
		return time.Time{}, err
	}
	return page[0].AcceptedAt, nil
}

// refused is the pull or survey that the last run refused; nil where it did not.
func (p *pages) refused(ctx context.Context) (*latch.Refusal, error) {
	runs, _, err := p.s.store.Runs(ctx, "", 1)
	if err != nil || len(runs) == 0 {
		return nil, err
	}
	return runs[0].Refused, nil
}

// row is a request with what its customer is latched to now.
type row struct {
	latch.Request
	Now     latch.AccountID // "" = no account, as far as is known here
	CanEdit bool            // somebody can still choose
}

type listPage struct {
	frame
	Rows    []row
	Filter  string // the outcome or state
	Choices []string
	Counts  map[string]int
	Path    string // the address of this page
	More    string // that of the next; "" = this is the last
	First   bool
}

func (p *pages) forPerson(w http.ResponseWriter, r *http.Request, v *visit) error {
	q := &params{r: r}
	var outcomes []latch.Outcome
	if q.text("outcome") != "" {
		outcomes = list(q, "outcome", latch.Outcome.NeedsPerson, latch.OutcomesForPerson)
	}
	if q.err != nil {
		return q.err
	}
	f, err := p.frame(r.Context(), v, "For a person", "person")
	if err != nil {
		return err
	}
	counts, err := p.s.store.CountNeedPerson(r.Context())
	if err != nil {
		return fmt.Errorf("counting what needs a person: %w", err)
	}
	page := listPage{frame: f, Filter: q.text("outcome"), Path: r.URL.RequestURI(), First: q.text("after") == "", Counts: map[string]int{}}
	for _, o := range latch.OutcomesForPerson {
		page.Choices = append(page.Choices, string(o))
		page.Counts[string(o)] = counts[o]
	}
	items, next, err := p.s.store.Requests(r.Context(), state.RequestFilter{ForPerson: true, Outcomes: outcomes}, q.text("after"), pageSize)
	if err != nil {
		return fmt.Errorf("listing what needs a person: %w", err)
	}
	if page.Rows, err = p.rows(r.Context(), items); err != nil {
		return err
	}
	page.More = more(r.URL, next)
	p.render(w, http.StatusOK, "person", page)
	return nil
}

func (p *pages) requests(w http.ResponseWriter, r *http.Request, v *visit) error {
	q := &params{r: r}
	states := list(q, "state", latch.State.Valid, openStates)
	if q.err != nil {
		return q.err
	}
	if len(states) != 1 || states[0] == latch.Done {
		return &usageError{"state wants one of pending, waiting, held, applying"}
	}
	f, err := p.frame(r.Context(), v, "Requests that are "+string(states[0]), "overview")
	if err != nil {
		return err
	}
	page := listPage{frame: f, Filter: string(states[0]), Path: r.URL.RequestURI(), First: q.text("after") == ""}
	for _, s := range openStates {
		page.Choices = append(page.Choices, string(s))
	}
	items, next, err := p.s.store.Requests(r.Context(), state.RequestFilter{States: states}, q.text("after"), pageSize)
	if err != nil {
		return fmt.Errorf("listing requests: %w", err)
	}
	if items, err = p.s.told(r.Context(), items...); err != nil {
		return err
	}
	if page.Rows, err = p.rows(r.Context(), items); err != nil {
		return err
	}
	page.More = more(r.URL, next)
	p.render(w, http.StatusOK, "requests", page)
	return nil
}

// more is the address of the next page of a list.
func more(u *url.URL, next string) string {
	if next == "" {
		return ""
	}
	q := u.Query()
	q.Set("after", next)
	return u.Path + "?" + q.Encode()
}

func (p *pages) rows(ctx context.Context, items []latch.Request) ([]row, error) {
	rows := make([]row, len(items))
	for i, r := range items {
		m, _, err := p.s.store.Mapping(ctx, r.Customer)
		if err != nil {
			return nil, fmt.Errorf("looking up customer %d: %w", r.Customer, err)
		}
		rows[i] = row{Request: r, Now: m.Account, CanEdit: needsPerson(r)}
	}
	return rows, nil
}

// needsPerson reports whether somebody has to look at a request, and nobody did.
func needsPerson(r latch.Request) bool {
	return r.State == latch.Done && r.Outcome.NeedsPerson() && r.AttendedAt.IsZero()
}

type requestPage struct {
	frame
	Row    row
	Events []StoryEvent
	Path   string
}

func (p *pages) request(w http.ResponseWriter, r *http.Request, v *visit) error {
	req, err := p.s.request(r.Context(), strings.ToUpper(r.PathValue("id")))
	if err != nil {
		return err
	}
	f, err := p.frame(r.Context(), v, "Request of customer "+req.Customer.String(), "")
	if err != nil {
		return err
	}
	rows, err := p.rows(r.Context(), []latch.Request{req})
	if err != nil {
		return err
	}
	entries, _, err := p.s.store.History(r.Context(), state.HistoryFilter{Request: req.ID}, "", maxEvents)
	if err != nil {
		return fmt.Errorf("reading the history: %w", err)
	}
	page := requestPage{frame: f, Row: rows[0], Path: r.URL.Path}
	for _, e := range entries {
		page.Events = append(page.Events, StoryEvent{Says: tell(e, &req), Entry: e})
	}
	p.render(w, http.StatusOK, "request", page)
	return nil
}

// shownHeld is how many held steps a page shows; the digest names them all.
const shownHeld = 200

type heldPage struct {
	frame
	Steps   []latch.Hold
	Total   int
	Digest  string
	Refused *latch.Refusal
}

func (p *pages) held(w http.ResponseWriter, r *http.Request, v *visit) error {
	f, err := p.frame(r.Context(), v, "Held", "held")
	if err != nil {
		return err
	}
	page := heldPage{frame: f}
	if page.Steps, page.Digest, page.Total, err = p.s.store.Held(r.Context(), shownHeld); err != nil {
		return fmt.Errorf("listing what is held: %w", err)
	}
	if page.Refused, err = p.refused(r.Context()); err != nil {
		return err
	}
	p.render(w, http.StatusOK, "held", page)
	return nil
}

type runsPage struct {
	frame
	Loop  syncer.LoopStatus
	Runs  []latch.Run
	More  string
	First bool
}

func (p *pages) runs(w http.ResponseWriter, r *http.Request, v *visit) error {
	f, err := p.frame(r.Context(), v, "Runs", "runs")
	if err != nil {
		return err
	}
	after := r.URL.Query().Get("after")
	runs, next, err := p.s.store.Runs(r.Context(), after, pageSize)
	if err != nil {
		return fmt.Errorf("listing runs: %w", err)
	}
	p.render(w, http.StatusOK, "runs", runsPage{f, p.s.sync.Status(), runs, more(r.URL, next), after == ""})
	return nil
}

type runPage struct {
	frame
	Run     latch.Run
	Loop    syncer.LoopStatus
	Entries []latch.Entry
	More    string
	First   bool
}

func (p *pages) run(w http.ResponseWriter, r *http.Request, v *visit) error {
	run, err := p.s.store.Run(r.Context(), strings.ToUpper(r.PathValue("id")))
	if err != nil {
		return err
	}
	f, err := p.frame(r.Context(), v, "Run", "runs")
	if err != nil {
		return err
	}
	after := r.URL.Query().Get("after")
	entries, next, err := p.s.store.History(r.Context(), state.HistoryFilter{Run: run.ID}, after, pageSize)
	if err != nil {
		return fmt.Errorf("reading the history of run %s: %w", run.ID, err)
	}
	p.render(w, http.StatusOK, "run", runPage{f, run, p.s.sync.Status(), entries, more(r.URL, next), after == ""})
	return nil
}

type storyPage struct {
	frame
	Story Story
}

func (p *pages) story(w http.ResponseWriter, r *http.Request, v *visit) error {
	out, err := p.s.why(w, r)
	if err != nil {
		return err
	}
	st, ok := out.(Story)
	if !ok {
		return errors.New("there is no story")
	}
	title := "Customer " + st.Customer.String()
	if st.Account != "" {
		title = "Account " + string(st.Account)
	}
	f, err := p.frame(r.Context(), v, title, "")
	if err != nil {
		return err
	}
	p.render(w, http.StatusOK, "story", storyPage{f, st})
	return nil
}

type searchPage struct {
	frame
	Problem string
}

// search leads to the story of a customer or account, or to a request.
func (p *pages) search(w http.ResponseWriter, r *http.Request, v *visit) error {
	text := strings.TrimSpace(r.URL.Query().Get("q"))
	f, err := p.frame(r.Context(), v, "Search", "")
	if err != nil {
		return err
	}
	f.Query = text
	page := searchPage{frame: f}
	status := http.StatusOK
	_, notRequest := ulid.ParseStrict(strings.ToUpper(text))
	customer, notCustomer := latch.ParseCustomerID(text)
	account, notAccount := latch.ParseAccountID(text)
	switch {
	case text == "":
	case notRequest == nil:
		redirect(w, r, "/requests/"+strings.ToUpper(text))
		return nil
	case notCustomer == nil:
		redirect(w, r, "/story/"+customer.String())
		return nil
	case notAccount == nil:
		redirect(w, r, "/story/"+string(account))
		return nil
	case strings.HasPrefix(text, latch.AccountPrefix):
		page.Problem, status = notAccount.Error(), http.StatusBadRequest
	default:
		page.Problem, status = fmt.Sprintf("%q is neither a customer (a number) nor an account (001 and 15 or 18 characters in all) nor a request (26 characters)", oneLine(text)), http.StatusBadRequest
	}
	p.render(w, status, "search", page)
	return nil
}

// Running is the answer of GET /progress.
type Running struct {
	Run   string `json:"run,omitempty"` // the id of the run under way; "" = none is
	Phase string `json:"phase,omitempty"`
	Text  string `json:"text"`
	Done  int    `json:"done"`
	Total int    `json:"total,omitempty"` // 0 = not known
}

// progress tells the script of a page how the run under way goes.
func (p *pages) progress(w http.ResponseWriter, r *http.Request, _ *visit) error {
	writeJSON(w, http.StatusOK, running(p.s.sync.Status()))
	return nil
}

func running(st syncer.LoopStatus) Running {
	if st.Progress == nil {
		return Running{Text: "No run is under way."}
	}
	n := Running{Run: st.Running, Phase: st.Progress.Phase, Done: st.Progress.Done, Total: st.Progress.Total, Text: capital(PhaseText(st.Progress.Phase))}
	if n.Total > 0 {
		n.Text += fmt.Sprintf(", %s of %s", thousands(n.Done), thousands(n.Total))
	} else if n.Done > 0 {
		n.Text += ", " + thousands(n.Done)
	}
	return n
}
