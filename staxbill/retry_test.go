package staxbill

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"latchd/latch"
)

func eventField(event string) zapcore.Field { return zap.String("event", event) }

// script answers call after call; the last one for ever.
func script(answers ...http.HandlerFunc) roundTrip {
	var calls atomic.Int64
	return inProcess(func(w http.ResponseWriter, r *http.Request) {
		answers[min(int(calls.Add(1)), len(answers))-1](w, r)
	})
}

var (
	good    = answerWith(200, jsonType, `{"id":7,"salesforceId":null}`)
	broken  = answerWith(503, "text/html", "<html>")
	limited = answerWith(429, jsonType, `{"ErrorId":0,"HttpStatusCode":429,"Errors":[{"Key":"Api Error","Value":"minute"}]}`)
)

func withHeader(h http.HandlerFunc, name, value string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(name, value)
		h(w, r)
	}
}

func TestReadsAreTriedAgain(t *testing.T) {
	for name, tc := range map[string]struct {
		answers []http.HandlerFunc
		calls   int
		kind    Kind
		atLeast time.Duration
		atMost  time.Duration
	}{
		"good at once":         {[]http.HandlerFunc{good}, 1, 0, 0, 0},
		"good at the third":    {[]http.HandlerFunc{broken, broken, good}, 3, 0, 750 * time.Millisecond, 2250 * time.Millisecond},
		"never good":           {[]http.HandlerFunc{broken}, 3, KindTransient, 750 * time.Millisecond, 2250 * time.Millisecond},
		"as asked":             {[]http.HandlerFunc{withHeader(broken, "Retry-After", "20"), good}, 2, 0, 20 * time.Second, 20 * time.Second},
		"limited once":         {[]http.HandlerFunc{limited, good}, 2, 0, time.Minute, time.Minute},
		"limited as told":      {[]http.HandlerFunc{withHeader(limited, "Retry-After", "7"), good}, 2, 0, 7 * time.Second, 7 * time.Second},
		"limited for ever":     {[]http.HandlerFunc{limited}, 6, KindRateLimited, 5 * time.Minute, 5 * time.Minute},
		"limited for an hour":  {[]http.HandlerFunc{withHeader(limited, "Retry-After", "3600")}, 1, KindRateLimited, 0, 0},
		"refused is final":     {[]http.HandlerFunc{answerWith(403, jsonType, `{}`)}, 1, KindRefused, 0, 0},
		"the key is refused":   {[]http.HandlerFunc{answerWith(401, "", "")}, 1, KindAuth, 0, 0},
		"nonsense is final":    {[]http.HandlerFunc{answerWith(200, jsonType, "[]")}, 1, KindMalformed, 0, 0},
		"a page of an outage":  {[]http.HandlerFunc{answerWith(200, "text/html", "<html>")}, 3, KindTransient, 750 * time.Millisecond, 2250 * time.Millisecond},
		"bad link is final":    {[]http.HandlerFunc{answerWith(200, jsonType, `{"id":7}`)}, 1, KindMalformed, 0, 0},
		"another one is final": {[]http.HandlerFunc{answerWith(200, jsonType, `{"id":8,"salesforceId":null}`)}, 1, KindMalformed, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, _ := newClient(t, Options{Transport: script(tc.answers...)})
				start := time.Now()
				r, err := c.Customer(t.Context(), 7)
				took := time.Since(start)
				if tc.kind == 0 && (err != nil || !r.Found) {
					t.Errorf("got %+v, %v", r, err)
				}
				if tc.kind != 0 {
					if e := asError(t, err); e.Kind != tc.kind || e.Fate != 0 {
						t.Errorf("got %v %v", e.Kind, e.Fate)
					}
				}
				if got := c.Calls()[opCustomer]; got != tc.calls {
					t.Errorf("%d calls, want %d", got, tc.calls)
				}
				if took < tc.atLeast || took > tc.atMost {
					t.Errorf("took %s, want %s to %s", took, tc.atLeast, tc.atMost)
				}
				if tc.kind == 0 && r.At.Before(start.Add(tc.atLeast)) {
					t.Error("the reading is dated before its call went out")
				}
			})
		})
	}
}

func TestLatchIsNeverRepeated(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{"503": broken, "429": limited} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, logs := newClient(t, Options{Transport: script(h)})
				_, err := c.Latch(t.Context(), 7, accountA, false)
				e := asError(t, err)
				if c.Calls()[opLatch] != 1 {
					t.Errorf("%d calls", c.Calls()[opLatch])
				}
				if name == "429" && (e.RetryAfter != time.Minute || logs.FilterField(eventField(latch.EventRateLimited)).Len() != 1) {
					t.Errorf("again in %s", e.RetryAfter)
				}
			})
		})
	}
}

