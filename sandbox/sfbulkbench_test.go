package sandbox

import (
	"bytes"
	"io"
	"runtime"
	"strconv"
	"testing"
)

// measured is a result over n accounts of which some were deleted.
func measured(tb testing.TB, n int) (*bulkResult, *csvWriter) {
	tb.Helper()
	s, err := New(Options{Accounts: n})
	if err != nil {
		tb.Fatal(err)
	}
	for i := range 100 {
		if err := s.DeleteAccount(s.AccountID(i * 7)); err != nil {
			tb.Fatal(err)
		}
	}
	query, problem := s.bulkQuery("SELECT Id FROM Account")
	if problem != nil {
		tb.Fatal(problem)
	}
	format, _ := csvFormatNamed("", "")
	j := &bulkJob{number: 1, query: query, format: format, pace: defaultBulkPace}
	return newBulkResult(s.accounts, j), &csvWriter{format, query.object, query.fields, true}
}

// A result of a million accounts is written with a buffer and no rows in memory:
// fewer allocations than one in a thousand rows.
func TestBulkResultHoldsNoRows(t *testing.T) {
	const n = 1_000_000
	result, w := measured(t, n)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	rows := result.rows()
	var last bytes.Buffer
	must(t, result.write(&tail{&last}, w, true, 0, rows))
	runtime.ReadMemStats(&after)
	equal(t, "rows", rows, n-100)
	if got := after.Mallocs - before.Mallocs; got > n/1000 {
		t.Errorf("%d allocations for %d rows", got, rows)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("%d bytes allocated for %d rows", got, rows)
	}
	equal(t, "end", last.String(), result.accounts.seed.accountID(n-1)+"\"\n")
}

// tail keeps the end of what is written, in one buffer.
type tail struct{ last *bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	t.last.Reset()
	t.last.Write(p[max(0, len(p)-20):])
	return len(p), nil
}

// BenchmarkBulkResults writes whole results; one operation is one result.
func BenchmarkBulkResults(b *testing.B) {
	for _, n := range []int{1_000_000, 10_000_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			result, w := measured(b, n)
			rows := result.rows()
			b.ReportAllocs()
			for b.Loop() {
				if err := result.write(io.Discard, w, true, 0, rows); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
