package sfclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"latchd/latch"
)

const (
	jobID   = "750000000000001AAA"
	created = `{"id":"` + jobID + `","state":"UploadComplete"}`
)

func complete(rows int) string {
	return fmt.Sprintf(`{"id":%q,"state":"JobComplete","numberRecordsProcessed":%d}`, jobID, rows)
}

// jobs answers calls about one job: a creation, looks at it, and its results.
func jobs(look func() string, results http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			say(w, http.StatusOK, created)
		case strings.HasSuffix(r.URL.Path, "/results"):
			w.Header().Set("Content-Type", "text/csv")
			results(w, r)
		default:
			say(w, http.StatusOK, look())
		}
	}
}

func ignoring() BulkSteps {
	return BulkSteps{
		Created: func(latch.PullJob) error { return nil }, Polled: func() error { return nil },
		IDs: func([]latch.PackedAccountID) error { return nil }, Page: func(latch.PullPage) error { return nil },
	}
}

// TestBulkWaits: the looks at a job get rarer, and end after twelve hours.
func TestBulkWaits(t *testing.T) {
	looks := 0
	inOrg(t, jobs(func() string { looks++; return `{"id":"` + jobID[:15] + `","state":"InProgress"}` }, nil), func(t *testing.T, o *org) {
		begun := time.Now()
		_, err := o.c.BulkPull(t.Context(), latch.PullJob{}, ignoring())
		if e := asError(t, err); e.Kind != KindBulkRefused {
			t.Errorf("%v", e)
		}
		took(t, begun, bulkLife, bulkLife+pollMax)
		if looks < 700 || looks > 760 {
			t.Errorf("%d looks", looks)
		}
		// A caller who gives up is not kept waiting.
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute+time.Second)
		defer cancel()
		begun = time.Now()
		_, err = o.c.BulkPull(ctx, latch.PullJob{}, ignoring())
		if e := asError(t, err); e.Kind != KindCancelled {
			t.Errorf("%v", e)
		}
		took(t, begun, 10*time.Minute, 10*time.Minute+time.Second)
		o.quiet(t, err.Error())
	})
}

// dripping answers a page of rows that comes line by line.
func dripping(rows int, pause time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Sforce-NumberOfRecords", strconv.Itoa(rows))
		w.Header().Set("Sforce-Locator", "null")
		w.WriteHeader(http.StatusOK)
		for _, id := range someIDs(rows) {
			_, _ = io.WriteString(w, string(id)+"\n")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-time.After(pause):
			case <-r.Context().Done():
				return
			}
		}
	}
}

// TestBulkSlowly: a page may take longer than a call, as long as it comes; one
// that stands still, or never ends, breaks off.
func TestBulkSlowly(t *testing.T) {
	for _, c := range []struct {
		rows  int
		pause time.Duration
		ok    bool
	}{{10, 50 * time.Second, true}, {3, 61 * time.Second, false}, {60, 50 * time.Second, false}} {
		inOrg(t, jobs(func() string { return complete(c.rows) }, dripping(c.rows, c.pause)), func(t *testing.T, o *org) {
			begun := time.Now()
			pulled, err := o.c.BulkPull(t.Context(), latch.PullJob{}, ignoring())
			if c.ok {
				if err != nil || pulled.Rows != c.rows {
					t.Errorf("%+v %v", pulled, err)
				}
				return
			}
			if e := asError(t, err); e.Kind != KindTransient || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", e)
			}
			took(t, begun, 3*time.Minute, maxTries*pageTime+time.Minute)
		})
	}
}

// TestBulkCallerStops: an error of the caller ends the pull at once and is given
// as it is, though a page is under way and another one asked for ahead.
func TestBulkCallerStops(t *testing.T) {
	results := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Sforce-NumberOfRecords", "9000")
		w.Header().Set("Sforce-Locator", r.URL.Query().Get("locator")+"x")
		_, _ = io.WriteString(w, pageOf(someIDs(9000), "Id\n", "", "\n", "\n"))
	}
	inOrg(t, jobs(func() string { return complete(1 << 30) }, results), func(t *testing.T, o *org) {
		stop := errors.New("stop")
		do := ignoring()
		n := 0
		do.IDs = func(ids []latch.PackedAccountID) error {
			if n += len(ids); n > 20_000 {
				return stop
			}
			return nil
		}
		begun := time.Now()
		if _, err := o.c.BulkPull(t.Context(), latch.PullJob{}, do); err != stop {
			t.Errorf("%v", err)
		}
		took(t, begun, 0, 0)
		if calls := o.c.Calls()["bulkResults"]; calls > 4 {
			t.Errorf("%d calls for 3 pages: it runs ahead", calls)
		}
	})
}

// TestBulkCallerStopsTheCallAhead: what was asked for ahead ends with the pull.
func TestBulkCallerStopsTheCallAhead(t *testing.T) {
	ended := make(chan struct{})
	asked := make(chan struct{})
	results := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("locator") != "" {
			close(asked)
			<-r.Context().Done()
			close(ended)
			return
		}
		w.Header().Set("Sforce-NumberOfRecords", "3")
		w.Header().Set("Sforce-Locator", "next")
		_, _ = io.WriteString(w, pageOf(someIDs(3), "Id\n", "", "\n", "\n"))
	}
	inOrg(t, jobs(func() string { return complete(6) }, results), func(t *testing.T, o *org) {
		stop := errors.New("stop")
		do := ignoring()
		do.Page = func(latch.PullPage) error { <-asked; return stop }
		begun := time.Now()
		if _, err := o.c.BulkPull(t.Context(), latch.PullJob{}, do); err != stop {
			t.Errorf("%v", err)
		}
		<-ended
		took(t, begun, 0, 0)
	})
}