func TestEverybodyWaitsAfterA429(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newClient(t, Options{Transport: script(withHeader(limited, "Retry-After", "30"), good)})
		_, err := c.Latch(t.Context(), 7, accountA, false)
		if e := asError(t, err); e.Kind != KindRateLimited || e.Fate != FateNotSent {
			t.Errorf("got %v", e)
		}
		start := time.Now()
		if _, err := c.Customer(t.Context(), 7); err != nil || time.Since(start) != 30*time.Second {
			t.Errorf("%v after %s", err, time.Since(start))
		}
	})
}

// TestLongWaitIsNotSatOut: where a 429 asks for more than a call waits, nobody
// goes out until that is nearly over, and each is told how long. None of this
// speaks of an outage.
func TestLongWaitIsNotSatOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newClient(t, Options{Transport: script(withHeader(limited, "Retry-After", "1200"), good)})
		if e := asError(t, second(c.Latch(t.Context(), 7, accountA, false))); e.NotAsked() {
			t.Errorf("got %v", e)
		}
		start := time.Now()
		for range 10 {
			time.Sleep(110 * time.Second)
			left := 20*time.Minute - time.Since(start)
			for _, err := range []error{second(c.Latch(t.Context(), 7, accountA, false)), second(c.Customer(t.Context(), 7))} {
				e := asError(t, err)
				if e.Kind != KindRateLimited || !e.Limited() || !e.NotAsked() || e.RetryAfter != left {
					t.Errorf("got %v, again in %s, want %s", e, e.RetryAfter, left)
				}
				if e.Op == opLatch && e.Fate != FateNotSent {
					t.Errorf("got %v", e.Fate)
				}
			}
		}
		if n := c.Calls()[opLatch] + c.Calls()[opCustomer]; n != 1 || len(c.Outages()) != 0 {
			t.Errorf("%d calls, out of order is %v", n, c.Outages())
		}
		time.Sleep(10 * time.Second)
		if _, err := c.Customer(t.Context(), 7); err != nil || time.Since(start) != 20*time.Minute {
			t.Errorf("%v after %s", err, time.Since(start))
		}
	})
}

func second[T any](_ T, err error) error { return err }

// TestTold: each call that goes out and each that ends is told of, so that what
// waits for limits shows that it lives.
func TestTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newClient(t, Options{Transport: script(limited, broken, good)})
		last, told, apart := time.Now(), 0, time.Duration(0)
		ctx := WithTold(t.Context(), func() {
			told++
			last, apart = time.Now(), max(apart, time.Since(last))
		})
		if _, err := c.Customer(ctx, 7); err != nil {
			t.Fatal(err)
		}
		if told != 6 || apart != time.Minute {
			t.Errorf("told %d times of three calls, %s apart", told, apart)
		}
	})
}

func TestWaitEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newClient(t, Options{Transport: script(limited)})
		_, _ = c.Latch(t.Context(), 7, accountA, false)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Latch(ctx, 7, accountA, false)
		if e := asError(t, err); e.Kind != KindCancelled || e.Fate != FateNotSent {
			t.Errorf("got %v %v", e.Kind, e.Fate)
		}
	})
}

func TestCallTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		never := roundTrip(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		c, _ := newClient(t, Options{Transport: never, CallTimeout: 5 * time.Second, Concurrency: 8})
		start := time.Now()
		_, err := c.Latch(t.Context(), 7, accountA, false)
		if e := asError(t, err); e.Kind != KindTransient || e.Fate != FateUnknown || time.Since(start) != 5*time.Second {
			t.Errorf("got %v %v after %s", e.Kind, e.Fate, time.Since(start))
		}
		if got := c.Budget().Concurrency; got != 4 {
			t.Errorf("concurrency is %d, want 4", got)
		}
	})
}

func TestConcurrencyHalvesOnceAndRecovers(t *testing.T) {
	b := newBudget(0, 0, 16)
	enter := func() ticket {
		tk, err := b.enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return tk
	}
	h := http.Header{}
	b.leave(enter(), ending{reached: true, header: h, status: 200})
	var together []ticket
	for range 16 {
		together = append(together, enter())
	}
	for _, tk := range together {
		b.leave(tk, ending{reached: true, header: h, status: 503})
	}
	if b.limit != 8 {
		t.Errorf("16 failures together made it %d, want 8", b.limit)
	}
	for range 8 {
		b.leave(enter(), ending{reached: true, header: h, status: 200})
	}
	if b.limit != 9 {
		t.Errorf("a streak of successes made it %d, want 9", b.limit)
	}
	for range 10 {
		b.leave(enter(), ending{reached: true, header: h, status: 503})
	}
	if b.limit != 1 {
		t.Errorf("failures one after the other made it %d, want 1", b.limit)
	}
}

func TestNetworkFailureOfAReadIsTransient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newClient(t, Options{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("proxy said %q: %w", plantedKey, io.ErrUnexpectedEOF)
		})})
		_, err := c.Customers(t.Context(), []latch.CustomerID{1, 2})
		if e := asError(t, err); e.Kind != KindTransient || c.Calls()[opCustomers] != 3 {
			t.Errorf("got %v after %d calls", e.Kind, c.Calls()[opCustomers])
		}
	})
}
