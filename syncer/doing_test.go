package syncer_test

import (
	"strings"
	"testing"

	"latchd/latch"
	"latchd/sandbox"
)

// TestSaidOnce: the error of a run says what was being done once, and whose answer
// it is.
func TestSaidOnce(t *testing.T) {
	for call, want := range map[string]string{
		"customers": "Stax Bill: surveying customers: answered 503",
		"query":     "pulling all accounts: Salesforce answered 503",
		"token":     "Salesforce refuses the sign-in with 400",
	} {
		inWorld(t, options{accounts: 10, customers: 5}, func(w *world) {
			status := 503
			if call == "token" {
				status = 400
			}
			w.fault(sandbox.FaultMatch{Call: call}, sandbox.FaultAction{Status: status})
			rep := w.run()
			if got := rep.Run.Error; !strings.HasPrefix(got, want) || rep.Run.Result == latch.RunDone {
				t.Errorf("%s: %q, want %q", call, got, want)
			}
		})
	}
}

// TestUnknownDigestSaidOnce: so does one who approves or rejects what is not held.
func TestUnknownDigestSaidOnce(t *testing.T) {
	inWorld(t, options{accounts: 10, customers: 5}, func(w *world) {
		const want = `no plan has the digest "xyz", and nothing is held now`
		if _, err := w.sync.Approve(w.ctx, "xyz", "kim"); err == nil || err.Error() != want {
			t.Error(err)
		}
		if _, err := w.sync.Reject(w.ctx, "xyz", "kim"); err == nil || err.Error() != want {
			t.Error(err)
		}
	})
}
