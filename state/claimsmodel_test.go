package state

import (
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"latchd/latch"
)

// claimsModel is what the claims should come to, in a world of four customers and
// five accounts.
type claimsModel struct {
	s      *Store
	now    int // minutes
	field  map[int]latch.CustomerID
	change map[latch.CustomerID]bool
}

// TestClaimsAgainstModel changes fields and mappings, has requests fail, succeed
// and hang, and people ask for things, all at random. After each round of
// decisions no customer has an open claim of an account that does not carry it,
// none that several carry has an open one that could be ended, nothing is filed
// where nothing has changed, and a check of the file finds nothing.
func TestClaimsAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "latchd-claims-*")
		noErr(t, err)
		defer os.RemoveAll(dir)
		file := filepath.Join(dir, "latchd.db")
		noErr(t, create(Options{Path: file}))
		f, err := os.OpenFile(file, os.O_RDWR, 0)
		noErr(t, err)
		s := newStore(Options{Path: file})
		noErr(t, s.start(t.Context(), f, true)) // without syncing, for speed
		defer s.Close()
		m := &claimsModel{s: s, field: map[int]latch.CustomerID{}, change: map[latch.CustomerID]bool{}}
		t.Repeat(map[string]func(*rapid.T){
			"fields": m.fields, "all": m.all, "hand": m.hand, "person": m.person, "settle": m.settle, "decide": m.decide,
			"": func(t *rapid.T) {
				m.now++
				found, err := s.Check(t.Context())
				noErr(t, err)
				if len(found) > 0 {
					t.Fatalf("check: %v", found)
				}
			},
		})
	})
}

func drawCustomer(t *rapid.T, from int) latch.CustomerID {
	return latch.CustomerID(rapid.IntRange(from, 4).Draw(t, "customer"))
}

func (m *claimsModel) set(a int, c latch.CustomerID) {
	if was := m.field[a]; was != c {
		m.change[was], m.change[c] = true, true
	}
	m.field[a] = c
}

// fields changes what some accounts carry, as a pull of changes shows it.
func (m *claimsModel) fields(t *rapid.T) {
	var claims []latch.Claim
	for range rapid.IntRange(1, 3).Draw(t, "changes") {
		a, c := rapid.IntRange(1, 5).Draw(t, "account"), drawCustomer(t, 0)
		m.set(a, c)
		claims = append(claims, claim(a, c))
	}
	noErr(t, m.s.SetClaims(t.Context(), claims, at(m.now)))
}

// all reads the whole field anew, and some of it has changed unseen.
func (m *claimsModel) all(t *rapid.T) {
	m.set(rapid.IntRange(1, 5).Draw(t, "account"), drawCustomer(t, 0))
	noErr(t, m.s.WantClaims(t.Context()))
	noErr(t, m.s.ResetClaims(t.Context()))
	var claims []latch.Claim
	for a, c := range m.field {
		if c != 0 {
			claims = append(claims, claim(a, c))
		}
	}
	noErr(t, m.s.StageClaims(t.Context(), claims))
	noErr(t, m.s.CommitClaims(t.Context(), "F__c", at(m.now)))
}

// hand latches a customer behind latchd's back.
func (m *claimsModel) hand(t *rapid.T) {
	c, a := drawCustomer(t, 1), latch.AccountID("")
	if n := rapid.IntRange(0, 6).Draw(t, "account"); n > 0 {
		a = acc(n)
	}
	_, err := m.s.Observe(t.Context(), "", []latch.CustomerReading{{Customer: c, Found: true, Account: a, At: at(m.now)}}, at(m.now))
	noErr(t, err)
	m.change[c] = true // unless it has an open intent
}

func (m *claimsModel) person(t *rapid.T) {
	f := latch.Filing{Customer: drawCustomer(t, 1), Account: acc(rapid.IntRange(1, 6).Draw(t, "account")), Source: "command", By: "ann"}
	_, err := m.s.File(t.Context(), "", []latch.Filing{f}, at(m.now))
	noErr(t, err)
	m.change[f.Customer] = true
}

