package state

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// layout is a way to keep the account index in a bucket, as compared in
// docs/decisions/005-the-account-index.md. keys are packed ids without gaps
// between them, in order.
type layout struct {
	name   string
	write  func(b *bolt.Bucket, keys []byte) error // appends
	has    func(b *bolt.Bucket, key []byte) bool
	change func(b *bolt.Bucket, key []byte, in bool) error
}

var layouts = []layout{
	{
		name: "plain",
		write: func(b *bolt.Bucket, keys []byte) error {
			b.FillPercent = 0.9
			for ; len(keys) > 0; keys = keys[packedLen:] {
				if err := b.Put(keys[:packedLen:packedLen], none); err != nil {
					return err
				}
			}
			return nil
		},
		has: func(b *bolt.Bucket, key []byte) bool { return b.Get(key) != nil },
		change: func(b *bolt.Bucket, key []byte, in bool) error {
			if in {
				return b.Put(key, none)
			}
			return b.Delete(key)
		},
	},
	blocks("pages-110", 110),    // three to a bbolt page of 4 KiB
	paged,                       // two to 8 KiB
	blocks("pages-906", 906),    // two to 16 KiB
	blocks("segments", 7_280),   // two to 128 KiB, changed in place
	overlaid("pages-451+", 451), // what was changed since lies in a bucket of its own
	overlaid("segments+", 7_280),
}

// paged is what the Store does.
var paged = layout{
	name: "pages-451",
	write: func(b *bolt.Bucket, keys []byte) error {
		edit := idPages{b}.edit()
		for ; len(keys) > 0; keys = keys[packedLen:] {
			if _, err := edit.set(keys[:packedLen:packedLen], true); err != nil {
				return err
			}
		}
		return edit.flush()
	},
	has: func(b *bolt.Bucket, key []byte) bool {
		found, err := idPages{b}.has(key)
		return found && err == nil
	},
	change: func(b *bolt.Bucket, key []byte, in bool) error {
		edit := idPages{b}.edit()
		if _, err := edit.set(key, in); err != nil {
			return err
		}
		return edit.flush()
	},
}

// blocks keeps n ids to a value, under the last of them, and changes them there.
func blocks(name string, n int) layout {
	at := func(b *bolt.Bucket, key []byte) (k, v []byte) { return b.Cursor().Seek(key) }
	return layout{
		name: name,
		write: func(b *bolt.Bucket, keys []byte) error {
			b.FillPercent = 1
			for len(keys) > 0 {
				part := keys[:min(len(keys), n*packedLen)]
				keys = keys[len(part):]
				if err := b.Put(part[len(part)-packedLen:], part); err != nil {
					return err
				}
			}
			return nil
		},
		has: func(b *bolt.Bucket, key []byte) bool {
			_, v := at(b, key)
			_, found := findID(v, key)
			return found
		},
		change: func(b *bolt.Bucket, key []byte, in bool) error {
			k, v := at(b, key)
			i, found := findID(v, key)
			if k == nil || found == in {
				return nil
			}
			k, i = bytes.Clone(k), i*packedLen
			if !in {
				return b.Put(k, append(bytes.Clone(v[:i]), v[i+packedLen:]...))
			}
			v = bytes.Join([][]byte{v[:i], key, v[i:]}, nil)
			if len(v) <= n*packedLen {
				return b.Put(k, v)
			}
			half := len(v) / packedLen / 2 * packedLen
			if err := b.Put(v[half-packedLen:half], v[:half]); err != nil {
				return err
			}
			return b.Put(k, v[half:])
		},
	}
}

// overlaid keeps what changed since in a bucket inside, under the highest key.
func overlaid(name string, n int) layout {
	l := blocks(name, n)
	in := l.has
	top := bytes.Repeat([]byte{0xFF}, packedLen)
	l.has = func(b *bolt.Bucket, key []byte) bool {
		if v := b.Bucket(top).Get(key); v != nil {
			return v[0] == 1
		}
		return in(b, key)
	}
	l.change = func(b *bolt.Bucket, key []byte, in bool) error {
		if in {
			return b.Bucket(top).Put(key, []byte{1})
		}
		return b.Bucket(top).Put(key, []byte{0})
	}
	write := l.write
	l.write = func(b *bolt.Bucket, keys []byte) error {
		if _, err := b.CreateBucketIfNotExists(top); err != nil {
			return err
		}
		return write(b, keys)
	}
	return l
}

