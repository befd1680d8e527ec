package syncer_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"latchd/latch"
	"latchd/state"
)

// A customer that somebody else latches is found by the next survey of changes,
// or by a reading ahead of a decision, and the history says by which.
func TestDriftIsRecordedWithItsSource(t *testing.T) {
	inWorld(t, options{accounts: 50, customers: 20}, func(w *world) {
		w.done()
		time.Sleep(time.Hour)
		meddle := func(i, j int) {
			w.t.Helper()
			if err := w.box.SetCustomerAccount(w.box.CustomerID(i), w.box.AccountID(j)); err != nil {
				t.Fatal(err)
			}
		}
		meddle(4, 30)
		moved := time.Now()
		time.Sleep(time.Minute)
		if rep := w.done(); rep.Run.Customers.Changed != 1 {
			t.Errorf("customers of the run: %+v", rep.Run.Customers)
		}
		w.observed(4, latch.SeenBySurvey, w.account(4), w.account(30), moved)

		meddle(8, 31)
		moved = time.Now()
		id := w.ask(8, 31, false)
		// An arrival leaves the survey out.
		rep, err := w.sync.Run(w.ctx, arrival)
		if err != nil || rep.Run.Result != latch.RunDone || rep.Run.Customers.Changed != 1 {
			t.Fatalf("%+v, %v", rep.Run, err)
		}
		w.outcome(id, latch.Unchanged)
		w.observed(8, latch.SeenByReading, w.account(8), w.account(31), moved)
	})
}

func (w *world) observed(i int, by string, from, to latch.AccountID, modified time.Time) {
	w.t.Helper()
	page, _, err := w.store.History(w.ctx, state.HistoryFilter{Customer: w.customer(i), Kind: latch.KindObserved}, "", 0)
	if err != nil || len(page) != 1 {
		w.t.Fatalf("%d entries, %v", len(page), err)
	}
	e := page[0]
	if e.Source != by || e.From != from || e.To != to || e.Run == "" || e.Modified.Sub(modified).Abs() > time.Second || e.Detail == "" {
		w.t.Errorf("the history has %+v, modified %s", e, modified)
	}
	m, found, err := w.store.Mapping(w.ctx, w.customer(i))
	if err != nil || !found || m.Account != to || m.Origin != latch.OriginObserved {
		w.t.Errorf("the mapping has %+v, %v", m, err)
	}
}

// The lines of a run on drift are bounded, and the last says how many it left out.
func TestDriftIsLoggedWithinBounds(t *testing.T) {
	inWorld(t, options{accounts: 900, customers: 900}, func(w *world) {
		w.done()
		time.Sleep(time.Hour)
		for i := 0; i < 600; i += 4 {
			if err := w.box.SetCustomerAccount(w.box.CustomerID(i), w.box.AccountID(i+1)); err != nil {
				t.Fatal(err)
			}
		}
		w.set.Limits = latch.Limits{}
		if rep := w.done(); rep.Run.Customers.Changed != 150 {
			t.Fatalf("%+v", rep.Run.Customers)
		}
		lines, more := 0, ""
		for _, l := range w.logs.All() {
			fields := l.ContextMap()
			switch {
			case fields["event"] != latch.EventMappingObserved:
			case fields["more"] != nil:
				more = fmt.Sprint(fields["more"])
			case fields["fusebillId"] != nil:
				lines++
			}
		}
		if lines != 100 || more != "50" {
			t.Errorf("%d lines, %q more", lines, more)
		}
		entries, _, err := w.store.History(w.ctx, state.HistoryFilter{Kind: latch.KindObserved}, "", 0)
		if err != nil || len(entries) != 150 {
			t.Errorf("%d entries, %v", len(entries), err)
		}
	})
}

// A list of changed customers that never stands still makes the survey full.
func TestChangesThatNeverStandStill(t *testing.T) {
	inWorld(t, options{accounts: 50, customers: 20}, func(w *world) {
		w.done()
		info, err := w.store.SurveyInfo(w.ctx)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		box := w.wire.h
		var count atomic.Int64 // two pages are on their way at once
		count.Store(5000)
		w.wire.h = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.URL.RawQuery, "modifiedTimestamp") {
				box.ServeHTTP(rw, r)
				return
			}
			n, _ := strconv.Atoi(r.URL.Query().Get("pageNumber"))
			rw.Header().Set("X-Count", strconv.FormatInt(count.Add(-1), 10))
			var rows []string
			for i := range 1000 {
				rows = append(rows, fmt.Sprintf(`{"id":%d,"salesforceId":null}`, n*1000+i+1))
			}
			fmt.Fprint(rw, "["+strings.Join(rows, ",")+"]")
		})
		if err := w.box.SetCustomerAccount(w.box.CustomerID(4), w.box.AccountID(30)); err != nil {
			t.Fatal(err)
		}
		if rep := w.done(); rep.Run.Customers.Changed != 1 || rep.Run.Customers.Seen != 20 {
			t.Errorf("%+v", rep.Run.Customers)
		}
		after, err := w.store.SurveyInfo(w.ctx)
		if err != nil || !after.LastFull.After(info.LastFull) {
			t.Errorf("%+v, before %+v, %v", after, info, err)
		}
	})
}
