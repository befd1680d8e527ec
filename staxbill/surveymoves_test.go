package staxbill

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"latchd/latch"
)

// moving is a list of customers that changes after given calls.
type moving struct {
	mu     sync.Mutex
	ids    []int
	calls  int
	change func(m *moving) // called under mu after each answer
}

func (m *moving) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, _ := strconv.Atoi(r.URL.Query().Get("pageNumber"))
	from, to := min(n*pageSize, len(m.ids)), min((n+1)*pageSize, len(m.ids))
	w.Header().Set("X-Count", strconv.Itoa(len(m.ids)))
	var rows []string
	for _, id := range m.ids[from:to] {
		rows = append(rows, fmt.Sprintf(`{"id":%d,"salesforceId":null}`, id))
	}
	_, _ = fmt.Fprint(w, "["+strings.Join(rows, ",")+"]")
	m.calls++
	m.change(m)
}

func (m *moving) remove(id int) {
	if i, ok := slices.BinarySearch(m.ids, id); ok {
		m.ids = slices.Delete(m.ids, i, i+1)
	}
}

func (m *moving) add(id int) {
	if i, ok := slices.BinarySearch(m.ids, id); !ok {
		m.ids = slices.Insert(m.ids, i, id)
	}
}

// TestSurveyOfAMovingList holds that customers which leave and join the list
// while it is paged through make a survey neither miss nor repeat another one.
func TestSurveyOfAMovingList(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(m *moving)
		gone   func(id int) bool // left on the way, and may be seen or not
		calls  int               // at most
	}{
		"nothing moves":           {func(*moving) {}, nil, 5},
		"one leaves after page 0": {func(m *moving) { m.at(1, func() { m.remove(10) }) }, func(id int) bool { return id == 10 }, 8},
		"one leaves on the way":   {func(m *moving) { m.at(3, func() { m.remove(10) }) }, func(id int) bool { return id == 10 }, 8},
		"many leave": {func(m *moving) {
			m.at(3, func() {
				for id := 10; id < 25_000; id += 10 {
					m.remove(id)
				}
			})
		}, func(id int) bool { return id%10 == 0 && id < 25_000 }, 9},
		"one joins":              {func(m *moving) { m.at(2, func() { m.add(15) }) }, nil, 8},
		"one leaves, late again": {func(m *moving) { m.at(2, func() { m.remove(10) }); m.at(4, func() { m.remove(20) }) }, func(id int) bool { return id <= 20 }, 11},
	} {
		t.Run(name, func(t *testing.T) {
			m := &moving{change: tc.change}
			for id := 10; id <= 45_000; id += 10 {
				m.ids = append(m.ids, id)
			}
			first := slices.Clone(m.ids)
			synctest.Test(t, func(t *testing.T) {
				c, _ := newClient(t, Options{Transport: inProcess(m.ServeHTTP)})
				seen := map[latch.CustomerID]int{}
				sum, err := c.Survey(t.Context(), time.Time{}, func(rows []latch.CustomerReading) error {
					for _, r := range rows {
						seen[r.Customer]++
					}
					return nil
				})
				if err != nil || sum.Seen != len(seen) {
					t.Fatalf("seen %d, handed over %d, %v", sum.Seen, len(seen), err)
				}
				for _, id := range first {
					n := seen[latch.CustomerID(id)]
					if n > 1 || n == 0 && (tc.gone == nil || !tc.gone(id)) {
						t.Errorf("customer %d was seen %d times", id, n)
					}
				}
				if m.calls > tc.calls {
					t.Errorf("%d calls, at most %d", m.calls, tc.calls)
				}
			})
		})
	}
}

func (m *moving) at(call int, do func()) {
	if m.calls == call {
		do()
	}
}

func TestSurveyOfAListThatNeverStandsStill(t *testing.T) {
	m := &moving{}
	for id := 10; id <= 45_000; id += 10 {
		m.ids = append(m.ids, id)
	}
	m.change = func(m *moving) { m.remove(m.ids[0]) }
	synctest.Test(t, func(t *testing.T) {
		c, _ := newClient(t, Options{Transport: inProcess(m.ServeHTTP)})
		_, err := c.Survey(t.Context(), time.Time{}, func([]latch.CustomerReading) error { return nil })
		if e := asError(t, err); !errors.Is(err, ErrMoved) || e.Kind != KindMalformed {
			t.Errorf("got %v", err)
		}
		if m.calls > 3*maxAgain+5 {
			t.Errorf("%d calls", m.calls)
		}
	})
}

// TestSurveyDownloadsAhead holds that a page is asked for while the one before
// is on its way, and that no page is asked for of which the count knows nothing.
func TestSurveyDownloadsAhead(t *testing.T) {
	m := &moving{change: func(*moving) {}}
	for id := 1; id <= 4000; id++ {
		m.ids = append(m.ids, id)
	}
	synctest.Test(t, func(t *testing.T) {
		c, _ := newClient(t, Options{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return inProcess(m.ServeHTTP)(r)
		})})
		began := time.Now()
		sum, err := c.Survey(t.Context(), time.Time{}, func([]latch.CustomerReading) error { return nil })
		if err != nil || sum.Seen != 4000 || m.calls != 4 {
			t.Fatalf("seen %d in %d calls, %v", sum.Seen, m.calls, err)
		}
		// The first alone; then the second and third, and the fourth while
		// the third is read.
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func TestSurveyThatIsGivenUpLeavesNoCall(t *testing.T) {
	m := &moving{change: func(*moving) {}}
	for id := 1; id <= 4000; id++ {
		m.ids = append(m.ids, id)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c, _ := newClient(t, Options{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.URL.Query().Get("pageNumber") != "0" {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			return inProcess(m.ServeHTTP)(r)
		})})
		_, err := c.Survey(ctx, time.Time{}, func([]latch.CustomerReading) error { cancel(); return nil })
		if e := asError(t, err); e.Kind != KindCancelled {
			t.Errorf("got %v", err)
		}
	})
}
