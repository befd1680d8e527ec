package notify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"latchd/latch"
	"latchd/notify"
	"latchd/state"
)

const (
	heartbeat = "http://127.0.0.1/ping/S3CR3T-OF-THE-PING?x=y"
	webhook   = "http://127.0.0.1/hooks/S3CR3T-OF-THE-HOOK"
)

// receivers answer both, and remember what they were told.
type receivers struct {
	mu      sync.Mutex
	status  int // 0 = they are dead
	beats   []string
	texts   []string
	tries   int
	waiting chan struct{} // nil, or closed when calls may be answered
}

func (r *receivers) RoundTrip(req *http.Request) (*http.Response, error) {
	r.mu.Lock()
	waiting := r.waiting
	r.mu.Unlock()
	if waiting != nil {
		select {
		case <-waiting:
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tries++
	if r.status == 0 {
		return nil, errors.New("dial " + req.URL.String())
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	if r.status == http.StatusOK {
		if strings.HasPrefix(req.URL.Path, "/ping/") {
			r.beats = append(r.beats, req.URL.Path+"?"+req.URL.RawQuery+" "+string(body))
		} else {
			var m map[string]string
			if err := json.Unmarshal(body, &m); err != nil || len(m) != 1 {
				return nil, fmt.Errorf("%q", body)
			}
			r.texts = append(r.texts, m["text"])
		}
	}
	return &http.Response{StatusCode: r.status, Header: http.Header{}, Body: http.NoBody, Request: req}, nil
}

func (r *receivers) set(status int, waiting chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status, r.waiting = status, waiting
}

func (r *receivers) tried() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tries
}

type world struct {
	*testing.T
	store *state.Store
	to    *receivers
	n     *notify.Notifier
	logs  *observer.ObservedLogs
	runs  int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	store, err := state.Open(t.Context(), state.Options{Path: filepath.Join(t.TempDir(), "latchd.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	w := &world{T: t, store: store, to: &receivers{status: http.StatusOK}}
	w.again()
	return w
}

// again is a new process over the same state.
func (w *world) again() {
	core, logs := observer.New(zapcore.DebugLevel)
	w.logs = logs
	w.n = notify.New(notify.Options{
		Addresses: notify.Addresses{Heartbeat: heartbeat, Webhook: webhook}, Store: w.store, Host: "billing-1", Logger: zap.New(core), Transport: w.to,
	})
}

// ran records a run, and has it told.
func (w *world) ran(result latch.Result, outcomes map[latch.Outcome]int, change ...func(*latch.Run)) {
	w.Helper()
	w.record(result, outcomes, change...)
	w.n.Flush(w.Context())
}

func (w *world) record(result latch.Result, outcomes map[latch.Outcome]int, change ...func(*latch.Run)) {
	w.Helper()
	w.runs++
	at := time.Date(2026, 11, 24, 3, w.runs, 0, 0, time.UTC)
	run := latch.Run{ID: fmt.Sprintf("01RUN%04d", w.runs), Trigger: "schedule", StartedAt: at, FinishedAt: at, Result: result, Outcomes: outcomes}
	for _, c := range change {
		c(&run)
	}
	if err := w.store.FinishRun(w.Context(), run); err != nil {
		w.Fatal(err)
	}
	w.n.RunFinished(run)
}

// texts gives what was told since the last asking, each having to hold its words.
func (w *world) told(words ...string) {
	w.Helper()
	w.to.mu.Lock()
	defer w.to.mu.Unlock()
	if len(w.to.texts) != len(words) {
		w.Errorf("told %q, want %q", w.to.texts, words)
	}
	for i, text := range w.to.texts {
		if i < len(words) && !strings.Contains(text, words[i]) || !strings.HasPrefix(text, "latchd on billing-1: ") {
			w.Errorf("told %q, want %q", text, words[min(i, len(words)-1)])
		}
	}
	w.to.texts = nil
}

func TestHeartbeat(t *testing.T) {
	w := newWorld(t)
	w.ran(latch.RunDone, map[latch.Outcome]int{latch.Latched: 3, latch.Conflict: 1})
	w.ran(latch.RunFailed, nil)
	w.ran(latch.RunUnreachable, nil)
	w.ran(latch.RunLimited, nil)
	w.ran(latch.RunCancelled, nil)
	want := []string{
		"/ping/S3CR3T-OF-THE-PING?x=y run 01RUN0001: done\n3 latched\n1 conflict\n0 pending, 0 waiting, 0 held\n",
		"/ping/S3CR3T-OF-THE-PING/fail?x=y run 01RUN0002: failed\n0 pending, 0 waiting, 0 held\n",
	}
	if len(w.to.beats) != 2 || w.to.beats[0] != want[0] || w.to.beats[1] != want[1] {
		t.Errorf("%q", w.to.beats)
	}
}

// TestOnce: what newly needs a person is told once, by whatever process.
func TestOnce(t *testing.T) {
	w := newWorld(t)
	bad := map[latch.Outcome]int{latch.Conflict: 2, latch.NoAccount: 1, latch.Latched: 5}
	w.record(latch.RunDone, map[latch.Outcome]int{latch.Rejected: 7}) // before anybody listened
	w.ran(latch.RunDone, bad)
	w.told("3 requests need a person: 2 conflict, 1 no-account. List them with `latchd request list --for-person`.")
	w.ran(latch.RunDone, nil)
	w.told()
	w.again()
	w.ran(latch.RunDone, nil)
	w.told()
	w.ran(latch.RunDone, map[latch.Outcome]int{latch.GaveUp: 1})
	w.told("1 request needs a person: 1 gave-up.")
	w.ran(latch.RunDone, bad, func(r *latch.Run) { r.DryRun = true })
	w.told()

	refuse := func(digest string) func(*latch.Run) {
		return func(r *latch.Run) {
			r.Refused = &latch.Refusal{Kind: "pull", Digest: digest, Had: 2000, Lost: 300}
		}
	}
	w.ran(latch.RunFailed, nil, refuse("d1"))
	w.told("a pull was refused, since it would lose 300 of 2000. Find the cause; if the loss is real, allow exactly it with `latchd approve d1`.")
	w.ran(latch.RunFailed, nil, refuse("d1"))
	w.told()
	w.ran(latch.RunUnreachable, nil)
	w.told("3 runs in a row were not done; the last one is 01RUN0009.")
	w.ran(latch.RunUnreachable, nil)
	w.told()
	w.ran(latch.RunDone, bad)
	w.told("runs are done again.")
}

// TestHeld: told when something is newly held, not when some of it is released.
func TestHeld(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	first, second, third := w.file(1), w.file(2), w.file(3)
	w.hold(first)
	w.hold(second)
	w.ran(latch.RunDone, nil)
	w.told("2 requests are held until a person decides. See why with `latchd plan`, release exactly these with `latchd approve ")
	w.ran(latch.RunDone, nil)
	w.told()
	if _, _, err := w.store.Cancel(ctx, []string{first.ID}, "somebody", time.Now()); err != nil {
		t.Fatal(err)
	}
	w.ran(latch.RunDone, nil)
	w.told()
	w.hold(third)
	w.ran(latch.RunDone, nil)
	w.told("2 requests are held until a person decides.")
}

func (w *world) file(c latch.CustomerID) latch.Request {
	w.Helper()
	filed, err := w.store.File(w.Context(), "", []latch.Filing{{Customer: c, Account: "0014100000JJ3wtAAD", Source: "command"}}, time.Now())
	if err != nil {
		w.Fatal(err)
	}
	return filed[0].Request
}

func (w *world) hold(r latch.Request) {
	w.Helper()
	h := latch.Hold{Request: r.ID, Customer: r.Customer, Action: latch.Latch, To: r.Account, Since: time.Now()}
	if _, err := w.store.Record(w.Context(), "run", []state.Verdict{{Request: r.ID, To: latch.Held, Hold: &h}}, time.Now()); err != nil {
		w.Fatal(err)
	}
}

// TestDeadReceivers: runs are handed over without waiting, the failure is logged
// once and without the address, and what was untold is told in the end.
func TestDeadReceivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.to.set(0, nil)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.n.Loop(ctx) }()
		synctest.Wait()
		began := time.Now()
		w.record(latch.RunDone, map[latch.Outcome]int{latch.Conflict: 1})
		synctest.Wait()
		if w.to.tried() != 2 || time.Since(began) != 0 {
			t.Errorf("%d tries after %s", w.to.tried(), time.Since(began))
		}
		time.Sleep(24 * time.Hour) // virtual
		synctest.Wait()
		if w.to.tried() != 8 {
			t.Errorf("%d tries for one run, want 2 and 3 more each", w.to.tried())
		}
		w.to.set(http.StatusNotFound, nil)
		w.record(latch.RunDone, map[latch.Outcome]int{latch.Conflict: 4})
		synctest.Wait()
		w.to.set(http.StatusOK, nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		w.told("5 requests need a person: 5 conflict.")
		w.to.mu.Lock()
		beats := slices.Clone(w.to.beats)
		w.to.mu.Unlock()
		if len(beats) != 1 || !strings.Contains(beats[0], "01RUN0002") {
			t.Errorf("%q", beats)
		}
		w.to.set(http.StatusOK, make(chan struct{})) // a receiver that hangs
		w.record(latch.RunDone, nil)
		synctest.Wait()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		failures := 0
		for _, l := range w.logs.All() {
			line := fmt.Sprint(l.Message, l.ContextMap())
			if strings.Contains(line, "S3CR3T") {
				t.Errorf("an address is shown: %s", line)
			}
			if l.ContextMap()["event"] == latch.EventNotifyFailed {
				failures++
			}
		}
		if failures != 2 {
			t.Errorf("%d lines of failures, want one for each receiver: %v", failures, w.logs.All())
		}
	})
}
