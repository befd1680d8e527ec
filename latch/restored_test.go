package latch

import (
	"strings"
	"testing"
	"time"
)

func TestRestoredHoldsWhatWasOpen(t *testing.T) {
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	restored := &Restored{At: at.Add(-time.Hour), Through: "02", Seen: at}
	step := func(request string) Step {
		return Step{Request: request, Customer: 9, Action: Latch, To: "001000000000001AAA"}
	}
	hold := func(s Step, approved time.Time) *Hold {
		return &Hold{Request: s.Request, Customer: s.Customer, To: s.To, Approval: &Approval{At: approved}}
	}
	const quiet = time.Minute
	after := at.Add(time.Hour)
	for _, c := range []struct {
		name    string
		r       *Restored
		request string
		now     time.Time
		hold    func(Step) *Hold
		want    string // held, out or waits
	}{
		{"no restore", nil, "01", after, nil, "out"},
		{"open in the backup", restored, "02", after, nil, "held"},
		{"asked for since", restored, "03", after, nil, "out"},
		{"approved since", restored, "01", after, func(s Step) *Hold { return hold(s, at.Add(time.Minute)) }, "out"},
		{"approved since, in the quiet time", restored, "01", at.Add(2 * time.Second), func(s Step) *Hold { return hold(s, at.Add(time.Second)) }, "waits"},
		{"the quiet time, asked for since", restored, "03", at.Add(30 * time.Second), nil, "waits"},
		{"the quiet time is over", restored, "03", at.Add(quiet), nil, "out"},
	} {
		s := step(c.request)
		var h *Hold
		if c.hold != nil {
			h = c.hold(s)
		}
		s = c.r.Settle(Release(s, h, c.now), quiet, c.now)
		got := "out"
		switch {
		case s.Held && s.Action != None && strings.Contains(s.Detail, "backup"):
			got = "held"
		case s.Action == None && s.WaitingFor == WaitQuietTime && s.NotBefore.Equal(at.Add(quiet)):
			got = "waits"
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s: %+v", c.name, got, c.want, s)
		}
	}
	// What is so already is told also in the quiet time; a conflict is not.
	soon := at.Add(time.Second)
	if s := restored.Settle(Step{Request: "03", Outcome: Unchanged}, quiet, soon); s.Outcome != Unchanged {
		t.Errorf("%+v", s)
	}
	if s := restored.Settle(Step{Request: "03", Outcome: Conflict}, quiet, soon); s.WaitingFor != WaitQuietTime || s.Outcome != "" {
		t.Errorf("%+v", s)
	}
}
