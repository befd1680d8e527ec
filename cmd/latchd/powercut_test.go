package main

import (
	"flag"
	"strings"
	"testing"
	"time"
)

var (
	cuts    = flag.Int("cuts", 8, "how often the power-cut test cuts the power")
	cutSeed = flag.Uint64("cut-seed", 0, "the seed of the power-cut test; 0 = by the clock")
)

// TestPowerCut cuts the power of the file system that the state is on, at random
// instants while latchd takes in files and single requests, runs, serves and
// recovers. After every cut the state is held against what latchd had said before
// it; at the end everything has become what the rules make of it. The long form:
// go test ./cmd/latchd -run PowerCut -cuts 300 -timeout 10m.
func TestPowerCut(t *testing.T) {
	seed := *cutSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	for _, kind := range []string{"ext4", "xfs"} {
		t.Run(kind, func(t *testing.T) {
			disk := newPowerDisk(t, kind)
			pace := paceOf(t, disk)
			began, done, calling, filed, unfiled := time.Now(), 0, 0, 0, 0
			for n := uint64(0); done < *cuts; n++ {
				p := newPowered(t, disk, &pace, seed+n)
				for most := min(40, *cuts-done); most > 0 && !p.allDone(); most-- {
					if end, limited := t.Deadline(); limited && time.Until(end) < time.Minute {
						t.Fatalf("the time is nearly over after %d cuts", done) // and nobody would unmount
					}
					p.killAndCut()
					done++
					if faults := p.faults(); faults != nil {
						t.Fatalf("seed %d (repeat with -cut-seed), cut %d:\n%s", p.seed, done, strings.Join(faults, "\n"))
					}
					if len(p.found.intents) > 0 {
						calling++
					}
				}
				p.finishWithPower()
				filed, unfiled = filed+p.done, unfiled+p.undone
			}
			took := time.Since(began)
			t.Logf("%d cuts in %s (%.1f/s), %d with calls under way, %d with a request or file under way (%d were found, %d not); seed %d",
				done, took.Round(time.Second), float64(done)/took.Seconds(), calling, filed+unfiled, filed, unfiled, seed)
		})
	}
}

// killAndCut cuts the power once, now and then behind a kill: at once, or later.
func (p *powered) killAndCut() {
	p.t.Helper()
	most := int64(*p.pace) * 3 / 2
	later := time.Duration(p.random.Int64N(most))
	if p.random.IntN(4) == 0 {
		p.workUntilKilled(time.Duration(p.random.Int64N(most)))
		if faults := p.faults(); faults != nil {
			p.t.Fatalf("seed %d (repeat with -cut-seed), after a kill:\n%s", p.seed, strings.Join(faults, "\n"))
		}
		if p.random.IntN(2) == 0 {
			later = 0
		}
	}
	p.workUntilCut(later)
}

// TestPowerCutControl: the same with a latchd whose state does not sync loses
// what it promised. If it did not, the power would not be cut.
func TestPowerCutControl(t *testing.T) {
	seed := *cutSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	disk := newPowerDisk(t, "ext4")
	pace := paceOf(t, disk)
	tries, bad := 0, 0
	for n := range max(3, *cuts/20) {
		p := newPowered(t, disk, &pace, seed+uint64(n))
		p.env = append(p.env, variableNoSync+"=1")
		p.workUntilCut(pace + time.Duration(p.random.Int64N(int64(2*pace))))
		if len(p.accepted) == 0 {
			continue // there was nothing to lose
		}
		tries++
		if faults := p.faults(); faults != nil {
			bad++
			t.Logf("%d requests accepted: %d faults, such as: %s", len(p.accepted), len(faults), faults[0])
		}
	}
	if bad == 0 {
		t.Errorf("without syncs nothing was lost in %d tries", tries)
	}
	t.Logf("without syncs %d of %d tries were bad; seed %d", bad, tries, seed)
}
