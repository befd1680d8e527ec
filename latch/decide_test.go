package latch

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const (
	accA AccountID = "0014100000JJ3wtAAD"
	accB AccountID = "001D000000IRFmaIAH"
	accC AccountID = "001D000000IqhSLIAZ"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func customer(at AccountID) CustomerReading {
	return CustomerReading{Customer: 7, Found: true, Account: at, At: noon}
}

func account(id AccountID, s AccountState) AccountReading {
	return AccountReading{Account: id, State: s, How: HowLive, At: noon}
}

func merged(id, into AccountID) AccountReading {
	r := account(id, AccountMerged)
	r.Survivor, r.SurvivorKnown = into, true
	return r
}

// TestDecide is the table of the rules.
func TestDecide(t *testing.T) {
	unseenKnown := account(accB, AccountUnseen)
	unseenKnown.InIndex = true
	intent := Intent{Request: "r", Customer: 7, Action: Relatch, From: accA, To: accB}
	for _, c := range []struct {
		name    string
		asked   AccountID
		force   bool
		only    AccountID
		facts   Facts
		policy  Policy
		action  Action
		outcome Outcome
		wait    Wait
		from,
		to AccountID
		detail string
	}{
		{name: "not latched", asked: accA, facts: Facts{Customer: customer(""), Account: account(accA, AccountKnown)}, action: Latch, to: accA},
		{name: "not latched, forced", asked: accA, force: true, facts: Facts{Customer: customer(""), Account: account(accA, AccountKnown)}, action: Latch, to: accA},
		{name: "there already", asked: accA, facts: Facts{Customer: customer(accA), Account: account(accA, AccountKnown)}, action: None, outcome: Unchanged, from: accA, to: accA},
		{name: "there already, forced", asked: accA, force: true, facts: Facts{Customer: customer(accA)}, action: None, outcome: Unchanged, from: accA, to: accA},
		{name: "latched elsewhere", asked: accB, facts: Facts{Customer: customer(accA), Account: account(accB, AccountKnown)}, action: None, outcome: Conflict, from: accA, to: accB, detail: string(accA)},
		{name: "latched elsewhere, forced", asked: accB, force: true, facts: Facts{Customer: customer(accA), Account: account(accB, AccountKnown)}, action: Relatch, from: accA, to: accB},
		{name: "latched to no account id", asked: accB, facts: Facts{Customer: customer("003D000000IRFma"), Account: account(accB, AccountKnown)}, action: None, outcome: Conflict, from: "003D000000IRFma", to: accB},
		{name: "forced only from A, still there", asked: accB, force: true, only: accA, facts: Facts{Customer: customer(accA), Account: account(accB, AccountKnown)}, action: Relatch, from: accA, to: accB},
		{name: "forced only from A, elsewhere now", asked: accB, force: true, only: accA, facts: Facts{Customer: customer(accC), Account: account(accB, AccountKnown)}, action: None, outcome: Conflict, from: accC, to: accB, detail: "only away from " + string(accA)},
		{name: "no customer", asked: accA, facts: Facts{Customer: CustomerReading{Customer: 7}, Account: account(accA, AccountKnown)}, action: None, outcome: NoCustomer, to: accA},
		{name: "unknown account", asked: accB, facts: Facts{Customer: customer(""), Account: account(accB, AccountUnseen)}, action: None, outcome: NoAccount, to: accB, detail: "Salesforce Account " + string(accB) + " does not exist."},
		{name: "deleted account", asked: accB, facts: Facts{Customer: customer(""), Account: account(accB, AccountDeleted)}, action: None, outcome: NoAccount, to: accB, detail: "deleted"},
		{name: "merged account", asked: accB, facts: Facts{Customer: customer(""), Account: merged(accB, accC)}, action: None, outcome: NoAccount, to: accB, detail: string(accC)},
		{name: "merged account, followed", asked: accB, facts: Facts{Customer: customer(""), Account: merged(accB, accC)}, policy: Policy{FollowMerges: true}, action: Latch, to: accC},
		{name: "merged account, followed, there already", asked: accB, facts: Facts{Customer: customer(accC), Account: merged(accB, accC)}, policy: Policy{FollowMerges: true}, action: None, outcome: Unchanged, from: accC, to: accC},
		{name: "merged account, survivor gone", asked: accB, facts: Facts{Customer: customer(""), Account: AccountReading{Account: accB, State: AccountMerged, Survivor: accC}}, policy: Policy{FollowMerges: true}, action: None, outcome: NoAccount, to: accC},
		{name: "known to the index, out of sight", asked: accB, facts: Facts{Customer: customer(""), Account: unseenKnown}, action: None, wait: WaitFullPull, to: accB},
		{name: "not there yet, waited for", asked: accB, facts: Facts{Customer: customer(""), Account: account(accB, AccountUnseen)}, policy: Policy{WaitForAccount: time.Hour}, action: None, wait: WaitAccount, to: accB},
		{name: "not there yet, waited long enough", asked: accB, facts: Facts{Customer: customer(""), Account: account(accB, AccountUnseen)}, policy: Policy{WaitForAccount: time.Minute}, action: None, outcome: NoAccount, to: accB},
		{name: "no account beats conflict", asked: accB, facts: Facts{Customer: customer(accA), Account: account(accB, AccountDeleted)}, action: None, outcome: NoAccount, from: accA, to: accB},
		{name: "shared, refused", asked: accB, facts: Facts{Customer: customer(""), Account: account(accB, AccountKnown), Holders: []CustomerID{9}}, policy: Policy{SharedAccount: SharedRefuse}, action: None, outcome: Rejected, to: accB, detail: "customer 9"},
		{name: "shared, warned of", asked: accB, facts: Facts{Customer: customer(""), Account: account(accB, AccountKnown), Holders: []CustomerID{9}}, policy: Policy{SharedAccount: SharedWarn}, action: Latch, to: accB},
		{name: "shared, allowed", asked: accB, facts: Facts{Customer: customer(""), Account: account(accB, AccountKnown), Holders: []CustomerID{9}}, policy: Policy{SharedAccount: SharedAllow}, action: Latch, to: accB},
		{name: "open intent applied", asked: accB, force: true, facts: Facts{Customer: customer(accB), Intent: &intent}, action: None, outcome: Relatched, from: accA, to: accB},
		{name: "open intent not applied", asked: accB, force: true, facts: Facts{Customer: customer(accA), Account: account(accB, AccountKnown), Intent: &intent}, action: Relatch, from: accA, to: accB},
		{name: "open intent, somebody latched it elsewhere", asked: accB, facts: Facts{Customer: customer(accC), Account: account(accB, AccountKnown), Intent: &intent}, action: None, outcome: Conflict, from: accC, to: accB},
		{name: "quiet time, the same again", asked: accB, facts: Facts{Customer: customer(""), Account: account(accB, AccountKnown), Quiet: Quiet{accB, noon.Add(time.Second)}}, action: Latch, to: accB},
		{name: "quiet time, another account", asked: accA, facts: Facts{Customer: customer(""), Account: account(accA, AccountKnown), Quiet: Quiet{accB, noon.Add(time.Second)}}, action: None, wait: WaitQuietTime, to: accA},
		{name: "quiet time, no verdict yet", asked: accA, facts: Facts{Customer: CustomerReading{Customer: 7}, Quiet: Quiet{accB, noon.Add(time.Second)}}, action: None, wait: WaitQuietTime, to: accA},
		{name: "quiet time, there already but for how long", asked: accA, facts: Facts{Customer: customer(accA), Quiet: Quiet{accB, noon.Add(time.Second)}}, action: None, wait: WaitQuietTime, from: accA, to: accA},
		{name: "quiet time over", asked: accA, facts: Facts{Customer: customer(""), Account: account(accA, AccountKnown), Quiet: Quiet{accB, noon}}, action: Latch, to: accA},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := Request{ID: "r", Customer: 7, Account: c.asked, Force: c.force, OnlyFrom: c.only, AcceptedAt: noon.Add(-10 * time.Minute)}
			c.facts.Now = noon
			s := Decide(r, c.facts, c.policy)
			if s.Action != c.action || s.Outcome != c.outcome || s.WaitingFor != c.wait || s.From != c.from || s.To != c.to {
				t.Fatalf("got %+v", s)
			}
			if !strings.Contains(s.Detail, c.detail) {
				t.Errorf("detail %q lacks %q", s.Detail, c.detail)
			}
			if s.Request != "r" || s.Customer != 7 {
				t.Errorf("the step names request %q, customer %d", s.Request, s.Customer)
			}
		})
	}
}

