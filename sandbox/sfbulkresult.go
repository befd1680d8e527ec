package sandbox

import (
	"encoding/base64"
	"fmt"
	"io"
	"sync"
)

const (
	bulkMark   = 10_000   // rows from one mark to the next
	bulkBuffer = 64 << 10 // bytes written at once
)

// bulkResult is what a job found: a view of the accounts as they were when it
// completed, and no rows. Marks say where in the walk every bulkMark-th row is, so
// that a page is found without walking from the beginning.
type bulkResult struct {
	accounts *accounts
	cursor   *cursor
	job      int

	once  sync.Once
	total int
	marks []int
}

// newBulkResult takes the view. It costs nothing that grows with the accounts:
// the change number stands for all of them.
func newBulkResult(a *accounts, j *bulkJob) *bulkResult {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return &bulkResult{accounts: a, cursor: planCursor(a, j.query, j.all), job: j.number}
}

// rows counts the rows; the first call walks the accounts.
func (res *bulkResult) rows() int {
	res.once.Do(func() {
		a, cur, place := res.accounts, res.cursor, 0
		a.mu.RLock()
		cur.arrange(a)
		a.mu.RUnlock()
		for more := true; more; {
			res.marks = append(res.marks, place)
			place, more = res.count(place)
		}
	})
	return res.total
}

// count walks to the next mark, with the lock held no longer than that.
func (res *bulkResult) count(place int) (int, bool) {
	a, cur := res.accounts, res.cursor
	r := &accountRow{a: a, number: cur.number}
	a.mu.RLock()
	defer a.mu.RUnlock()
	for range bulkMark {
		if limit := cur.query.limit; limit >= 0 && res.total == limit {
			return place, false
		}
		next, ok := cur.fill(r, place)
		if !ok {
			return place, false
		}
		place = next
		res.total++
	}
	return place, true
}

// write streams n rows from a row on; rows() has been asked before, and there are
// so many.
func (res *bulkResult) write(out io.Writer, w *csvWriter, header bool, row, n int) error {
	a, cur := res.accounts, res.cursor
	r := &accountRow{a: a, number: cur.number}
	buf := make([]byte, 0, bulkBuffer+4096)
	if header {
		buf = w.header(buf)
	}
	skip, place := 0, 0
	if len(res.marks) > 0 {
		skip, place = row%bulkMark, res.marks[row/bulkMark]
	}
	for n > 0 || len(buf) > 0 {
		// Rows are made under the lock and written without it: a slow reader must
		// not keep others from changing accounts.
		a.mu.RLock()
		for n > 0 && len(buf) < bulkBuffer {
			next, ok := cur.fill(r, place)
			if !ok {
				a.mu.RUnlock()
				return fmt.Errorf("sandbox: the result of bulk job %d lacks %d rows of its count", res.job, n)
			}
			if place = next; skip > 0 {
				skip--
				continue
			}
			buf = w.row(buf, r)
			n--
		}
		a.mu.RUnlock()
		if _, err := out.Write(buf); err != nil {
			return fmt.Errorf("sandbox: writing the result of bulk job %d: %w", res.job, err)
		}
		buf = buf[:0]
	}
	return nil
}

// locator names the page that begins with a row. It is the same whenever it is
// given, and none can be made up: the check depends on the seed and the job.
func (res *bulkResult) locator(row int) string {
	check := res.accounts.seed.hash(domainLocator, res.job<<32+row)
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d:%s", row, base62(check%(62*62*62*62), 4)))
}

// at is the row that a locator names.
func (res *bulkResult) at(locator string) (int, bool) {
	if locator == "" {
		return 0, true
	}
	var row int
	text, err := base64.RawURLEncoding.DecodeString(locator)
	if err != nil {
		return 0, false
	}
	if _, err := fmt.Sscanf(string(text), "%d:", &row); err != nil || row < 0 || row >= res.rows() {
		return 0, false
	}
	return row, res.locator(row) == locator
}
