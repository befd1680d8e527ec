package staxbill

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"latchd/latch"
)

// Survey reads all customers in the order of their ids, or with since those
// changed at since or later, and hands over each page. Without an error it is
// complete: every page was as long as the service's own count asks, or, where it
// gives none, the last one was short. What was handed over before an error is
// not to be relied on as complete.
//
// The error is an *Error, or what yield returned.
func (c *Client) Survey(ctx context.Context, since time.Time, yield func([]latch.CustomerReading) error) (Surveyed, error) {
	s := survey{c: c, filter: changedSince(since), size: pageSize, count: -1}
	for {
		readings, more, err := s.page(ctx)
		if err != nil {
			return s.sum, err
		}
		if len(readings) > 0 {
			s.sum.Seen += len(readings)
			if err := yield(readings); err != nil {
				return s.sum, err
			}
		}
		if !more {
			return s.sum, nil
		}
	}
}

// changedSince is the filter of a changes-only survey, "low|" being a range
// without end whose low side is included (dev/date-filtering). Seconds are
// all that it takes, so since is cut to one.
func changedSince(since time.Time) string {
	if since.IsZero() {
		return ""
	}
	return "query=modifiedTimestamp:" + since.UTC().Format("2006-01-02T15:04:05") + "%7C&"
}

// survey is where a survey stands.
type survey struct {
	c      *Client
	filter string
	size   int // rows on a full page
	number int // of the next page
	first  latch.CustomerID
	last   latch.CustomerID // highest id seen
	count  int              // what the service said last; -1 = nothing
	sum    Surveyed
}

// page reads the next page and checks that it continues the ones before.
func (s *survey) page(ctx context.Context) (fresh []latch.CustomerReading, more bool, err error) {
	k := call{
		op: opSurvey, method: http.MethodGet, maxBody: maxPage,
		target: fmt.Sprintf("/customers?%spageSize=%d&pageNumber=%d%s", s.filter, pageSize, s.number, byID),
	}
	a, failed := s.c.read(ctx, k)
	if failed != nil {
		return nil, false, failed
	}
	rows, err := manyCustomers(a)
	if err == nil {
		fresh, err = s.continues(rows)
	}
	if err == nil {
		more, err = s.complete(len(rows), a.header)
	}
	if err != nil {
		return nil, false, s.c.senseless(k, a, fmt.Errorf("page %d: %w", s.number, err))
	}
	if s.number == 0 {
		// Without a Date there is no watermark: the next survey is full.
		s.sum.Watermark, _ = http.ParseTime(a.header.Get("Date"))
	}
	s.number++
	return fresh, more, nil
}

// continues checks the order and drops what an earlier page had already: pages
// are cut anew for every call, so that a customer that joins the list moves
// those behind it to the next page.
func (s *survey) continues(rows []latch.CustomerReading) ([]latch.CustomerReading, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	for i := 1; i < len(rows); i++ {
		if rows[i].Customer <= rows[i-1].Customer {
			return nil, fmt.Errorf("customer %d comes after %d, so the list is not in the order of ids that was asked for", rows[i].Customer, rows[i-1].Customer)
		}
	}
	if s.number > 0 && rows[0].Customer <= s.first {
		return nil, errors.New("it begins no later than the page before: the list goes backwards or the page repeats")
	}
	fresh := rows
	for len(fresh) > 0 && fresh[0].Customer <= s.last {
		fresh = fresh[1:]
	}
	if len(fresh) == 0 {
		return nil, errors.New("it holds nothing that the pages before did not hold")
	}
	s.first, s.last = rows[0].Customer, rows[len(rows)-1].Customer
	return fresh, nil
}

// complete checks the length of a page of n rows against the service's headers
// (dev/pagination) and says whether more follow.
func (s *survey) complete(n int, h http.Header) (more bool, err error) {
	if size, ok := headerNumber(h, "X-PageSize"); ok && s.number == 0 && size >= max(n, 1) && size < pageSize {
		s.size = size // a smaller page than asked for, and said so
	}
	if n > s.size {
		return false, fmt.Errorf("it has %d rows, more than the %d asked for", n, s.size)
	}
	full := n == s.size
	count, ok := headerNumber(h, "X-Count")
	if !ok {
		if s.count >= 0 {
			return false, errors.New("X-Count, which the pages before had, is missing")
		}
		return full, nil
	}
	before := s.number * s.size
	if count < s.count {
		return false, fmt.Errorf("the count fell from %d to %d on the way, so that customers may have been passed over", s.count, count)
	}
	s.count = count
	if should := min(max(count-before, 0), s.size); n < should {
		return false, fmt.Errorf("it has %d rows where the count of %d asks for %d", n, count, should)
	}
	if before+n < count {
		return true, nil
	}
	// All that was counted is there. Where the page is full and the service
	// names a next one, the count was of something else.
	next, named := headerNumber(h, "X-NextPage")
	return full && (before+n > count || named && next > s.number), nil
}

func headerNumber(h http.Header, name string) (int, bool) {
	n, err := strconv.Atoi(h.Get(name))
	return n, err == nil && n >= 0
}
