package staxbill

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"latchd/latch"
)

// meter is a service with a limit in windows aligned to its own clock. It runs
// under virtual time.
type meter struct {
	limitMinute, limitDay int
	skew                  time.Duration // of its clock against ours
	form                  func(time.Time) string
	latency               func(n int) time.Duration
	noHeaders             bool
	others                int // calls of other users at the beginning of each minute

	mu          sync.Mutex
	n           int
	minute, day time.Time
	used, spent int
	refused     int
	underWay    int
	most        int
	perWindow   map[time.Time]int
	at          []time.Time
}

func (m *meter) now() time.Time { return time.Now().Add(m.skew) }

func (m *meter) RoundTrip(r *http.Request) (*http.Response, error) {
	m.mu.Lock()
	m.n++
	m.underWay++
	m.most = max(m.most, m.underWay)
	n := m.n
	m.at = append(m.at, time.Now())
	m.mu.Unlock()
	var latency time.Duration
	if m.latency != nil {
		latency = m.latency(n)
	}
	time.Sleep(latency / 2)
	resp := inProcessAnswer(m.serve, r)
	time.Sleep(latency - latency/2)
	m.mu.Lock()
	m.underWay--
	m.mu.Unlock()
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return resp, nil
}

func inProcessAnswer(h http.HandlerFunc, r *http.Request) *http.Response {
	resp, _ := inProcess(h)(r.WithContext(context.Background()))
	return resp
}

func (m *meter) serve(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now().UTC()
	if t := now.Truncate(time.Minute); !t.Equal(m.minute) {
		m.minute, m.used = t, m.others
	}
	if t := now.Truncate(24 * time.Hour); !t.Equal(m.day) {
		m.day, m.spent = t, 0
	}
	over := m.used >= m.limitMinute || m.spent >= m.limitDay
	if !over {
		m.used++
		m.spent++
		if m.perWindow == nil {
			m.perWindow = map[time.Time]int{}
		}
		m.perWindow[m.minute]++
	}
	h := w.Header()
	h.Set("Date", now.Format(http.TimeFormat))
	if !m.noHeaders {
		h.Set("X-Rate-Limit-Limit-Minute", strconv.Itoa(m.limitMinute))
		h.Set("X-Rate-Limit-Remaining-Minute", strconv.Itoa(m.limitMinute-m.used))
		h.Set("X-Rate-Limit-Reset-Minute", m.form(m.minute.Add(time.Minute)))
		h.Set("X-Rate-Limit-Limit-Day", strconv.Itoa(m.limitDay))
		h.Set("X-Rate-Limit-Remaining-Day", strconv.Itoa(m.limitDay-m.spent))
		h.Set("X-Rate-Limit-Reset-Day", m.form(m.day.Add(24*time.Hour)))
	}
	if over {
		m.refused++
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	if r.Method == http.MethodGet {
		_, _ = fmt.Fprintf(w, `{"id":7,"salesforceId":null}`)
	}
}

func layout(l string) func(time.Time) string {
	return func(t time.Time) string { return t.UTC().Format(l) }
}

// resetForms are the forms of Reset that are plausible; the last three cannot
// be made sense of.
var resetForms = map[string]func(time.Time) string{
	"rfc3339":  layout(time.RFC3339),
	"decimals": layout("2006-01-02T15:04:05.0000000Z"),
	"zoneless": layout("2006-01-02T15:04:05"),
	"unix":     func(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) },
	"unix-ms":  func(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) },
	"rfc1123":  layout(http.TimeFormat),
	"dotnet":   layout("1/2/2006 3:04:05 PM"),
	"none":     func(time.Time) string { return "" },
	"garbage":  func(time.Time) string { return "soon" },
	"absurd":   func(t time.Time) string { return t.Add(1000 * time.Hour).Format(time.RFC3339) },
}

