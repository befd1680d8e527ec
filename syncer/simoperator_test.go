package syncer_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"latchd/latch"
	"latchd/state"
	"latchd/syncer"
)

// hot is how many customers and accounts get most of what is asked, so that
// requests meet each other.
const hot = 6

// operate lets the operator, the customers of the services and bad luck do what
// the seed says, with time passing in between.
func (s *sim) operate() {
	deeds := []struct {
		weight int
		do     func(p *proc)
	}{
		{30, s.fileOne},
		{8, s.fileBurst},
		{5, s.importFile},
		{5, s.dropFile},
		{6, s.cancelOne},
		{6, s.retryOne},
		{14, s.judgeHeld},
		{6, s.orderRun},
		{3, s.restartNow},
		{3, s.killNow},
		{8, s.handEdit},
		{8, s.changeAccounts},
		{4, s.changeSight},
		{12, s.changeWeather},
	}
	total := 0
	for _, d := range deeds {
		total += d.weight
	}
	for range s.plan.events {
		s.pause()
		if s.broken() {
			return
		}
		n := s.rand.IntN(total)
		for _, d := range deeds {
			if n -= d.weight; n < 0 {
				d.do(s.up())
				break
			}
		}
		s.audit()
	}
}

// pause is the time between two deeds: mostly short, sometimes a night.
func (s *sim) pause() {
	longest := 40 * time.Second
	switch n := s.rand.IntN(10); {
	case n == 0 && s.plan.weeks:
		longest = 6 * 24 * time.Hour
	case n == 1:
		longest = 6 * time.Hour
	case n < 5:
		longest = 20 * time.Minute
	}
	s.sleep(time.Duration(1 + s.rand.Int64N(int64(longest))))
}

// breath lets what a deed set off begin before the next deed: two of one moment
// have no order.
func (s *sim) breath() { time.Sleep(time.Duration(1 + s.rand.IntN(1000))) }

func (s *sim) someCustomer() latch.CustomerID {
	switch n := s.rand.IntN(20); {
	case n == 0:
		return s.customer(s.plan.customers + 1 + s.rand.IntN(3)) // there is none
	case n < 13:
		return s.customer(s.rand.IntN(min(hot, s.plan.customers)))
	}
	return s.customer(s.rand.IntN(s.plan.customers))
}

func (s *sim) someAccount() latch.AccountID {
	switch n := s.rand.IntN(20); {
	case n == 0:
		return latch.ObservedAccountID(s.box.MissingAccountID(s.rand.IntN(4)))
	case n == 1:
		return s.account(s.model.accounts) // the next one to be made
	case n < 12:
		return s.account(s.rand.IntN(hot))
	}
	return s.account(s.rand.IntN(s.model.accounts))
}

func (s *sim) someFiling() latch.Filing {
	f := latch.Filing{Customer: s.someCustomer(), Account: s.someAccount(), Force: s.rand.IntN(5) < 2, Source: "command", By: "kim"}
	if f.Force && s.rand.IntN(8) == 0 {
		f.OnlyFrom = s.someAccount()
	}
	return f
}

func (s *sim) fileOne(p *proc) {
	if p == nil {
		return
	}
	f := s.someFiling()
	s.event("file: customer %s to %s force=%v only from %q", f.Customer, f.Account, f.Force, f.OnlyFrom)
	filed, err := p.sync.File(s.ctx, f)
	s.answered(p, err)
	if err == nil {
		s.model.accepted(p, f, filed)
	}
	if err == nil && s.rand.IntN(5) == 0 { // the same again
		s.breath()
		again, err := p.sync.File(s.ctx, f)
		s.answered(p, err)
		if err == nil {
			s.model.accepted(p, f, again)
		}
	}
}

func (s *sim) fileBurst(p *proc) {
	if p == nil {
		return
	}
	var filings []latch.Filing
	for range 2 + s.rand.IntN(20) {
		filings = append(filings, s.someFiling())
	}
	s.event("file %d at once", len(filings))
	filed, err := p.store.File(s.ctx, "", filings, s.now())
	s.answered(p, err)
	for i, one := range filed {
		s.model.accepted(p, filings[i], one)
	}
	p.sync.Start() // as if a process before had left them
}

// fileText is the text of a file of requests.
func (s *sim) fileText() (text string, filings []latch.Filing) {
	var b strings.Builder
	b.WriteString("fusebillId,salesforceId,forceLatch\n")
	for range 1 + s.rand.IntN(6) {
		f := s.someFiling()
		f.OnlyFrom = ""
		filings = append(filings, f)
		fmt.Fprintf(&b, "%s,%s,%v\n", f.Customer, f.Account, f.Force)
	}
	return b.String(), filings
}

