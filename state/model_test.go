package state

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"latchd/latch"
)

// model is a small memory of what the queue should be: the open requests of
// each customer in the order of acceptance.
type model struct {
	s     *Store
	now   time.Time
	all   map[string]*modelRequest
	order map[latch.CustomerID][]*modelRequest // open ones, oldest first
	quiet map[latch.CustomerID]latch.Quiet
	at    map[latch.CustomerID]latch.AccountID // the mapping
}

type modelRequest struct {
	id          string
	customer    latch.CustomerID
	account     latch.AccountID
	force       bool
	interactive bool
	state       latch.State
	next        time.Time
	outcome     latch.Outcome
	intent      bool
	sent        latch.Intent
}

// TestQueueAgainstModel drives requests, queue, intents and settling at random.
// After each step the states, the queue and the mapping are those of the model,
// and a check of the file, which recounts every counter, finds nothing.
func TestQueueAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "latchd-model-*")
		noErr(t, err)
		defer os.RemoveAll(dir)
		file := filepath.Join(dir, "latchd.db")
		noErr(t, create(Options{Path: file}))
		f, err := os.OpenFile(file, os.O_RDWR, 0)
		noErr(t, err)
		s := newStore(Options{Path: file})
		noErr(t, s.start(t.Context(), f, true)) // without syncing, for speed
		defer s.Close()
		m := &model{
			s: s, now: t0, all: map[string]*modelRequest{}, order: map[latch.CustomerID][]*modelRequest{},
			quiet: map[latch.CustomerID]latch.Quiet{}, at: map[latch.CustomerID]latch.AccountID{},
		}
		t.Repeat(map[string]func(*rapid.T){
			"file":   m.file,
			"begin":  m.begin,
			"settle": m.settle,
			"record": m.record,
			"cancel": m.cancel,
			"time": func(t *rapid.T) {
				m.now = m.now.Add(time.Duration(rapid.IntRange(1, 30).Draw(t, "minutes")) * time.Minute)
			},
			"": m.compare,
		})
	})
}