// hammer latches from many goroutines for a while.
func hammer(t *testing.T, c *Client, goroutines int, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for ctx.Err() == nil {
				_, err := c.Latch(ctx, latch.CustomerID(g+1), accountA, false)
				if e, failed := As(err); failed && e.Kind != KindCancelled {
					t.Errorf("latch: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestOnlyUserNeverEarnsA429(t *testing.T) {
	jitter := func(n int) time.Duration { return time.Duration(20+n*7919%400) * time.Millisecond }
	for name, form := range resetForms {
		for _, skew := range []time.Duration{0, 17*time.Second + 300*time.Millisecond, -3 * time.Hour} {
			t.Run(fmt.Sprintf("%s/%s", name, skew), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := &meter{limitMinute: 50, limitDay: 5000, skew: skew, form: form, latency: jitter}
					c, _ := newClient(t, Options{Transport: m, Concurrency: 16})
					hammer(t, c, 40, 10*time.Minute)
					if m.refused != 0 {
						t.Errorf("%d answers of 429", m.refused)
					}
					if name == "none" || name == "garbage" || name == "absurd" {
						if m.n < 300 {
							t.Errorf("%d calls in ten minutes", m.n)
						}
						return
					}
					for w := range m.perWindow {
						first, last := m.at[0].Add(skew), m.at[len(m.at)-1].Add(skew)
						if whole := w.After(first) && w.Add(2*time.Minute).Before(last); whole && m.perWindow[w] < 49 {
							t.Errorf("only %d of 50 calls in the minute of %s", m.perWindow[w], w)
						}
					}
				})
			})
		}
	}
}

func TestWindowOfLiveSizeIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meter{limitMinute: 1000, limitDay: 180_000, form: resetForms["rfc3339"], latency: func(n int) time.Duration {
			return time.Duration(100+n*31%300) * time.Millisecond
		}}
		c, _ := newClient(t, Options{Transport: m, Concurrency: 16})
		hammer(t, c, 64, 5*time.Minute)
		if total := m.n; m.refused != 0 || total < 4*970 {
			t.Errorf("%d calls and %d answers of 429 in five minutes", total, m.refused)
		}
		if m.most > 16 {
			t.Errorf("%d calls at once, more than 16", m.most)
		}
	})
}

func TestFirstCallGoesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meter{limitMinute: 2, limitDay: 100, form: resetForms["unix"], latency: func(int) time.Duration { return time.Second }}
		c, _ := newClient(t, Options{Transport: m})
		hammer(t, c, 30, 40*time.Second)
		if m.refused != 0 || m.n != 2 || m.most != 1 {
			t.Errorf("%d calls, %d at once, %d refused", m.n, m.most, m.refused)
		}
	})
}

// A gateway that answers in the service's place tells nothing of its limits.
func TestGatewayErrorsDoNotOpenTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meter{limitMinute: 10, limitDay: 500, form: resetForms["rfc3339"], latency: func(int) time.Duration { return 50 * time.Millisecond }}
		start := time.Now()
		gateway := roundTrip(func(r *http.Request) (*http.Response, error) {
			if s := time.Since(start) % (100 * time.Second); s < 3*time.Second {
				time.Sleep(100 * time.Millisecond)
				return inProcessAnswer(answerWith(502, "text/html", "<html>"), r), nil
			}
			return m.RoundTrip(r)
		})
		c, _ := newClient(t, Options{Transport: gateway})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				for ctx.Err() == nil {
					_, err := c.Latch(ctx, 7, accountA, false)
					if e, ok := As(err); ok && e.Kind == KindKeptBack {
						pause(ctx, e.RetryAfter)
					}
				}
			})
		}
		wg.Wait()
		if m.refused != 0 || m.n < 60 {
			t.Errorf("%d calls, %d answers of 429", m.n, m.refused)
		}
	})
}

func TestHeadersThatVanish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meter{limitMinute: 50, limitDay: 5000, form: resetForms["garbage"], latency: func(int) time.Duration { return time.Second }}
		c, _ := newClient(t, Options{Transport: m})
		hammer(t, c, 20, 30*time.Second)
		m.noHeaders, m.limitMinute, m.limitDay = true, 1e6, 1e6
		time.Sleep(2 * time.Hour)
		before := m.n
		hammer(t, c, 20, time.Minute)
		if m.n-before < 500 {
			t.Errorf("%d calls in a minute without limits", m.n-before)
		}
	})
}

func TestCapWithoutHeaders(t *testing.T) {
	for limit, want := range map[int]int{0: 1000, 30: 30} {
		synctest.Test(t, func(t *testing.T) {
			m := &meter{limitMinute: 1e6, limitDay: 1e6, noHeaders: true}
			c, _ := newClient(t, Options{Transport: m, MaxPerMinute: limit})
			if got := c.PerMinute(); got != want {
				t.Errorf("PerMinute is %d, want %d", got, want)
			}
			hammer(t, c, 20, 3*time.Minute-time.Second)
			if m.n != 3*want {
				t.Errorf("%d calls in three minutes, want %d", m.n, 3*want)
			}
			for i := want; i < len(m.at); i++ {
				if m.at[i].Sub(m.at[i-want]) < time.Minute {
					t.Fatalf("more than %d calls within a minute", want)
				}
			}
			if c.Budget().Known {
				t.Error("limits are known that nobody told")
			}
		})
	}
}

func TestMaxPerMinuteCapsBesideHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meter{limitMinute: 1000, limitDay: 180_000, form: resetForms["unix"]}
		c, _ := newClient(t, Options{Transport: m, MaxPerMinute: 25})
		hammer(t, c, 20, 2*time.Minute-time.Second)
		if m.n != 50 || c.PerMinute() != 25 {
			t.Errorf("%d calls in two minutes, PerMinute %d", m.n, c.PerMinute())
		}
	})
}

func TestReserveOfTheDayIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meter{limitMinute: 1000, limitDay: 100, form: resetForms["rfc3339"]}
		c, logs := newClient(t, Options{Transport: m, DailyReservePercent: 10})
		var wg sync.WaitGroup
		var mu sync.Mutex
		kept := 0
		for range 150 {
			wg.Go(func() {
				_, err := c.Latch(t.Context(), 7, accountA, false)
				if e, failed := As(err); failed {
					if e.Kind != KindDailyBudget || e.Fate != FateNotSent || !e.Limited() || e.RetryAfter < time.Hour {
						t.Errorf("got %v %v, again in %s", e.Kind, e.Fate, e.RetryAfter)
					}
					mu.Lock()
					kept++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if m.n != 90 || kept != 60 || c.Budget().RemainingDay != 10 {
			t.Errorf("%d calls went out, %d were kept back, %d left", m.n, kept, c.Budget().RemainingDay)
		}
		if n := logs.FilterField(eventField(latch.EventBudgetSpent)).Len(); n != 1 {
			t.Errorf("said %d times", n)
		}
		time.Sleep(24*time.Hour + 2*time.Second)
		if _, err := c.Latch(t.Context(), 7, accountA, false); err != nil {
			t.Errorf("the next day: %v", err)
		}
	})
}

// A call whose answer was lost may have been counted.
func TestLostAnswersArePaidFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meter{limitMinute: 20, limitDay: 5000, form: resetForms["rfc3339"]}
		n := 0
		cut := roundTrip(func(r *http.Request) (*http.Response, error) {
			resp, err := m.RoundTrip(r)
			if n++; n%3 == 0 {
				return nil, fmt.Errorf("connection reset")
			}
			return resp, err
		})
		c, _ := newClient(t, Options{Transport: cut, Concurrency: 1})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		for ctx.Err() == nil {
			_, _ = c.Latch(ctx, 7, accountA, false)
		}
		if m.refused != 0 || m.n < 90 {
			t.Errorf("%d calls, %d answers of 429", m.n, m.refused)
		}
	})
}

func TestOutOfOrderAnswersNeverRaiseWhatIsLeft(t *testing.T) {
	now := time.Date(2026, 11, 24, 9, 0, 5, 0, time.UTC)
	w := window{name: "Minute", span: time.Minute, fallback: time.Minute}
	say := func(seq uint64, left int, reset time.Time) {
		w.learn(report{limit: 50, left: left, hasLeft: true, reset: reset, whole: true, date: now}, seq, now, 10)
	}
	minute := now.Truncate(time.Minute).Add(time.Minute)
	say(2, 40, minute)
	say(1, 45, minute)
	if w.left != 40 {
		t.Errorf("an older answer raised it to %d", w.left)
	}
	say(4, 49, minute.Add(time.Minute))
	say(3, 3, minute)
	if w.left != 49 {
		t.Errorf("an answer of the window before made it %d", w.left)
	}
}

func TestParseReset(t *testing.T) {
	clock := time.Date(2026, 11, 24, 9, 0, 5, 0, time.UTC)
	want := clock.Add(55 * time.Second)
	for _, s := range []string{
		"2026-11-24T09:01:00Z", "2026-11-24T10:01:00+01:00", "2026-11-24T09:01:00", "2026-11-24T09:01:00.0000000Z",
		"1795510860", "1795510860000", "Tue, 24 Nov 2026 09:01:00 GMT", "11/24/2026 9:01:00 AM", " 55 ", `"2026-11-24T09:01:00Z"`,
	} {
		if got, ok := parseReset(s, clock); !ok || !got.Equal(want) {
			t.Errorf("%q: got %s, %v", s, got, ok)
		}
	}
	for _, s := range []string{"", "soon", "-1", "NaN", "1e300", "Inf"} {
		if got, ok := parseReset(s, clock); ok {
			t.Errorf("%q was read as %s", s, got)
		}
	}
}
