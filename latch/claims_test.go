package latch

import (
	"strings"
	"testing"
)

func TestReadClaim(t *testing.T) {
	for _, c := range []struct {
		name  string
		value any
		want  CustomerID
		bad   string
	}{
		{"null", nil, 0, ""},
		{"empty", "", 0, ""},
		{"blank", " \t\u00a0", 0, ""},
		{"text", "1000001", 1000001, ""},
		{"text with space around it", " 1000001\u00a0", 1000001, ""},
		{"text with leading zeros", "0001000001", 1000001, ""},
		{"the largest id", "9223372036854775807", 1<<63 - 1, ""},
		{"text one larger", "9223372036854775808", 0, badSize},
		{"number", 1000001.0, 1000001, ""},
		{"number just exact", float64(maxExact - 1), maxExact - 1, ""},
		{"number that may be another", float64(maxExact), 0, badPrecise},
		{"number over 2^63", 1e19, 0, badSize},
		{"zero", 0.0, 0, badSign},
		{"text zero", "000", 0, badSign},
		{"negative", -5.0, 0, badSign},
		{"text negative", "-5", 0, badSign},
		{"fraction", 10.5, 0, badFraction},
		{"text fraction", "10.5", 0, badFraction},
		{"text with a point", "1000001.0", 0, badForm},
		{"text with a sign", "+1000001", 0, badForm},
		{"two signs", "--5", 0, badForm},
		{"grouped", "1,000,001", 0, badForm},
		{"exponent", "1e6", 0, badForm},
		{"words", "see Bob", 0, badForm},
		{"other digits", "１２３", 0, badForm},
		{"boolean", true, 0, badType},
		{"object", map[string]any{}, 0, badType},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ReadClaim(PackedAccountID{1}, c.value)
			if got.Customer != c.want || got.Bad != c.bad || got.Account != (PackedAccountID{1}) {
				t.Errorf("got %+v, want customer %d, %q", got, c.want, c.bad)
			}
		})
	}
	if a, b := ReadClaim(PackedAccountID{}, "x"), ReadClaim(PackedAccountID{}, "y"); a.Value == b.Value || a.Value == "" || strings.Contains(a.Value, "x") {
		t.Errorf("two bad values are known by %q and %q", a.Value, b.Value)
	}
}