func noErr(t *rapid.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (m *model) head(c latch.CustomerID) *modelRequest {
	if len(m.order[c]) == 0 {
		return nil
	}
	return m.order[c][0]
}

func (m *model) end(r *modelRequest, o latch.Outcome) {
	r.state, r.outcome, r.intent = latch.Done, o, false
	m.order[r.customer] = slices.DeleteFunc(m.order[r.customer], func(x *modelRequest) bool { return x == r })
}

func (m *model) isQuiet(c latch.CustomerID) bool { return m.now.Before(m.quiet[c].Until) }

func (m *model) file(t *rapid.T) {
	f := latch.Filing{
		Customer:    latch.CustomerID(rapid.IntRange(1, 4).Draw(t, "customer")),
		Account:     acc(rapid.IntRange(1, 3).Draw(t, "account")),
		Force:       rapid.Bool().Draw(t, "force"),
		Interactive: rapid.Bool().Draw(t, "interactive"),
		Source:      "model",
	}
	filed, err := m.s.File(t.Context(), "", []latch.Filing{f}, m.now)
	noErr(t, err)
	got := filed[0]
	open := m.order[f.Customer]
	if n := len(open); n > 0 && open[n-1].account == f.Account && open[n-1].force == f.Force {
		if !got.Known || got.Request.ID != open[n-1].id {
			t.Fatalf("filed %+v, want the known %s", got, open[n-1].id)
		}
		return
	}
	if got.Known {
		t.Fatalf("filed %+v, want a new one", got)
	}
	for _, r := range slices.Clone(open) {
		if (r.state == latch.Waiting || r.state == latch.Held) && r.account != f.Account && !r.intent {
			m.end(r, latch.Superseded)
		}
	}
	r := &modelRequest{id: got.Request.ID, customer: f.Customer, account: f.Account, force: f.Force, interactive: f.Interactive, state: latch.Pending}
	for id := range m.all {
		if id >= r.id {
			t.Fatalf("the id %s is not above %s", r.id, id)
		}
	}
	m.all[r.id] = r
	m.order[f.Customer] = append(m.order[f.Customer], r)
}

// pick draws one open request; nil when there is none.
func (m *model) pick(t *rapid.T, fits func(*modelRequest) bool) *modelRequest {
	var open []*modelRequest
	for c := latch.CustomerID(1); c <= 4; c++ {
		for _, r := range m.order[c] {
			if fits(r) {
				open = append(open, r)
			}
		}
	}
	if len(open) == 0 {
		t.Skip("none")
	}
	return rapid.SampledFrom(open).Draw(t, "request")
}

func (m *model) begin(t *rapid.T) {
	r := m.pick(t, func(*modelRequest) bool { return true })
	i := intentFor(latch.Request{ID: r.id, Customer: r.customer, Account: r.account}, m.at[r.customer], m.now)
	begun, err := m.s.Begin(t.Context(), []latch.Intent{i})
	noErr(t, err)
	due := r.state == latch.Pending || r.state == latch.Waiting && !r.next.After(m.now)
	want := due && m.head(r.customer) == r && (!m.isQuiet(r.customer) || m.quiet[r.customer].Account == r.account)
	if begun[0] != want {
		t.Fatalf("begun %v, want %v: %+v", begun[0], want, r)
	}
	if want {
		r.state, r.intent, r.sent = latch.Applying, true, i
	}
}

func (m *model) settle(t *rapid.T) {
	r := m.pick(t, func(r *modelRequest) bool { return r.state == latch.Applying })
	fate := Fate(rapid.IntRange(1, 4).Draw(t, "fate"))
	until := m.now.Add(20 * time.Minute)
	one := Settlement{Intent: r.sent, Fate: fate, At: m.now}
	unsure := fate == FateUnanswered || fate == FateApplied && rapid.Bool().Draw(t, "found by reading")
	if unsure {
		one.QuietUntil = until
	}
	if fate == FateRefused || fate == FateNotSent {
		one.Verdict = Verdict{To: latch.Done, Outcome: latch.Rejected}
	}
	for range 2 { // repeated, it changes nothing
		_, err := m.s.Settle(t.Context(), "r", []Settlement{one}, m.now)
		noErr(t, err)
	}
	switch fate {
	case FateApplied:
		m.at[r.customer] = r.account
		m.end(r, r.sent.Outcome())
	case FateRefused, FateNotSent:
		m.end(r, latch.Rejected)
	case FateUnanswered:
		r.state, r.next = latch.Waiting, until
	}
	if unsure {
		q := latch.Quiet{Account: r.account, Until: until}
		if was := m.quiet[r.customer]; was.Account == q.Account && was.Until.After(until) {
			q = was
		}
		m.quiet[r.customer] = q
	}
}

func (m *model) record(t *rapid.T) {
	r := m.pick(t, func(*modelRequest) bool { return true })
	v := Verdict{Request: r.id, To: rapid.SampledFrom([]latch.State{latch.Pending, latch.Waiting, latch.Held, latch.Done}).Draw(t, "to")}
	switch v.To {
	case latch.Waiting:
		v.WaitingFor = latch.WaitRetry
		if rapid.Bool().Draw(t, "for a time") {
			v.NextAttemptAt = m.now.Add(time.Duration(rapid.IntRange(0, 30).Draw(t, "minutes")) * time.Minute)
		}
	case latch.Held:
		v.Hold = &latch.Hold{Request: r.id, Customer: r.customer, To: r.account}
	case latch.Done:
		v.Outcome = rapid.SampledFrom([]latch.Outcome{latch.Conflict, latch.Latched}).Draw(t, "outcome")
	}
	_, err := m.s.Record(t.Context(), "r", []Verdict{v}, m.now)
	refused := !(r.state.CanMove(v.To) || r.state == latch.Pending && v.To == latch.Pending) ||
		(v.To == latch.Waiting || v.To == latch.Held) && m.head(r.customer) != r ||
		v.Outcome == latch.Latched && !r.intent
	if (err != nil) != refused {
		t.Fatalf("record %+v of %+v: %v", v, r, err)
	}
	if refused {
		return
	}
	switch {
	case v.To == latch.Done:
		if v.Outcome.Changed() {
			m.at[r.customer] = r.sent.To
		}
		m.end(r, v.Outcome)
	case v.To == latch.Held && !m.isQuiet(r.customer):
		r.intent = false
		fallthrough
	default:
		r.state, r.next = v.To, v.NextAttemptAt
	}
}

func (m *model) cancel(t *rapid.T) {
	r := m.pick(t, func(*modelRequest) bool { return true })
	_, refused, err := m.s.Cancel(t.Context(), []string{r.id}, "", m.now)
	noErr(t, err)
	want := r.intent || m.isQuiet(r.customer)
	if (len(refused) > 0) != want {
		t.Fatalf("cancel of %+v: refused %v, want %v", r, refused, want)
	}
	if !want {
		m.end(r, latch.Cancelled)
	}
}

func (m *model) compare(t *rapid.T) {
	held, err := m.s.HeldSteps(t.Context(), 0)
	noErr(t, err)
	digest, n, err := m.s.HeldDigest(t.Context())
	if noErr(t, err); digest != holdsDigest(held) || n != len(held) {
		t.Fatalf("%d steps are held under %q, the digest says %d, %q", len(held), holdsDigest(held), n, digest)
	}
	checkSound(t, m.s)
	for id, want := range m.all {
		got, err := m.s.Request(t.Context(), id)
		noErr(t, err)
		if got.State != want.state || got.Outcome != want.outcome {
			t.Fatalf("request %s is %s %s, want %s %s", id, got.State, got.Outcome, want.state, want.outcome)
		}
	}
	var bulk, quick []string
	for c := range m.order {
		r := m.head(c)
		if r == nil || r.state != latch.Pending && (r.state != latch.Waiting || r.next.After(m.now)) {
			continue
		}
		if r.interactive {
			quick = append(quick, r.id)
		} else {
			bulk = append(bulk, r.id)
		}
	}
	slices.Sort(quick)
	slices.Sort(bulk)
	page, _, err := m.s.Queue(t.Context(), m.now, QueuePos{}, 0)
	noErr(t, err)
	var got []string
	for _, q := range page {
		got = append(got, q.Request.ID)
	}
	if want := append(quick, bulk...); !slices.Equal(got, want) {
		t.Fatalf("queue %v, want %v", got, want)
	}
	m.compareOldest(t)
	for c := latch.CustomerID(1); c <= 4; c++ {
		got, _, err := m.s.Mapping(t.Context(), c)
		noErr(t, err)
		if got.Account != m.at[c] {
			t.Fatalf("customer %d is latched to %q, want %q", c, got.Account, m.at[c])
		}
	}
	counts, err := m.s.CountRequests(t.Context())
	noErr(t, err)
	for _, state := range latch.States {
		n := 0
		for _, r := range m.all {
			if r.state == state {
				n++
			}
		}
		if counts[state] != n {
			t.Fatal(fmt.Sprintf("%d requests are counted as %s, want %d", counts[state], state, n))
		}
	}
}

// compareOldest holds the oldest request that may be planned to the heads.
func (m *model) compareOldest(t *rapid.T) {
	oldest := ""
	for c := range m.order {
		if r := m.head(c); r != nil && r.state == latch.Pending && (oldest == "" || r.id < oldest) {
			oldest = r.id
		}
	}
	var want time.Time
	if oldest != "" {
		r, err := m.s.Request(t.Context(), oldest)
		noErr(t, err)
		want = r.AcceptedAt
	}
	at, err := m.s.OldestPlannable(t.Context())
	if noErr(t, err); !at.Equal(want) {
		t.Fatalf("the oldest that may be planned is of %s, want %s (request %q)", at, want, oldest)
	}
}
