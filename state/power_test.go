package state

import (
	"context"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"latchd/latch"
)

var (
	imageCount = flag.Int("images", 16, "how many images of the disk to make at each moment of a test of power loss")
	imageSeed  = flag.Uint64("image-seed", 0, "which images those are; 0 = others each time")
)

// chance is the source of all choices of a test, and its seed.
func chance(t *testing.T) (*rand.Rand, uint64) {
	seed := *imageSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	return rand.New(rand.NewPCG(seed, 0)), seed
}

// story is a Store's life, written down: what was asked of the disk, and the
// state behind each transaction.
type story struct {
	disk *diskLog
	// states[n] names the state when n transactions had been acknowledged, as
	// the process saw it.
	states []string
	steps  []string // steps[n] led from states[n] to states[n+1]
}

// writeStory has every kind of transaction happen, from the first one of a new
// file on.
func writeStory(t *testing.T) *story {
	t.Helper()
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "latchd.db")
	file := must(os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600))(t)
	ok(t, lockNow(file))
	empty := must(outline(ctx, openAt(t, filepath.Join(t.TempDir(), "empty.db"))))(t)
	st := &story{disk: &diskLog{t: t}, states: []string{empty}}
	s := newStore(Options{Path: path, Hook: st.disk.hook})
	ok(t, s.openBolt(file, false))
	t.Cleanup(func() { ok(t, s.Close()) })
	s.db.AllocSize = 4 << 10 // a file that grows often
	var carried []int        // states that Open goes on from by itself
	st.disk.onCommit = func(step string) {
		name := must(exact(ctx, s))(t)
		switch {
		case schemaOf(t, s) < len(migrations) && len(st.states) == 1:
			name = empty // there is nothing in it yet
		case schemaOf(t, s) < len(migrations), accepted(t, s):
			carried = append(carried, len(st.states))
		}
		st.states, st.steps = append(st.states, name), append(st.steps, step)
		if step == stepMigrate && schemaOf(t, s) == len(migrations) || step == stepEndSurvey {
			for _, n := range carried {
				st.states[n] = must(outline(ctx, s))(t)
			}
			carried = nil
		}
	}
	st.disk.follow(s)
	ok(t, s.migrate(ctx, migrations[:1]))
	plainAccounts(t, s, 0, 600)
	ok(t, s.migrate(ctx, migrations))
	furnish(t, s)
	for n, op := range crashScript() {
		if err := op(ctx, s); err != nil {
			t.Fatalf("operation %d: %v", n, err)
		}
	}
	return st
}

// furnish makes a state of more than one page a bucket, with free pages among
// them: those that are used anew are what order on the disk is about.
func furnish(t *testing.T, s *Store) {
	t.Helper()
	for n := range 3 {
		var fs []latch.Filing
		for i := range 15 {
			fs = append(fs, filing(latch.CustomerID(1000+100*n+i), i))
		}
		must(s.File(t.Context(), "", fs, at(0)))(t)
		// A refused pull leaves what it staged, for the next one to drop.
		pull(t, s, PullCommit{Now: at(0), MaxLostPercent: 1}, accounts(0, 300)...)
		pull(t, s, PullCommit{Now: at(0)}, accounts(n*100, 600+n*100)...)
	}
	ok(t, s.StageSurvey(t.Context(), []latch.CustomerReading{seen(5, acc(5), 0)}))
	ok(t, s.writeSurveyed(t.Context()))
}

func accepted(t *testing.T, s *Store) (is bool) {
	t.Helper()
	ok(t, s.view(context.Background(), func(x *tx) error {
		is = x.b(bMeta).Get(mAccepted) != nil
		return nil
	}))
	return is
}

// count is what became of the images of one kind of moment.
type count struct {
	images, before, after int
	refused               int // the way in or the check says that it is damaged
	lost                  int // whole, and without what was acknowledged
	halves                int // sound, and no state that ever was
}

func (c count) bad() int { return c.refused + c.lost + c.halves }

// counts are by the kind of transaction.
type counts map[string]*count

func (by counts) total() (all count) {
	for _, c := range by {
		all.images += c.images
		all.before += c.before
		all.after += c.after
		all.refused += c.refused
		all.lost += c.lost
		all.halves += c.halves
	}
	return all
}

// believe says which syncs are held to make certain what was asked for before
// them, by kind and by how many transactions had been acknowledged.
type believe func(kind askKind, acked int) bool

func allSyncs(askKind, int) bool { return true }

// judge hands in the images of a story's moments and sorts what comes back.
func (st *story) judge(y *jury, rnd *rand.Rand, n int, b believe, by counts, bad func(*moment, image, string)) {
	st.disk.moments(b, func(m moment) {
		for _, i := range m.images(rnd, n) {
			y.jobs <- job{moment: &m, image: i, answer: func(f finding) {
				if why := st.sort(&m, f, by); why != "" && bad != nil {
					bad(&m, i, why)
				}
			}}
		}
	})
}

