package state

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"latchd/latch"
)

var zeroID, _ = acc(0).Pack()

// millionID gives the n-th of millions of ids, in order, without making a text.
func millionID(n int) (p latch.PackedAccountID) {
	p = zeroID
	p[5], p[6], p[7], p[8] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
	return p
}

// memory reads a field of /proc/self/status, in MiB.
func memory(b *testing.B, field string) float64 {
	b.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip("no /proc here")
	}
	for line := range bytes.Lines(text) {
		if f := bytes.Fields(line); len(f) == 3 && string(f[0]) == field+":" {
			n, _ := strconv.Atoi(string(f[1]))
			return float64(n) / 1024
		}
	}
	return 0
}

// pullMillions is a full pull by pages of 2,000, a fifth of them noted in a job.
func pullMillions(b *testing.B, s *Store, n int) {
	b.Helper()
	do := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	do(s.StartPull(b.Context(), latch.PullJob{ID: "750"}))
	page := make([]latch.PackedAccountID, 0, 2_000)
	for i := range n {
		if page = append(page, millionID(i)); len(page) < cap(page) && i < n-1 {
			continue
		}
		do(s.StagePull(b.Context(), page))
		page = page[:0]
		if (i+1)%250_000 == 0 {
			do(s.StagePage(b.Context(), latch.PullPage{Locator: strconv.Itoa(i), Rows: 250_000}))
		}
	}
	_, err := s.CommitPull(b.Context(), PullCommit{Now: t0, Rows: n, MaxLostPercent: 5})
	do(err)
}

// BenchmarkFullPull is a full pull of ids in order: into an empty index, and over
// one that holds them already. Peak memory is the process's and never goes down:
// run one size at a time, and subtract what it says of 10,000.
func BenchmarkFullPull(b *testing.B) {
	for _, n := range []int{10_000, 1_000_000, 10_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := benchStore(b)
			for _, name := range []string{"first", "again"} {
				start := cpu()
				pullMillions(b, s, n)
				b.ReportMetric((cpu() - start).Seconds(), "cpu-s/"+name)
				b.ReportMetric(memory(b, "VmHWM"), "peakMiB/"+name)
				b.ReportMetric(memory(b, "RssFile"), "fileMiB/"+name)
				b.ReportMetric(memory(b, "RssAnon"), "anonMiB/"+name)
			}
			info, err := os.Stat(s.Path())
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(info.Size())/1e6, "MB/file")
		})
	}
}

// fullState makes a file with n accounts, 10,000 open intents and 100,000
// pending requests, as a crash leaves it. It is kept in the temporary folder,
// under the number of the schema, for the next benchmark.
func fullState(b *testing.B, n int) string {
	b.Helper()
	path := filepath.Join(os.TempDir(), fmt.Sprintf("latchd-bench-%d-%d.db", n, len(migrations)))
	if _, err := os.Stat(path); err == nil {
		return path
	}
	s, err := Open(b.Context(), Options{Path: path + ".new", NoSync: true})
	if err != nil {
		b.Fatal(err)
	}
	pullMillions(b, s, n)
	for from := 0; from < 110_000; from += 10_000 {
		filed, err := s.File(b.Context(), "", filings(from, 10_000), t0)
		if err != nil {
			b.Fatal(err)
		}
		if from > 0 {
			continue
		}
		for part := range slices.Chunk(filed, 1_000) {
			var is []latch.Intent
			for _, f := range part {
				is = append(is, intentFor(f.Request, "", t0))
			}
			if _, err := s.Begin(b.Context(), is); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		b.Fatal(err)
	}
	return path
}

// BenchmarkOpenFull opens a full state that was not closed, looks an account up
// and lists all open intents.
func BenchmarkOpenFull(b *testing.B) {
	for _, n := range []int{1_000_000, 10_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			path := fullState(b, n)
			var open, list time.Duration
			for b.Loop() {
				start := time.Now()
				s, err := Open(b.Context(), Options{Path: path})
				if err != nil {
					b.Fatal(err)
				}
				open += time.Since(start)
				start = time.Now()
				if _, err := s.Accounts(b.Context(), []latch.AccountID{acc(1)}); err != nil {
					b.Fatal(err)
				}
				for after, intents := "", 0; ; {
					page, next, err := s.OpenIntents(b.Context(), after, 0)
					if err != nil {
						b.Fatal(err)
					}
					intents += len(page)
					if after = next; after == "" {
						if intents != 10_000 {
							b.Fatalf("%d intents", intents)
						}
						break
					}
				}
				list += time.Since(start)
				b.StopTimer()
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(open.Milliseconds())/float64(b.N), "ms/open")
			b.ReportMetric(float64(list.Milliseconds())/float64(b.N), "ms/intents")
			b.ReportMetric(memory(b, "VmHWM"), "peakMiB")
		})
	}
}

// BenchmarkLookUp asks for random accounts of an index of 10 million, one each
// transaction and many in one.
func BenchmarkLookUp(b *testing.B) {
	const n = 10_000_000
	s, err := Open(b.Context(), Options{Path: fullState(b, n)})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	ids := make([]latch.AccountID, 1<<16)
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range ids {
		ids[i], _ = millionID(rnd.IntN(n)).AccountID()
	}
	b.Run("index", func(b *testing.B) {
		err := s.view(b.Context(), func(x *tx) error {
			for i := 0; b.Loop(); i++ {
				if r, err := x.account(ids[i%len(ids)]); err != nil || !r.InIndex {
					return fmt.Errorf("%s: %v", ids[i%len(ids)], err)
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	})
	b.Run("100 of the store", func(b *testing.B) {
		for i := 0; b.Loop(); i += 100 {
			at := i % (len(ids) - 100)
			if _, err := s.Accounts(b.Context(), ids[at:at+100]); err != nil {
				b.Fatal(err)
			}
		}
	})
}
