package staxbill

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"latchd/latch"
)

// ErrMoved is in the error of a survey whose list changed under it again and
// again: nothing is wrong with the service, and a later survey may do better.
var ErrMoved = errors.New("the list changed while it was read, again and again")

// maxAgain is how often a survey goes back because the list changed under it.
const maxAgain = 5

// Survey reads all customers in the order of their ids, or with since those
// changed at since or later, and hands over each page. Without an error it is
// complete: every page was as long as the service's own count asks, or, where it
// gives none, the last one was short. What was handed over before an error is
// not to be relied on as complete. The rows are yield's until it returns.
//
// It costs a call for each page of 1,000, and two pages are on their way at once
// where the count says that there are as many. Where customers left the list
// between two pages, some of those behind them may have been passed over: it
// then reads again from a page that is certain to begin among those that it saw,
// at two or three calls more.
//
// The error is an *Error, or what yield returned.
func (c *Client) Survey(ctx context.Context, since time.Time, yield func([]latch.CustomerReading) error) (Surveyed, error) {
	s := survey{c: c, filter: changedSince(since), size: pageSize, count: -1}
	s.pages.init(ctx, s.ask)
	defer s.pages.stop()
	for {
		readings, more, err := s.page()
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
	pages  ahead
	rows   []latch.CustomerReading // of one page, room used again
	size   int                     // rows on a full page
	number int                     // of the next page
	first  latch.CustomerID        // of the page before
	last   latch.CustomerID        // highest id seen
	count  int                     // what the service said last; -1 = nothing
	again  int                     // how often the list changed
	back   bool                    // the next page is there to begin among those seen
	alone  bool                    // the next page is asked for by itself
	began  bool
	sum    Surveyed
}

func (s *survey) call(number int) call {
	return call{
		op: opSurvey, method: http.MethodGet, maxBody: maxPage,
		target: fmt.Sprintf("/customers?%spageSize=%d&pageNumber=%d%s", s.filter, pageSize, number, byID),
	}
}

func (s *survey) ask(ctx context.Context, number int, into *bytes.Buffer) (*answer, *Error) {
	k := s.call(number)
	k.into = into
	return s.c.read(ctx, k)
}

// page reads the next page and checks that it continues the ones before.
func (s *survey) page() (fresh []latch.CustomerReading, more bool, err error) {
	p := s.pages.get(s.number, s.exists)
	if p.failed != nil {
		return nil, false, p.failed
	}
	a := p.a
	if !s.began {
		// Without a Date there is no watermark: the next survey is full.
		s.began = true
		s.sum.Watermark, _ = http.ParseTime(a.header.Get("Date"))
	}
	rows, err := appendCustomers(s.rows[:0], a)
	if err == nil {
		s.rows = rows
		more, err = s.complete(len(rows), a.header)
	}
	s.pages.used(p)
	if errors.Is(err, errChanged) && s.again < maxAgain {
		s.again++
		s.alone = true
		return nil, true, nil // complete said where to go on
	}
	if err == nil {
		fresh, err = s.continues(rows)
	}
	if errors.Is(err, errChanged) {
		err = fmt.Errorf("%w: %w", ErrMoved, err)
	}
	if err != nil {
		return nil, false, s.c.senseless(s.call(p.number), a, fmt.Errorf("page %d: %w", p.number, err))
	}
	s.number++
	s.back, s.alone = false, false
	return fresh, more, nil
}

// exists reports whether a page that comes later is known to be there.
func (s *survey) exists(number int) bool { return !s.alone && number*s.size < s.count }

// errChanged is a sign that the list changed between two pages.
var errChanged = errors.New("the list changed on the way")

// goBack continues at a page that begins among the customers seen, when as many
// left the list since the page before as its count fell by.
func (s *survey) goBack(fell int) {
	s.number = max(s.number*s.size-fell-1, 0) / s.size
	s.first, s.back = 0, true
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
	if s.back && s.number > 0 && rows[0].Customer > s.last {
		return nil, errors.New("it was to begin among the customers seen before and does not, so that some may have been passed over")
	}
	if len(fresh) == 0 && !s.back {
		return nil, errors.New("it holds nothing that the pages before did not hold")
	}
	s.first, s.last = rows[0].Customer, max(s.last, rows[len(rows)-1].Customer)
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
		before := s.count
		s.count = count
		s.goBack(before - count)
		return false, fmt.Errorf("%w: the count fell from %d to %d, so that customers may have been passed over", errChanged, before, count)
	}
	s.count = count
	if should := min(max(count-before, 0), s.size); n < should {
		return false, fmt.Errorf("%w: it has %d rows where the count of %d asks for %d", errChanged, n, count, should)
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