func (s *sim) importFile(p *proc) {
	if p == nil {
		return
	}
	text, filings := s.fileText()
	o := syncer.ImportOptions{Name: fmt.Sprintf("list%d.csv", s.rand.IntN(1000)), By: "kim", Again: s.rand.IntN(4) == 0}
	s.event("import %s, %d lines, again=%v", o.Name, len(filings), o.Again)
	rep, err := p.sync.Import(s.ctx, o, strings.NewReader(text))
	s.answered(p, err)
	if err == nil && !p.dead.Load() && (rep.RefusedCount > 0 || rep.Lines != len(filings)) {
		s.violate("an import of %d good lines: %+v", len(filings), rep)
	}
	if err == nil && !p.dead.Load() && !o.Again && s.rand.IntN(2) == 0 { // the same file once more adds nothing
		s.breath()
		rep, err := p.sync.Import(s.ctx, o, strings.NewReader(text))
		s.answered(p, err)
		if err == nil && !p.dead.Load() && rep.Accepted > 0 {
			s.violate("a file that was imported before added %d requests", rep.Accepted)
		}
	}
}

// dropped is a file that was put into the drop folder.
type dropped struct {
	name    string
	filings []latch.Filing
}

func (s *sim) dropFile(*proc) {
	text, filings := s.fileText()
	name := fmt.Sprintf("drop%d.csv", len(s.drops))
	path := filepath.Join(s.plan.set.DropFolder, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Chtimes(path, s.now(), s.now()); err != nil {
		s.t.Fatal(err)
	}
	s.drops = append(s.drops, dropped{name, filings})
	s.event("drop %s, %d lines", name, len(filings))
}

// someRequest is a request that fits, if there is one.
func (s *sim) someRequest(fits func(latch.Request) bool) (string, bool) {
	var ids []string
	for _, id := range s.model.order {
		if fits(s.model.requests[id]) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return "", false
	}
	return ids[s.rand.IntN(len(ids))], true
}

func (s *sim) cancelOne(p *proc) {
	id, ok := s.someRequest(func(r latch.Request) bool { return r.State != latch.Done })
	if p == nil || !ok {
		return
	}
	done, refused, err := p.sync.Cancel(s.ctx, []string{id}, "kim")
	s.answered(p, err)
	s.event("cancel %s: %d done, refused %q", id, len(done), refused[id])
}

func (s *sim) retryOne(p *proc) {
	id, ok := s.someRequest(func(r latch.Request) bool { return r.Outcome.NeedsPerson() })
	if p == nil || !ok {
		return
	}
	done, refused, err := p.sync.Retry(s.ctx, []string{id}, "kim")
	s.answered(p, err)
	s.event("retry %s: %d done, refused %q", id, len(done), refused[id])
}

// judgeHeld approves or rejects what is held, or what was shown before.
func (s *sim) judgeHeld(p *proc) {
	if p == nil {
		return
	}
	digest, n, err := p.store.HeldDigest(s.ctx)
	if err != nil {
		s.answered(p, err)
		return
	}
	if run := p.sync.Status().LastRun; run.Refused != nil && s.rand.IntN(2) == 0 {
		digest = run.Refused.Digest
	}
	if known := s.model.digests; len(known) > 0 && s.rand.IntN(4) == 0 {
		digest = known[s.rand.IntN(len(known))]
	}
	if digest == "" {
		return
	}
	s.model.digests = append(s.model.digests, digest)
	if s.rand.IntN(5) == 0 {
		return // looked at, and left
	}
	s.judge(p, digest, s.rand.IntN(4) > 0)
	s.event("%d are held", n)
}

func (s *sim) judge(p *proc, digest string, approve bool) {
	what := p.sync.Reject
	if approve {
		what = p.sync.Approve
	}
	at := s.now()
	res, err := what(s.ctx, digest, "kim")
	var unknown *state.UnknownDigestError
	if !errors.As(err, &unknown) {
		s.answered(p, err)
	}
	s.event("approve=%v %s: %d steps, %d gone, refusal %v, %v", approve, digest, len(res.Released), res.Gone, res.Refusal != nil, err)
	if err == nil && approve {
		// Also where the process died meanwhile: it may stand.
		s.model.approved(at, res.Released)
	}
}

func (s *sim) orderRun(p *proc) {
	if p == nil {
		return
	}
	o := syncer.Order{Kind: pick(s.rand, syncer.KindSync, syncer.KindSync, syncer.KindArrival, syncer.KindPlan), Trigger: "command"}
	ctx, cancel := context.WithTimeout(s.ctx, time.Hour)
	defer cancel()
	s.event("order a run: %s", o.Kind)
	rep, err := p.sync.Run(ctx, o)
	s.event("the run: %s %s, %v", rep.Run.Result, rep.Run.Error, err)
}

func (s *sim) restartNow(p *proc) {
	if p != nil {
		s.restart()
	}
}

func (s *sim) killNow(p *proc) {
	if p != nil && s.plan.crashes {
		p.crash("no step")
		s.up()
	}
}

// answered checks that a live daemon refused an operator for no reason of its
// own.
func (s *sim) answered(p *proc, err error) {
	if err != nil && !p.dead.Load() {
		s.violate("the operator was refused: %v", err)
	}
}
