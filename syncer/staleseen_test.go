package syncer_test

import (
	"testing"
	"time"

	"latchd/latch"
)

// TestStaleSeenByTheWay: somebody latches a customer by hand to an account that
// is gone, and a run sees it that does not come to telling of it afterwards: in a
// reading ahead of a decision, or in a survey behind which it ends. It is told of
// all the same.
func TestStaleSeenByTheWay(t *testing.T) {
	for name, see := range map[string]func(w *world){
		"reading": func(w *world) {
			w.askFor(2, w.account(50), false)
			w.done()
		},
		"cut off": func(w *world) {
			w.onStep("run:stale", func() { panic("the end") })
			w.run()
		},
		"killed": func(w *world) {
			w.onStep("run:stale", func() { panic("the end") })
			w.run()
			w.restart()
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, options{accounts: 200, customers: 60}, func(w *world) {
				w.done()
				w.deleteAccount(121) // nobody's
				w.wantStale("nobody's", w.staleNow(), latch.StaleCounts{})
				time.Sleep(time.Hour)
				if name == "reading" {
					w.done() // so that the survey is of now, and a filter of changes not needed
					w.onStep("run:stale", func() { w.hand(2, 121) })
				} else {
					w.hand(2, 121)
				}
				see(w)
				w.wantStale("later", w.staleNow(), latch.StaleCounts{Deleted: 1})
				w.wantStale("once", w.staleNow(), latch.StaleCounts{})
			})
		})
	}
}