// TestBulkPageWrongOnce: a page that is not what it says is asked for again, and
// no more of it is handed over than it said.
func TestBulkPageWrongOnce(t *testing.T) {
	for _, first := range []string{"2", "4", "", "x"} {
		n := 0
		results := func(w http.ResponseWriter, _ *http.Request) {
			rows := "3"
			if n++; n == 1 {
				rows = first
			}
			w.Header().Set("Sforce-NumberOfRecords", rows)
			_, _ = io.WriteString(w, pageOf(someIDs(3), "Id\n", "", "\n", "\n"))
		}
		inOrg(t, jobs(func() string { return complete(3) }, results), func(t *testing.T, o *org) {
			do := ignoring()
			got := 0
			do.IDs = func(ids []latch.PackedAccountID) error { got += len(ids); return nil }
			if pulled, err := o.c.BulkPull(t.Context(), latch.PullJob{}, do); err != nil || pulled.Rows != 3 || n != 2 || got != 3 {
				t.Errorf("%q: %+v %v, %d ids in %d calls", first, pulled, err, got, n)
			}
		})
	}
}

// TestBulkNonsense: answers that cannot be, none of which may give a shorter org.
func TestBulkNonsense(t *testing.T) {
	ids := someIDs(3)
	good := pageOf(ids, "Id\n", `"`, "\n", "\n")
	page := func(rows, locator, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if rows != "" {
				w.Header().Set("Sforce-NumberOfRecords", rows)
			}
			w.Header().Set("Sforce-Locator", locator)
			_, _ = io.WriteString(w, body)
		}
	}
	for name, c := range map[string]struct {
		look  string
		pages http.HandlerFunc
		says  string
	}{
		"rows not told":             {complete(3), page("", "null", good), "how many rows"},
		"rows below none":           {complete(3), page("-1", "null", good), "how many rows"},
		"a row less than told":      {complete(3), page("4", "null", good), "3 rows came of a page of 4"},
		"a row more than told":      {complete(3), page("2", "null", good), "3 rows came of a page of 2"},
		"less than the job's":       {complete(4), page("3", "null", good), "3 rows came of the job's 4"},
		"more than the job's":       {complete(2), page("3", "null", good), "3 rows came of the job's 2"},
		"no more pages, by silence": {complete(4), page("3", "", good), "3 rows came of the job's 4"},
		"pages without an end":      {complete(10), page("3", "again", good), "names no next page"},
		"an empty page before more": {complete(3), page("0", "next", ""), "names no next page"},
		"a locator like a book":     {complete(3), page("3", strings.Repeat("x", 2000), good), "names no next page"},
		"a line that is no id":      {complete(3), page("3", "null", strings.Replace(good, "\n", "\n\n", 1)), "at byte 3"},
		"another job":               {`{"id":"750000000000002AAA","state":"JobComplete","numberRecordsProcessed":3}`, nil, "another job"},
		"a state from nowhere":      {`{"id":"` + jobID + `","state":"Done"}`, nil, "not known"},
		"complete without a count":  {`{"id":"` + jobID + `","state":"JobComplete"}`, nil, "how many rows"},
		"no job":                    {`[]`, nil, "not a query job"},
	} {
		inOrg(t, jobs(func() string { return c.look }, c.pages), func(t *testing.T, o *org) {
			_, err := o.c.BulkPull(t.Context(), latch.PullJob{}, ignoring())
			if e := asError(t, err); e.Kind != KindMalformed || !strings.Contains(e.Error(), c.says) {
				t.Errorf("%s: %s %v, want %q", name, e.Kind, e, c.says)
			}
			if calls := o.c.Calls()["bulkResults"]; calls > 6 {
				t.Errorf("%s: %d calls for results", name, calls)
			}
		})
	}
}

// FuzzBulkJob: whatever is told of a job, it is refused or makes sense.
func FuzzBulkJob(f *testing.F) {
	for _, body := range []string{
		created, complete(3), `{"id":"` + jobID + `","state":"Failed","errorMessage":"INVALIDENTITY"}`, `[]`, `null`, `{`,
		`{"id":"750000000000001","apiVersion":67.0,"state":"InProgress","numberRecordsProcessed":0}`, `{"id":7,"state":null}`,
	} {
		f.Add([]byte(body), true)
		f.Add([]byte(body), false)
	}
	f.Fuzz(func(t *testing.T, body []byte, asked bool) {
		id := ""
		if asked {
			id = jobID
		}
		info, err := readJob("op", id, body)
		if err != nil {
			if err.Kind != KindMalformed {
				t.Fatalf("%v", err)
			}
			return
		}
		if !strings.HasPrefix(info.ID, "750") || len(info.ID) != 15 && len(info.ID) != 18 || strings.ContainsAny(info.ID, "/?#.%") {
			t.Fatalf("id %q", info.ID)
		}
		if asked && (info.ID[:15] != jobID[:15] || info.State == jobComplete && (info.Records == nil || *info.Records < 0)) {
			t.Fatalf("%+v", info)
		}
	})
}