// sort counts a finding and says what is bad about it.
func (st *story) sort(m *moment, f finding, by counts) (why string) {
	c := by[m.step]
	if c == nil {
		c = &count{}
		by[m.step] = c
	}
	c.images++
	switch at := st.find(f.Digest, m.acked); {
	case f.Trouble != "":
		c.refused++
		return f.Trouble
	case at == m.acked:
		c.before++
	case at == m.acked+1:
		c.after++
	case at >= 0:
		c.lost++
		return fmt.Sprintf("the state is that behind transaction %d", at)
	default:
		c.halves++
		return "the state is none that ever was"
	}
	return ""
}

// find says behind how many transactions a state was so, -1 for none; the
// allowed ones come first, since some transactions change nothing.
func (st *story) find(name string, acked int) int {
	for _, n := range []int{acked, acked + 1} {
		if n < len(st.states) && st.states[n] == name {
			return n
		}
	}
	return slices.Index(st.states, name)
}

// TestPowerLoss cuts the power at every moment of every kind of transaction and
// opens what the disk may then hold: what was acknowledged is there, at most
// the one transaction under way besides, and that wholly or not at all.
func TestPowerLoss(t *testing.T) {
	t.Parallel()
	rnd, seed := chance(t)
	st := writeStory(t)
	for _, step := range stepNames(t) {
		// A backup is marked in a file that is put in place afterwards, a copy
		// ends with its process.
		if step != stepRestored && step != stepCopied && !slices.Contains(st.steps, step) {
			t.Errorf("no transaction %q is in the story", step)
		}
	}
	y, by := newJury(t), counts{}
	st.judge(y, rnd, *imageCount, allSyncs, by, func(m *moment, i image, why string) {
		t.Errorf("seed %d: power lost in %q with %d transactions acknowledged, of %d writes %s on the disk: %s\n%s",
			seed, m.step, m.acked, len(m.pending), i.how, why, keepImage(t, m, i))
	})
	y.wait()
	for _, step := range slices.Sorted(maps.Keys(by)) {
		c := by[step]
		t.Logf("%-16s %5d images: %5d as before, %4d with the transaction, %d bad", step, c.images, c.before, c.after, c.bad())
		// An accepted survey is carried through on the way in.
		if c.before == 0 || c.after == 0 && step != stepApplySurvey && step != stepEndSurvey {
			t.Errorf("seed %d: %q was never met before, or never after: %+v", seed, step, *c)
		}
	}
	all := by.total()
	t.Logf("seed %d: %d transactions of %d kinds, %d page writes, %d growths of the file, %d images, %d bad",
		seed, len(st.steps), len(by), st.disk.count(askWrite), st.disk.count(askGrow), all.images, all.bad())
}

// TestPowerLossControl takes syncs away and so shows that TestPowerLoss would
// see it: with each of bbolt's two syncs missing, and with both, as with NoSync.
func TestPowerLossControl(t *testing.T) {
	t.Parallel()
	rnd, seed := chance(t)
	st := writeStory(t)
	for _, c := range []struct {
		name  string
		syncs believe
		n     int // images at each moment
		least int // in a hundred are bad
	}{
		{"no sync ahead of the head", func(kind askKind, _ int) bool { return kind != syncBeforeHead }, max(6, *imageCount/4), 3},
		{"no sync behind the head", func(kind askKind, _ int) bool { return kind != syncAfterHead }, max(3, *imageCount/8), 10},
		{"no syncs over four transactions", func(kind askKind, acked int) bool { return kind == syncAfterHead && acked%4 == 3 }, max(3, *imageCount/8), 25},
	} {
		y, by := newJury(t), counts{}
		st.judge(y, rnd, c.n, c.syncs, by, nil)
		y.wait()
		all := by.total()
		t.Logf("seed %d: %s: %d images, %d bad: %d refused as damaged, %d without what was acknowledged, %d by halves",
			seed, c.name, all.images, all.bad(), all.refused, all.lost, all.halves)
		if all.bad()*100 < all.images*c.least || all.refused == 0 {
			t.Errorf("seed %d: %s: only %d of %d images are bad, %d refused", seed, c.name, all.bad(), all.images, all.refused)
		}
	}
}

// keepImage writes a bad image to where it stays with `go test -artifacts`. The
// seed alone does not bring it back: ids differ from one time to the next, and so
// do the free pages that bbolt takes.
func keepImage(t *testing.T, m *moment, i image) string {
	path := filepath.Join(t.ArtifactDir(), fmt.Sprintf("%s-%d-%x.db", m.step, m.acked, rand.Uint32()))
	if err := writeImage(path, i.over(m.sure), i.size); err != nil {
		return err.Error()
	}
	return path
}

func (d *diskLog) count(kind askKind) (n int) {
	for _, a := range d.asks {
		if a.kind == kind {
			n++
		}
	}
	return n
}

// stepNames reads the names of the transactions out of hook.go, so that none is
// forgotten.
func stepNames(t *testing.T) (names []string) {
	t.Helper()
	file := must(parser.ParseFile(token.NewFileSet(), "hook.go", nil, 0))(t)
	ast.Inspect(file, func(n ast.Node) bool {
		if v, isValue := n.(*ast.ValueSpec); isValue && strings.HasPrefix(v.Names[0].Name, "step") {
			names = append(names, must(strconv.Unquote(v.Values[0].(*ast.BasicLit).Value))(t))
		}
		return true
	})
	if len(names) < 30 {
		t.Fatalf("hook.go names only %d transactions", len(names))
	}
	return names
}
