package syncer_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	bolt "go.etcd.io/bbolt"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/syncer"
)

var soakDays = flag.Int("soak-days", 5, "how many days of virtual time the soak lasts")

// TestSoak is days of operation in virtual time: a run every 15 minutes, requests
// by every way in, changes in both services, faults, steps that the guard holds.
// What is kept is an eighth of that time, and a day at least, so from a quarter
// of it on all has to be flat: memory, goroutines, the file, the pages in use,
// and what is in each bucket. The long form:
// nice go test ./syncer -run TestSoak -soak-days 120 -timeout 60m -v.
func TestSoak(t *testing.T) {
	days := *soakDays
	set := syncer.Settings{
		Sync: schedule(t, "*/15 * * * *"), Full: schedule(t, "0 3 * * 0"), QuietTime: time.Minute, MaxAttempts: 3,
		Limits: latch.Limits{MaxRelatches: 1, MaxLostAccountsPercent: 5, MaxLostMappingsPercent: 5},
		Policy: latch.Policy{WaitForAccount: time.Hour}, DropFolder: t.TempDir(),
	}
	keep := max(24*time.Hour, time.Duration(days)*24*time.Hour/8)
	inWorld(t, options{accounts: 600, customers: 200, set: set, daemon: true, keep: keep}, func(w *world) {
		s := &soak{world: w, random: rand.New(rand.NewPCG(1, uint64(days)))}
		var quarter measure
		for day := range days {
			for range 12 {
				s.something()
				time.Sleep(2 * time.Hour)
			}
			s.operator()
			synctest.Wait()
			w.logs.TakeAll()
			w.box.ResetLedger()
			if n := day + 1; n%max(1, days/8) == 0 {
				m := s.measure()
				t.Logf("day %3d: heap %4d KiB, file %5d KiB, of it in use %4d KiB, %d goroutines, %d records", n, m.heap>>10, m.file>>10, m.used>>10, m.goroutines, m.records())
				if n <= days/4 {
					quarter = m
				}
			}
		}
		end := s.measure()
		end.flat(t, quarter)
		t.Logf("%d runs; what was asked for by now: %v", s.runs, s.asked)
	})
}

// soak is what goes on in a world for a long time.
type soak struct {
	*world
	random *rand.Rand
	asked  map[string]int
	files  int
	runs   int
}

// something is one of the things that happen during a day.
func (s *soak) something() {
	s.t.Helper()
	if s.asked == nil {
		s.asked = map[string]int{}
	}
	customer, account := s.random.IntN(200), s.random.IntN(600)
	all := map[string]func() error{
		"request": func() error {
			_, err := s.sync.File(s.ctx, latch.Filing{Customer: s.customer(customer), Account: s.account(account), Force: true, Source: "test"})
			return err
		},
		"request for no account": func() error {
			_, err := s.sync.File(s.ctx, latch.Filing{Customer: s.customer(customer), Account: s.account(5000 + account), Source: "test"})
			return err
		},
		"import": func() error {
			_, err := s.sync.Import(s.ctx, syncer.ImportOptions{Name: "soak.csv"}, strings.NewReader(s.csv(3)))
			return err
		},
		"drop":   func() error { return s.drop(s.csv(3) + "x,y\n") },
		"hand":   func() error { return s.box.SetCustomerAccount(s.box.CustomerID(customer), s.box.AccountID(account)) },
		"unlink": func() error { return s.box.SetCustomerAccount(s.box.CustomerID(customer), "") },
		"delete and create": func() error {
			s.box.CreateAccount("New one")
			return s.box.DeleteAccount(s.anAccount())
		},
		"merge": func() error {
			s.box.CreateAccount("Another one")
			return s.box.MergeAccount(s.anAccount(), s.box.AccountID(0))
		},
		"expire": func() error { s.box.ExpireSessions(); return nil },
		"outage": func() error { return s.trouble(sandbox.FaultMatch{}, sandbox.FaultAction{Status: 503}) },
		"cuts": func() error {
			return s.trouble(sandbox.FaultMatch{Call: "latch", Probability: 0.5, Seed: 1}, sandbox.FaultAction{Cut: "before"})
		},
		"poison": func() error {
			return s.trouble(sandbox.FaultMatch{Call: "latch", Customer: s.box.CustomerID(customer)}, sandbox.FaultAction{Status: 500})
		},
	}
	names := slices.Sorted(maps.Keys(all))
	name := names[s.random.IntN(len(names))]
	if err := all[name](); err != nil {
		s.t.Fatalf("%s: %v", name, err)
	}
	s.asked[name]++
}

