package server

import (
	"strings"
	"testing"
	"time"

	"latchd/latch"
)

// TestTell: each kind of line in the history is told with its evidence, rule,
// answer and reading back, where it has them.
func TestTell(t *testing.T) {
	const a, b = latch.AccountID("0014100000JJ3wtAAD"), latch.AccountID("0014100000JJ3wuAAD")
	at := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name string
		e    latch.Entry
		req  *latch.Request
		want []string
	}{
		{
			"accepted",
			latch.Entry{Kind: latch.KindAccepted, Customer: 7, To: b, By: "kim", Source: "command"},
			&latch.Request{Force: true, OnlyFrom: a, RetryOf: "R0"},
			[]string{"kim asked to latch customer 7 to account " + string(b) + ", by force but only away from " + string(a) + ", again after request R0 (command)."},
		},
		{
			"relatched by the index",
			latch.Entry{Kind: "relatched", From: a, To: b, Approved: true, Evidence: &latch.AccountReading{Account: b, State: latch.AccountKnown, How: latch.HowIndex, At: at}},
			nil,
			[]string{"counted as existing, since the last complete pull saw it", "the request forces it", "as approved"},
		},
		{
			"latched, its answer lost",
			latch.Entry{Kind: "latched", To: b, Answer: "the connection closed", ReadBack: &latch.ReadBack{Account: b, At: at}},
			nil,
			[]string{"answer to the call: the connection closed.", "back at 2026-11-24 09:00:00 showed: latched to " + string(b), "from no account to"},
		},
		{"latched, answered", latch.Entry{Kind: "latched", To: b, Answer: "success, naming no account"}, nil, []string{"success, naming no account.", "was not read again"}},
		{
			"rejected",
			latch.Entry{Kind: "rejected", To: b, Answer: "400: no", Detail: "400: no", ReadBack: &latch.ReadBack{NoCustomer: true, At: at}},
			nil,
			[]string{"answer to the call: 400: no.", "showed: no such customer", "Outcome rejected: 400: no."},
		},
		{"unanswered", latch.Entry{Kind: latch.KindUnanswered, To: b, Answer: "timed out"}, nil, []string{"timed out", "may have taken effect later"}},
		{
			"no account",
			latch.Entry{Kind: "no-account", To: b, Evidence: &latch.AccountReading{Account: b, State: latch.AccountMerged, Survivor: a, How: latch.HowLive, At: at}},
			nil,
			[]string{"was merged into " + string(a), "does not exist"},
		},
		{
			"no customer",
			latch.Entry{Kind: "no-customer", Customer: 7, To: b, CustomerAt: at, Detail: "Stax Bill has no customer 7."},
			nil,
			[]string{"Stax Bill was asked at 2026-11-24 09:00:00: it knew no such customer.\nRule: there is nothing to latch without a customer.\nOutcome no-customer."},
		},
		{"deleted", latch.Entry{Kind: "no-account", To: b, Evidence: &latch.AccountReading{Account: b, State: latch.AccountDeleted, How: latch.HowLive}}, nil, []string{"was deleted"}},
		{"observed", latch.Entry{Kind: latch.KindObserved, From: a}, nil, []string{"no account any more"}},
		{"first seen", latch.Entry{Kind: latch.KindObserved, To: b}, nil, []string{"not known here"}},
		{"held", latch.Entry{Kind: latch.KindHeld, From: a, To: b, Detail: "too many"}, nil, []string{"It was held (from " + string(a) + " to " + string(b) + "): too many"}},
		{"approved", latch.Entry{Kind: latch.KindApproved, To: b, By: "lou"}, nil, []string{"lou approved exactly this step, from no account to"}},
		{"cancelled by a person", latch.Entry{Kind: "cancelled", By: "kim"}, nil, []string{"Outcome cancelled: kim took it back."}},
		{
			"cancelled by nobody",
			latch.Entry{Kind: "cancelled", Detail: "Account " + string(a) + ", which had been merged away, is there again."},
			nil,
			[]string{"Outcome cancelled: Account " + string(a) + ", which had been merged away, is there again."},
		},
	} {
		got := strings.Join(tell(c.e, c.req), "\n")
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s lacks %q:\n%s", c.name, want, got)
			}
		}
		if c.e.Kind == "no-customer" && (strings.Contains(got, "latched to no account") || strings.Contains(got, c.e.Detail)) {
			t.Errorf("%s says it twice, or of an account:\n%s", c.name, got)
		}
	}
}