func TestDecideClaim(t *testing.T) {
	const a, b, x = AccountID("A"), AccountID("B"), AccountID("X")
	req := func(s State, o Outcome, previous AccountID) *Request {
		return &Request{ID: "r", Customer: 7, Account: a, Source: SourceField, By: ByField, State: s, Outcome: o, Previous: previous}
	}
	by := func(r *Request, source, retryOf string) *Request { r.Source, r.RetryOf = source, retryOf; return r }
	told := func(latched AccountID) ClaimMade { return ClaimMade{Decided: true, Latched: latched, Request: "r"} }
	refused := func(latched AccountID) ClaimMade { m := told(latched); m.Refused = true; return m }
	for _, c := range []struct {
		name    string
		f       ClaimFacts
		want    ClaimAction
		outcome Outcome
	}{
		{"new, customer free", ClaimFacts{}, ClaimAsks, ""},
		{"new, customer elsewhere", ClaimFacts{Latched: x}, ClaimAsks, ""},
		{"new, fulfilled already", ClaimFacts{Latched: a}, ClaimStands, ""},
		{"new, beside another's request", ClaimFacts{Others: true}, ClaimAsks, ""},
		{"new, with a rival", ClaimFacts{Rivals: []AccountID{b}}, ClaimRefuse, Rejected},
		{"new, with a rival that has the customer", ClaimFacts{Rivals: []AccountID{x, b}, Latched: x}, ClaimRefuse, Conflict},
		{"new, with a rival, customer elsewhere", ClaimFacts{Rivals: []AccountID{b}, Latched: x}, ClaimRefuse, Rejected},
		{"new, with a rival, and has the customer itself", ClaimFacts{Rivals: []AccountID{b}, Latched: a}, ClaimStands, ""},

		{"its request is open", ClaimFacts{Made: told(""), Last: req(Pending, "", "")}, ClaimStands, ""},
		{"its request is open, the mapping changed", ClaimFacts{Made: told(""), Last: req(Waiting, "", ""), Latched: x}, ClaimStands, ""},
		{"its request is open, a rival comes", ClaimFacts{Made: told(""), Last: req(Held, "", ""), Rivals: []AccountID{b}}, ClaimRefuse, Rejected},
		{"its request is open though it was refused", ClaimFacts{Made: refused(""), Last: req(Applying, "", ""), Rivals: []AccountID{b}}, ClaimRefuse, Rejected},

		{"fulfilled", ClaimFacts{Made: told(""), Last: req(Done, Latched, ""), Latched: a}, ClaimStands, ""},
		{"fulfilled, a rival comes", ClaimFacts{Made: told(a), Last: req(Done, Latched, ""), Latched: a, Rivals: []AccountID{b}}, ClaimStands, ""},
		{"was fulfilled, latched away", ClaimFacts{Made: told(a), Last: req(Done, Latched, ""), Latched: x}, ClaimAsks, ""},
		{"was fulfilled, latch taken off", ClaimFacts{Made: told(a), Last: req(Done, Latched, "")}, ClaimAsks, ""},

		{"standing conflict", ClaimFacts{Made: told(x), Last: req(Done, Conflict, x), Latched: x}, ClaimStands, ""},
		{"standing conflict, request pruned", ClaimFacts{Made: told(x), Latched: x}, ClaimStands, ""},
		{"conflict with what only the reading showed", ClaimFacts{Made: told(""), Last: req(Done, Conflict, x), Latched: x}, ClaimStands, ""},
		{"conflict, customer free now", ClaimFacts{Made: told(x), Last: req(Done, Conflict, x)}, ClaimAsks, ""},
		{"conflict, customer elsewhere now", ClaimFacts{Made: told(x), Last: req(Done, Conflict, x), Latched: b}, ClaimAsks, ""},
		{"conflict, customer free now, others ask for it", ClaimFacts{Made: told(x), Last: req(Done, Conflict, x), Others: true}, ClaimWaits, ""},
		{"no customer", ClaimFacts{Made: told(""), Last: req(Done, NoCustomer, "")}, ClaimStands, ""},
		{"no customer, which was latched by the mapping", ClaimFacts{Made: told(x), Last: req(Done, NoCustomer, "")}, ClaimStands, ""},
		{"cancelled by a person", ClaimFacts{Made: told(""), Last: req(Done, Cancelled, "")}, ClaimStands, ""},
		{"cancelled by a person, customer free since", ClaimFacts{Made: told(x), Last: req(Done, Cancelled, "")}, ClaimAsks, ""},
		{"superseded", ClaimFacts{Made: told(""), Last: req(Done, Superseded, "")}, ClaimStands, ""},
		{"superseded by what is applied now", ClaimFacts{Made: told(""), Last: req(Done, Superseded, ""), Latched: x}, ClaimAsks, ""},
		{"gave up", ClaimFacts{Made: told(""), Last: req(Done, GaveUp, "")}, ClaimStands, ""},

		{"refused, the rival stays", ClaimFacts{Made: refused(""), Last: req(Done, Rejected, ""), Rivals: []AccountID{b}}, ClaimStands, ""},
		{"refused, the mapping changed", ClaimFacts{Made: refused(""), Last: req(Done, Rejected, ""), Rivals: []AccountID{b}, Latched: x}, ClaimStands, ""},
		{"refused, the rivals are gone", ClaimFacts{Made: refused(""), Last: req(Done, Rejected, "")}, ClaimAsks, ""},
		{"refused, the rivals are gone, latched to one", ClaimFacts{Made: refused(b), Last: req(Done, Conflict, b), Latched: b}, ClaimAsks, ""},
		{"refused, the rivals are gone, others ask", ClaimFacts{Made: refused(""), Others: true}, ClaimWaits, ""},
		{"refused, it has the customer now", ClaimFacts{Made: refused(""), Rivals: []AccountID{b}, Latched: a}, ClaimStands, ""},

		{"joined a person's request, a rival comes", ClaimFacts{Made: told(""), Last: by(req(Pending, "", ""), "command", ""), Rivals: []AccountID{b}, Others: true}, ClaimRefuse, Rejected},
		{"a person tries again, a rival stays", ClaimFacts{Made: refused(""), Last: by(req(Pending, "", ""), SourceField, "q"), Rivals: []AccountID{b}, Others: true}, ClaimStands, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.f.Account, c.f.Customer = a, 7
			v := DecideClaim(c.f)
			if v.Action != c.want || v.Outcome != c.outcome {
				t.Fatalf("got %+v, want %s %s", v, c.want, c.outcome)
			}
			if (v.Action == ClaimRefuse) != (v.Detail != "") {
				t.Errorf("a detail %q with %s", v.Detail, v.Action)
			}
			if v.Action == ClaimRefuse && !strings.Contains(v.Detail, string(c.f.Rivals[0])) {
				t.Errorf("%q does not name %s", v.Detail, c.f.Rivals[0])
			}
			if v.Action == ClaimWaits {
				if v.Made != c.f.Made {
					t.Errorf("a claim that waits is remembered as %+v", v.Made)
				}
				return
			}
			// What was decided stands as long as nothing changes.
			again := c.f
			again.Made, again.Others = v.Made, true
			if v.Action == ClaimRefuse && c.f.Last != nil && c.f.Last.OfClaim() {
				again.Last = req(Done, v.Outcome, "")
			}
			if w := DecideClaim(again); w.Action != ClaimStands || w.Made != v.Made {
				t.Errorf("decided again at once it is %+v after %+v", w, v)
			}
		})
	}
}