// orgKeys makes n packed ids in order; the id behind each is nobody's.
func orgKeys(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	keys := make([]byte, 0, n*packedLen)
	id := uint64(20_000_000)
	for range n {
		id += 2 + r.Uint64N(7)
		hi, lo := uint64(5)<<28|id>>8, byte(id)
		keys = append(binary.BigEndian.AppendUint64(keys, hi), lo)
	}
	return keys
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkLayout writes an index of 1 and of 10 million accounts in each
// layout, 50,000 to a transaction, looks up and changes some. Run it with
// -benchtime 1x: one round measures it all.
func BenchmarkLayout(b *testing.B) {
	for _, n := range []int{1_000_000, 10_000_000} {
		for _, l := range layouts {
			b.Run(fmt.Sprintf("%s/%dM", l.name, n/1_000_000), func(b *testing.B) {
				keys := orgKeys(n)
				b.ResetTimer()
				for b.Loop() {
					measure(b, l, keys)
				}
			})
		}
	}
}

func measure(b *testing.B, l layout, keys []byte) {
	db, err := bolt.Open(filepath.Join(b.TempDir(), "index.db"), 0o600, &bolt.Options{
		FreelistType: bolt.FreelistMapType, NoFreelistSync: true, InitialMmapSize: mapped, NoStatistics: true,
	})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	name := []byte("accounts")
	update := func(fn func(*bolt.Bucket) error) time.Duration {
		start := time.Now()
		err := db.Update(func(t *bolt.Tx) error {
			bucket, err := t.CreateBucketIfNotExists(name)
			if err != nil {
				return err
			}
			return fn(bucket)
		})
		if err != nil {
			b.Fatal(err)
		}
		return time.Since(start)
	}
	n := len(keys) / packedLen
	const chunk = 50_000 * packedLen
	var longest time.Duration
	start, busy := time.Now(), cpu()
	for from := 0; from < len(keys); from += chunk {
		took := update(func(bucket *bolt.Bucket) error { return l.write(bucket, keys[from:from+chunk]) })
		longest = max(longest, took)
	}
	b.ReportMetric(time.Since(start).Seconds(), "s/write")
	b.ReportMetric((cpu() - busy).Seconds(), "cpu-s/write")
	b.ReportMetric(float64(longest.Milliseconds()), "ms/longest-tx")

	r := rand.New(rand.NewPCG(3, 4))
	key := func() []byte { i := r.IntN(n) * packedLen; return keys[i : i+packedLen] }
	lookUps(b, db, name, l, n, key)

	changes := func(count int) time.Duration {
		return update(func(bucket *bolt.Bucket) error {
			for range count {
				if err := l.change(bucket, key(), false); err != nil {
					return err
				}
				if err := l.change(bucket, behind(key()), true); err != nil {
					return err
				}
			}
			return nil
		})
	}
	var one time.Duration
	for range 50 {
		one += changes(1)
	}
	b.ReportMetric(float64(one.Microseconds())/50, "µs/change")
	before := written(b)
	b.ReportMetric(float64(changes(2_500).Milliseconds()), "ms/5000-changes")
	b.ReportMetric(float64(written(b)-before)/1e6, "MB/5000-changes")
	b.ReportMetric(float64(update(func(bucket *bolt.Bucket) error { return bucket.Tx().DeleteBucket(name) }).Milliseconds()), "ms/drop")
	b.ReportMetric(0, "ns/op")
}

func behind(key []byte) []byte {
	id := bytes.Clone(key)
	for i := packedLen - 1; i >= 0; i-- {
		if id[i]++; id[i] != 0 {
			break
		}
	}
	return id
}

// written is how many bytes this process has had written so far.
func written(b *testing.B) int {
	data, err := os.ReadFile("/proc/self/io")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if text, is := strings.CutPrefix(line, "wchar: "); is {
			n, _ := strconv.Atoi(strings.TrimSpace(text))
			return n
		}
	}
	b.Fatal("/proc/self/io tells nothing")
	return 0
}

func lookUps(b *testing.B, db *bolt.DB, name []byte, l layout, n int, key func() []byte) {
	const count = 200_000
	err := db.View(func(t *bolt.Tx) error {
		bucket := t.Bucket(name)
		s := bucket.Stats()
		b.ReportMetric(float64(s.BranchAlloc+s.LeafAlloc)/float64(n), "B/account")
		for _, hit := range []bool{true, false} {
			ids := make([][]byte, count)
			for i := range ids {
				if ids[i] = key(); !hit {
					ids[i] = behind(ids[i])
				}
			}
			var was, is runtime.MemStats
			best := time.Duration(1<<63 - 1)
			for range 5 { // others use the machine too
				runtime.ReadMemStats(&was)
				start := time.Now()
				for _, id := range ids {
					if l.has(bucket, id) != hit {
						b.Fatalf("%x: hit is %v", id, !hit)
					}
				}
				best = min(best, time.Since(start))
				runtime.ReadMemStats(&is)
			}
			b.ReportMetric(float64(best.Nanoseconds())/count, map[bool]string{true: "ns/hit", false: "ns/miss"}[hit])
			b.ReportMetric(float64(is.TotalAlloc-was.TotalAlloc)/count, "B/look-up")
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}