// anAccount is one that is there, save the first, into which others are merged.
func (s *soak) anAccount() string {
	for _, a := range s.box.Accounts(1+s.random.IntN(400), 10_000) {
		if !a.IsDeleted {
			return a.ID
		}
	}
	s.t.Fatal("no account is left")
	return ""
}

func (s *soak) csv(n int) string {
	var b strings.Builder
	b.WriteString("fusebillId,salesforceId,forceLatch\n")
	for range n {
		fmt.Fprintf(&b, "%d,%s,true\n", s.customer(s.random.IntN(200)), s.account(s.random.IntN(600)))
	}
	return b.String()
}

// drop leaves a file, and takes away what was done with earlier ones, as whoever
// looks after the folder does.
func (s *soak) drop(text string) error {
	s.files++
	if err := os.RemoveAll(filepath.Join(s.set.DropFolder, "done")); err != nil {
		return err
	}
	path := filepath.Join(s.set.DropFolder, fmt.Sprintf("%d.csv", s.files))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	at := time.Now().Add(-time.Minute)
	return os.Chtimes(path, at, at)
}

// trouble is a fault for an hour.
func (s *soak) trouble(m sandbox.FaultMatch, do sandbox.FaultAction) error {
	remove, err := s.box.AddFault(sandbox.Fault{Match: m, Do: do})
	if err == nil {
		time.AfterFunc(time.Hour, remove)
	}
	return err
}

// operator looks at what is held once a day: it is approved on one day and
// rejected on the next.
func (s *soak) operator() {
	s.t.Helper()
	digest, n, err := s.store.HeldDigest(s.ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	if n == 0 {
		return
	}
	s.asked["held"] += n
	act := s.sync.Approve
	if s.random.IntN(2) == 0 {
		act = s.sync.Reject
	}
	if _, err := act(s.ctx, digest, "test"); err != nil {
		s.t.Fatal(err)
	}
}

// measure is how much of everything there is at one moment.
type measure struct {
	heap, file int64 // bytes; the heap includes the sandbox's
	used       int64 // bytes of the file's pages in use
	goroutines int
	buckets    map[string]int // records
}

func (s *soak) measure() measure {
	s.t.Helper()
	runtime.GC()
	runtime.GC() // what the first one's finalizers let go
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	info, err := os.Stat(s.path)
	if err != nil {
		s.t.Fatal(err)
	}
	m := measure{heap: int64(mem.HeapAlloc), file: info.Size(), goroutines: runtime.NumGoroutine(), buckets: map[string]int{}}
	path := filepath.Join(s.t.TempDir(), "copy.db")
	copied, err := os.Create(path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer copied.Close()
	if _, err := s.store.Backup(s.ctx, copied); err != nil {
		s.t.Fatal(err)
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true})
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			st := b.Stats()
			m.used += int64(st.LeafAlloc + st.BranchAlloc)
			// The index of accounts has two generations, of which one is in force.
			m.buckets[strings.TrimRight(string(name), "01")] += st.KeyN
			return nil
		})
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.runs = m.buckets["runs"]
	return m
}

func (m measure) records() int {
	n := 0
	for _, records := range m.buckets {
		n += records
	}
	return n
}

// flat holds a measure against an earlier one. What comes by chance may differ
// by half and some; what is never taken away would have grown fourfold.
func (m measure) flat(t *testing.T, before measure) {
	t.Helper()
	if m.heap > before.heap+before.heap/4+128<<10 {
		t.Errorf("the heap grew from %d to %d bytes", before.heap, m.heap)
	}
	if m.file > before.file+before.file/4 {
		t.Errorf("the file grew from %d to %d bytes", before.file, m.file)
	}
	if m.used > before.used+before.used/2+64<<10 {
		t.Errorf("the pages in use grew from %d to %d bytes", before.used, m.used)
	}
	if m.goroutines > before.goroutines+2 {
		t.Errorf("%d goroutines became %d", before.goroutines, m.goroutines)
	}
	for name, n := range m.buckets {
		if was := before.buckets[name]; n > was+was/2+20 {
			t.Errorf("the bucket %s grew from %d to %d records", name, was, n)
		}
	}
}