// TestDecideProperties holds for every reading: a first latch only on an
// unlatched customer, a relatch only under force, and never a call to an
// account that was not seen.
func TestDecideProperties(t *testing.T) {
	ids := []AccountID{"", accA, accB, accC}
	rapid.Check(t, func(t *rapid.T) {
		asked := rapid.SampledFrom(ids[1:]).Draw(t, "asked")
		r := Request{ID: "r", Customer: 7, Account: asked, Force: rapid.Bool().Draw(t, "force"), AcceptedAt: noon}
		f := Facts{
			Now:      noon,
			Customer: CustomerReading{Customer: 7, Found: rapid.Bool().Draw(t, "found"), Account: rapid.SampledFrom(ids).Draw(t, "now"), At: noon},
			Account:  account(asked, rapid.SampledFrom([]AccountState{AccountKnown, AccountDeleted, AccountMerged, AccountUnseen}).Draw(t, "state")),
			Quiet:    Quiet{rapid.SampledFrom(ids).Draw(t, "quiet"), noon.Add(time.Duration(rapid.IntRange(-1, 1).Draw(t, "until")) * time.Second)},
		}
		f.Account.InIndex = rapid.Bool().Draw(t, "index")
		s := Decide(r, f, Policy{SharedAccount: SharedWarn})
		quiet := f.Now.Before(f.Quiet.Until)
		switch {
		case s.Action == Latch && (f.Customer.Account != "" || !f.Customer.Found):
			t.Fatalf("a first latch on a customer that is not free: %+v", s)
		case s.Action == Relatch && (!r.Force || f.Customer.Account == "" || s.From != f.Customer.Account):
			t.Fatalf("a relatch that nothing allows: %+v", s)
		case s.Action != None && f.Account.State != AccountKnown:
			t.Fatalf("a call to an account that is not there: %+v", s)
		case s.Action != None && quiet && s.To != f.Quiet.Account:
			t.Fatalf("another account inside the quiet time: %+v", s)
		case s.Outcome != "" && quiet && s.To != f.Quiet.Account:
			t.Fatalf("an outcome inside the quiet time: %+v", s)
		case (s.Action != None) == (s.Outcome != "" || s.WaitingFor != ""):
			t.Fatalf("a step is a call, an outcome or a wait, one of them: %+v", s)
		}
	})
}
