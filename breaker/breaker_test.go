package breaker

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"latchd/latch"
)

var errDown = errors.New("answered 503")

func newBreaker() (*Breaker, *observer.ObservedLogs) {
	core, logs := observer.New(zapcore.DebugLevel)
	return New("the service", zap.New(core)), logs
}

// enter wants a pass.
func enter(t *testing.T, b *Breaker) Pass {
	t.Helper()
	p, err := b.Enter(t.Context())
	if err != nil {
		t.Fatalf("kept back: %v", err)
	}
	return p
}

// keptBack wants an OpenError.
func keptBack(t *testing.T, b *Breaker) *OpenError {
	t.Helper()
	_, err := b.Enter(t.Context())
	var open *OpenError
	if !errors.As(err, &open) {
		t.Fatalf("let out, or %v", err)
	}
	return open
}

func open(t *testing.T, b *Breaker) {
	t.Helper()
	for range opensAfter {
		enter(t, b).Failed(errDown)
	}
}

// TestOpens: failures in a row open it, what stands between them does not.
func TestOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, logs := newBreaker()
		for range 3 {
			for range opensAfter - 1 {
				enter(t, b).Failed(errDown)
			}
			enter(t, b).Forgotten()
			enter(t, b).Answered()
		}
		if _, down := b.Outage(); down || logs.Len() != 0 {
			t.Fatalf("open after answers in between: %v", logs.All())
		}
		start := time.Now()
		for i := range opensAfter {
			if i > 0 {
				time.Sleep(time.Second)
			}
			enter(t, b).Failed(errDown)
		}
		e := keptBack(t, b)
		if !e.Since.Equal(start) || !e.NextTry.Equal(time.Now().Add(waitFirst)) {
			t.Errorf("%+v", e.Outage)
		}
		for _, says := range []string{"since 2000-01-01 00:00:00Z", "answered 503", "before 2000-01-01 00:00:34Z"} {
			if !strings.Contains(e.Error(), says) {
				t.Errorf("%q does not say %q", e, says)
			}
		}
	})
}

// TestProbes: one call at a time goes out, ever more seldom, and a good one
// closes it. Each outage is told twice: when it begins and when it ends.
func TestProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, logs := newBreaker()
		open(t, b)
		for _, wait := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 5 * time.Minute, 5 * time.Minute} {
			time.Sleep(wait - time.Millisecond)
			keptBack(t, b)
			time.Sleep(time.Millisecond)
			p := enter(t, b)
			if !p.Probe {
				t.Fatal("not a probe")
			}
			p.Failed(errDown)
			keptBack(t, b)
		}
		time.Sleep(waitMax)
		enter(t, b).Answered()
		if p := enter(t, b); p.Probe {
			t.Error("still a probe")
		}
		open(t, b)
		if e := keptBack(t, b); time.Until(e.NextTry) != waitFirst {
			t.Errorf("the second outage begins with a wait of %s", time.Until(e.NextTry))
		}
		var events []string
		for _, l := range logs.All() {
			events = append(events, l.ContextMap()["event"].(string))
		}
		if got := strings.Join(events, " "); got != latch.EventOutOfOrder+" "+latch.EventServiceBack+" "+latch.EventOutOfOrder {
			t.Error(got)
		}
	})
}

// TestBehindAProbe: calls that come while a probe is under way wait for what
// comes of it; a probe that is given up leaves the next one to another call.
func TestBehindAProbe(t *testing.T) {
	for name, end := range map[string]struct {
		probe func(Pass)
		let   int
	}{
		"good":      {Pass.Answered, 8},
		"bad":       {func(p Pass) { p.Failed(errDown) }, 0},
		"forgotten": {Pass.Forgotten, 1}, // the next probe, whose end the others wait for
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, _ := newBreaker()
				open(t, b)
				time.Sleep(waitFirst)
				p := enter(t, b)
				ctx, cancel := context.WithCancel(t.Context())
				var mu sync.Mutex
				let, given := 0, 0
				var all sync.WaitGroup
				for range 8 {
					all.Go(func() {
						_, err := b.Enter(ctx)
						mu.Lock()
						defer mu.Unlock()
						switch {
						case err == nil:
							let++
						case errors.Is(err, context.Canceled):
							given++
						}
					})
				}
				synctest.Wait()
				if let+given != 0 {
					t.Fatal("one did not wait")
				}
				end.probe(p)
				synctest.Wait()
				cancel()
				all.Wait()
				if let != end.let || name == "forgotten" && given != 7 {
					t.Errorf("%d were let out, %d gave up", let, given)
				}
			})
		})
	}
}

// TestLateAnswers: calls that went out before it opened neither keep it open nor
// move the next probe, and an answer to one of them closes it.
func TestLateAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newBreaker()
		failing, answered := enter(t, b), enter(t, b)
		open(t, b)
		before, _ := b.Outage()
		time.Sleep(10 * time.Second)
		failing.Failed(errDown)
		if after, _ := b.Outage(); after != before {
			t.Errorf("%+v became %+v", before, after)
		}
		answered.Answered()
		if _, down := b.Outage(); down {
			t.Error("still open")
		}
	})
}
