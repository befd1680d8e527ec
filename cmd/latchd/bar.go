package main

import (
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"latchd/server"
	"latchd/syncer"
)

// screen is standard error where the log and a bar share it: the bar goes away for
// every line of the log, and comes back below it. Elsewhere than on a terminal
// there is no bar.
type screen struct {
	w        io.Writer
	terminal bool

	mu      sync.Mutex
	bar     *progressbar.ProgressBar // nil = none is shown
	phase   string
	counted bool // the bar knows how much there is to do
}

func (a *app) screen() *screen {
	if a.shared == nil {
		a.shared = &screen{w: a.err, terminal: isTerminal(a.err)}
	}
	return a.shared
}

// Write writes lines of the log.
func (s *screen) Write(lines []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bar == nil {
		return s.w.Write(lines)
	}
	_ = s.bar.Clear() // a bar that cannot be drawn stops nothing
	n, err := s.w.Write(lines)
	_ = s.bar.RenderBlank()
	return n, err
}

// Sync is there for zap; nothing is kept back.
func (s *screen) Sync() error { return nil }

// show draws how far a run is: a bar where it is known how much there is to do,
// else what is done so far.
func (s *screen) show(p syncer.Progress) {
	if !s.terminal {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if counted := p.Total > 0; s.bar == nil || p.Phase != s.phase || counted != s.counted {
		s.clear()
		s.phase, s.counted, s.bar = p.Phase, counted, newBar(s.w, p)
	}
	if s.counted {
		if p.Total != s.bar.GetMax() {
			s.bar.ChangeMax(p.Total)
		}
	} else {
		s.bar.Describe(soFar(p))
	}
	_ = s.bar.Set(p.Done) // as above
}

func newBar(w io.Writer, p syncer.Progress) *progressbar.ProgressBar {
	// A spinner that turns by itself would draw between a line of the log and
	// what it is written over.
	options := []progressbar.Option{
		progressbar.OptionSetWriter(w), progressbar.OptionClearOnFinish(), progressbar.OptionSetWidth(24),
		progressbar.OptionSetSpinnerChangeInterval(0), progressbar.OptionSetRenderBlankState(false),
	}
	if p.Total > 0 {
		return progressbar.NewOptions(p.Total, append(options, progressbar.OptionShowCount(), progressbar.OptionSetDescription(soFar(syncer.Progress{Phase: p.Phase})))...)
	}
	return progressbar.NewOptions(-1, append(options, progressbar.OptionSetElapsedTime(false), progressbar.OptionSetDescription(soFar(p)))...)
}

// soFar is what is done, as far as that is a number.
func soFar(p syncer.Progress) string {
	if p.Done == 0 {
		return fmt.Sprintf("%-28s", server.PhaseText(p.Phase))
	}
	return fmt.Sprintf("%-28s %d", server.PhaseText(p.Phase), p.Done)
}

// end takes the bar away.
func (s *screen) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
}

func (s *screen) clear() {
	if s.bar != nil {
		_ = s.bar.Clear() // as above
		s.bar = nil
	}
}

func isTerminal(w any) bool {
	switch w := w.(type) {
	case *screen:
		return w.terminal
	case *os.File:
		return term.IsTerminal(int(w.Fd()))
	}
	return false
}
