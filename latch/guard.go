package latch

import (
	"fmt"
	"slices"
)

// Limits are the settings of the guard; 0 = no limit.
type Limits struct {
	MaxRelatches           int
	MaxRelatchPercent      int // of the mappings, from 100 mappings on
	MaxLatches             int
	MaxCustomersPerAccount int
	MaxLostAccountsPercent int
	MaxLostMappingsPercent int
}

// Use is what counts against the limits already: the effects of the last 24
// hours over all runs, and calls that may have had one; approved ones left out.
type Use struct {
	Relatches  int
	Latches    int
	PerAccount map[AccountID]int
	Mappings   int // customers that are latched at all
}

// Add counts n more calls of a kind to an account; n may be negative, and nothing
// sinks below zero. PerAccount must not be nil.
func (u *Use) Add(a Action, to AccountID, n int) {
	switch a {
	case Latch:
		u.Latches = max(u.Latches+n, 0)
	case Relatch:
		u.Relatches = max(u.Relatches+n, 0)
	default:
		return
	}
	if u.PerAccount[to] = max(u.PerAccount[to]+n, 0); u.PerAccount[to] == 0 {
		delete(u.PerAccount, to)
	}
}

// Trip is a limit that a plan would pass.
type Trip struct {
	Setting string // as in the configuration, "guard.max_relatches"
	Limit   int    // the number in force, after a percentage was worked out
	Used    int    // in the last 24 hours
	Planned int
	Account AccountID // for guard.max_customers_per_account
}

func (t Trip) String() string {
	what, one := "relatches", "relatch"
	switch t.Setting {
	case "guard.max_latches":
		what, one = "first latches", "first latch"
	case "guard.max_customers_per_account":
		to := " latched to account " + string(t.Account)
		what, one = "customers"+to, "customer"+to
	}
	if t.Planned == 1 {
		what = one
	}
	return fmt.Sprintf("%d %s planned and %d made in the last 24 hours would pass %s (%d)", t.Planned, what, t.Used, t.Setting, t.Limit)
}

// Guard marks the steps that have to wait for a person. When the plan together
// with what was applied would pass a limit, all its steps of that kind are
// held; the others go on. Approved steps neither count nor are held; what is held
// when it comes goes out in no case and does not count.
//
// ahead is what the rest of the queue is expected to add to this plan: a window
// of a long queue is judged as a part of the whole.
func Guard(steps []Step, use, ahead Use, l Limits) []Trip {
	var trips []Trip
	before := make([]bool, len(steps))
	for i, s := range steps {
		before[i] = s.Held
	}
	counts := func(i int) bool { return steps[i].Action != None && !steps[i].Approved && !before[i] }
	judge := func(t Trip, of func(Step) bool) {
		for i, s := range steps {
			if counts(i) && of(s) {
				t.Planned++
			}
		}
		if t.Limit <= 0 || t.Planned == 0 || t.Used+t.Planned <= t.Limit {
			return
		}
		trips = append(trips, t)
		for i := range steps {
			if s := &steps[i]; counts(i) && of(*s) && !s.Held {
				s.Held, s.Detail = true, t.String()
			}
		}
	}
	setting, limit := relatchLimit(l, use.Mappings)
	judge(Trip{Setting: setting, Limit: limit, Used: use.Relatches, Planned: ahead.Relatches},
		func(s Step) bool { return s.Action == Relatch })
	judge(Trip{Setting: "guard.max_latches", Limit: l.MaxLatches, Used: use.Latches, Planned: ahead.Latches},
		func(s Step) bool { return s.Action == Latch })
	for _, a := range targets(steps) {
		judge(Trip{Setting: "guard.max_customers_per_account", Limit: l.MaxCustomersPerAccount, Used: use.PerAccount[a], Planned: ahead.PerAccount[a], Account: a},
			func(s Step) bool { return s.To == a })
	}
	return trips
}

// relatchLimit is the lower of the two limits on relatches, and its setting.
func relatchLimit(l Limits, mappings int) (string, int) {
	setting, limit := "guard.max_relatches", l.MaxRelatches
	if l.MaxRelatchPercent > 0 && mappings >= 100 {
		if share := mappings * l.MaxRelatchPercent / 100; limit <= 0 || share < limit {
			setting, limit = "guard.max_relatch_percent", max(share, 1)
		}
	}
	return setting, limit
}

func targets(steps []Step) []AccountID {
	var out []AccountID
	for _, s := range steps {
		if s.Action != None {
			out = append(out, s.To)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Refusal is a pull or survey that would have lost more than the set share. It
// is kept with a digest: when a person approves exactly this loss, the next
// one that loses the same is taken.
type Refusal struct {
	Kind    string   `json:"kind"` // pull or survey
	Digest  string   `json:"digest"`
	Setting string   `json:"setting"`
	Percent int      `json:"limitPercent"`
	Had     int      `json:"had"`
	Lost    int      `json:"lost"`
	Sample  []string `json:"sample"` // some of what would be lost, at most 20
}

// TooMuchLost reports whether losing lost of had passes percent; 0 = no limit.
func TooMuchLost(had, lost, percent int) bool {
	return percent > 0 && lost > 0 && lost*100 > had*percent
}

// LossDigest names a loss by exactly what is lost.
func LossDigest(kind string, ids []string) string {
	lines := make([]string, len(ids))
	for i, id := range ids {
		lines[i] = id + "\n"
	}
	return digestLines(kind, lines)
}
