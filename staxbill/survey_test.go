package staxbill

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"latchd/latch"
)

// page is one answer of a list: ids from..to, and headers.
type page struct {
	from, to int
	header   map[string]string
	body     string // instead
}

func pages(t *testing.T, list ...page) roundTrip {
	return inProcess(func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.URL.Query().Get("pageNumber"))
		if err != nil || n >= len(list) {
			t.Errorf("asked for page %q of %d", r.URL.Query().Get("pageNumber"), len(list))
			w.WriteHeader(400)
			return
		}
		p := list[n]
		for k, v := range p.header {
			w.Header().Set(k, v)
		}
		w.Header().Set("Date", "Tue, 24 Nov 2026 09:00:0"+strconv.Itoa(n)+" GMT")
		if p.body != "" {
			_, _ = fmt.Fprint(w, p.body)
			return
		}
		var rows []string
		for id := p.from; id <= p.to; id++ {
			rows = append(rows, fmt.Sprintf(`{"id":%d,"salesforceId":null}`, id))
		}
		_, _ = fmt.Fprint(w, "["+strings.Join(rows, ",")+"]")
	})
}

func count(n int, more ...string) map[string]string {
	h := map[string]string{"X-Count": strconv.Itoa(n)}
	for i := 0; i+1 < len(more); i += 2 {
		h[more[i]] = more[i+1]
	}
	return h
}

func TestSurvey(t *testing.T) {
	for name, tc := range map[string]struct {
		pages []page
		seen  int    // -1 = an error
		says  string // in the error
	}{
		"nobody":                     {[]page{{body: "[]", header: count(0)}}, 0, ""},
		"nobody, no count":           {[]page{{body: "[]"}}, 0, ""},
		"one page":                   {[]page{{from: 1, to: 5, header: count(5)}}, 5, ""},
		"one page, no count":         {[]page{{from: 1, to: 5}}, 5, ""},
		"full page, no count":        {[]page{{from: 1, to: 1000}, {body: "[]"}}, 1000, ""},
		"full page, count":           {[]page{{from: 1, to: 1000, header: count(1000, "X-NextPage", "-1")}}, 1000, ""},
		"three pages":                {[]page{{from: 1, to: 1000, header: count(2100)}, {from: 1001, to: 2000, header: count(2100)}, {from: 2001, to: 2100, header: count(2100)}}, 2100, ""},
		"smaller pages, and said so": {[]page{{from: 1, to: 100, header: count(150, "X-PageSize", "100")}, {from: 101, to: 150, header: count(150, "X-PageSize", "100")}}, 150, ""},
		"one joined in front":        {[]page{{from: 1, to: 1000, header: count(1500)}, {from: 1000, to: 1500, header: count(1501)}}, 1500, ""},
		"one joined at the end":      {[]page{{from: 1, to: 1000, header: count(1500)}, {from: 1001, to: 1501, header: count(1501)}}, 1501, ""},
		"count of the page only":     {[]page{{from: 1, to: 1000, header: count(1000, "X-NextPage", "1")}, {from: 1001, to: 1005, header: count(1005)}}, 1005, ""},
		"short of its count":         {[]page{{from: 1, to: 5, header: count(6)}}, -1, "count of 6"},
		"short in the middle":        {[]page{{from: 1, to: 999, header: count(1500)}}, -1, "999 rows"},
		"count fell":                 {[]page{{from: 1, to: 1000, header: count(1500)}, {from: 1001, to: 1499, header: count(1499)}}, -1, "fell"},
		"count vanished":             {[]page{{from: 1, to: 1000, header: count(1500)}, {from: 1001, to: 1100}}, -1, "missing"},
		"page repeats":               {[]page{{from: 1, to: 1000}, {from: 1, to: 1000}}, -1, "repeats"},
		"goes backwards":             {[]page{{from: 2000, to: 2999}, {from: 1, to: 5}}, -1, "backwards"},
		"nothing new":                {[]page{{from: 1, to: 1000}, {from: 500, to: 1000}}, -1, "nothing"},
		"out of order":               {[]page{{body: `[{"id":2,"salesforceId":null},{"id":1,"salesforceId":null}]`}}, -1, "order"},
		"twice on a page":            {[]page{{body: `[{"id":2,"salesforceId":null},{"id":2,"salesforceId":null}]`}}, -1, "order"},
		"no link at all":             {[]page{{body: `[{"id":1,"salesforceId":null},{"id":2}]`}}, -1, "absent is not null"},
		"object":                     {[]page{{body: `{"id":1,"salesforceId":null}`}}, -1, "array"},
		"null":                       {[]page{{body: `null`}}, -1, "null"},
		"null element":               {[]page{{body: `[null]`}}, -1, "no id"},
		"html":                       {[]page{{body: `<html>`}}, -1, "HTML"},
		"broken off":                 {[]page{{body: `[{"id":1,"salesforceId":null},`}}, -1, "breaks off"},
		"more than asked for":        {[]page{{from: 1, to: 1001}}, -1, "more than"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, _ := newClient(t, Options{Transport: pages(t, tc.pages...)})
				var last latch.CustomerID
				seen := 0
				sum, err := c.Survey(t.Context(), time.Time{}, func(rs []latch.CustomerReading) error {
					for _, r := range rs {
						if r.Customer <= last || !r.Found || r.At.IsZero() {
							t.Errorf("%+v after %d", r, last)
						}
						last = r.Customer
						seen++
					}
					return nil
				})
				if tc.seen < 0 {
					if e := asError(t, err); (e.Kind == KindMalformed) == (name == "html") || !strings.Contains(e.Error(), tc.says) {
						t.Errorf("got %v", e)
					}
					return
				}
				if err != nil || sum.Seen != tc.seen || seen != tc.seen {
					t.Errorf("seen %d, handed over %d, %v", sum.Seen, seen, err)
				}
				if want := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC); !sum.Watermark.Equal(want) {
					t.Errorf("watermark %s", sum.Watermark)
				}
			})
		})
	}
}

func TestSurveyAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var raw string
		c, _ := newClient(t, Options{Transport: inProcess(func(w http.ResponseWriter, r *http.Request) {
			raw = r.URL.RawQuery
			_, _ = fmt.Fprint(w, "[]")
		})})
		none := func([]latch.CustomerReading) error { t.Error("an empty page was handed over"); return nil }
		since := time.Date(2024, 1, 1, 1, 0, 0, 999, time.FixedZone("", 3600))
		if _, err := c.Survey(t.Context(), since, none); err != nil {
			t.Fatal(err)
		}
		if want := "query=modifiedTimestamp:2024-01-01T00:00:00%7C&pageSize=1000&pageNumber=0&sortExpression=id&sortOrder=Ascending"; raw != want {
			t.Errorf("got  %s\nwant %s", raw, want)
		}
		if _, err := c.Survey(t.Context(), time.Time{}, none); err != nil || strings.Contains(raw, "query=") {
			t.Errorf("a full survey asked %s, %v", raw, err)
		}
	})
}

func TestSurveyStopsWhenItIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newClient(t, Options{Transport: pages(t, page{from: 1, to: 1000}, page{from: 1001, to: 2000})})
		full := errors.New("no room")
		_, err := c.Survey(t.Context(), time.Time{}, func([]latch.CustomerReading) error { return full })
		if !errors.Is(err, full) || c.Calls()[opSurvey] != 1 {
			t.Errorf("got %v after %v", err, c.Calls())
		}
	})
}