// settle has something become of the head of a customer's queue.
func (m *claimsModel) settle(t *rapid.T) {
	c := drawCustomer(t, 1)
	var head latch.Request
	var open bool
	noErr(t, m.s.view(t.Context(), func(x *tx) (err error) {
		head, open, err = x.head(c)
		return err
	}))
	if !open {
		return
	}
	m.change[c] = true
	mapping, _, err := m.s.Mapping(t.Context(), c)
	noErr(t, err)
	v := Verdict{Request: head.ID, From: mapping.Account}
	switch rapid.SampledFrom([]string{"done", "wait", "call", "applied"}).Draw(t, "becomes") {
	case "done":
		if head.State == latch.Applying {
			return
		}
		v.To, v.Outcome = latch.Done, rapid.SampledFrom([]latch.Outcome{latch.Conflict, latch.NoAccount, latch.NoCustomer, latch.Rejected, latch.GaveUp}).Draw(t, "outcome")
		_, err = m.s.Record(t.Context(), "run", []Verdict{v}, at(m.now))
	case "wait":
		if head.State == latch.Applying {
			return
		}
		v.To, v.WaitingFor = latch.Waiting, latch.WaitRetry
		_, err = m.s.Record(t.Context(), "run", []Verdict{v}, at(m.now))
	case "call":
		if head.State == latch.Applying {
			return
		}
		_, err = m.s.Begin(t.Context(), []latch.Intent{intentFor(head, mapping.Account, at(m.now))})
	case "applied":
		if head.State != latch.Applying {
			return
		}
		_, err = m.s.Settle(t.Context(), "run", []Settlement{{Intent: intentFor(head, mapping.Account, at(m.now)), Fate: FateApplied, At: at(m.now)}}, at(m.now))
	}
	noErr(t, err)
}

func (m *claimsModel) decide(t *rapid.T) {
	for round := range 2 {
		res, next, err := m.s.DecideClaims(t.Context(), "run", "", at(m.now))
		noErr(t, err)
		if next != "" {
			t.Fatal("a handful of claims is not decided at once")
		}
		for _, f := range res.Filed {
			if round == 1 || !m.change[f.Request.Customer] {
				t.Fatalf("%+v was filed, and nothing had changed", f.Request)
			}
		}
		for _, r := range append(res.Refused, res.Cancelled...) {
			if round == 1 || !m.change[r.Customer] {
				t.Fatalf("%+v ended, and nothing had changed", r)
			}
		}
		if round == 0 && res.Waiting == 0 {
			clear(m.change)
		}
		m.sound(t)
	}
}

// sound holds the open requests against the fields.
func (m *claimsModel) sound(t *rapid.T) {
	carry := map[latch.CustomerID]int{}
	for _, c := range m.field {
		carry[c]++
	}
	for c := latch.CustomerID(1); c <= 4; c++ {
		var open []latch.Request
		noErr(t, m.s.view(t.Context(), func(x *tx) error {
			next := prefixed(x.b(bOpen).Cursor(), customerKey(c), nil)
			for id := next(); id != nil; id = next() {
				r, _, err := x.openRequest(string(id))
				if err != nil {
					return err
				}
				open = append(open, r)
			}
			return nil
		}))
		mapping, _, err := m.s.Mapping(t.Context(), c)
		noErr(t, err)
		for _, r := range open {
			if !r.OfClaim() || r.State == latch.Applying {
				continue
			}
			if r.Force {
				t.Fatalf("%+v forces", r)
			}
			carried := false
			for a, of := range m.field {
				carried = carried || of == c && acc(a) == r.Account
			}
			if !carried {
				t.Fatalf("%+v is open, and its account does not carry the customer", r)
			}
			if carry[c] > 1 && mapping.Account != r.Account {
				t.Fatalf("%+v is open, and %d accounts carry its customer", r, carry[c])
			}
		}
	}
}
