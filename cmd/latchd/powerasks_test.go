package main

import (
	"path/filepath"
	"strings"

	"latchd/latch"
)

const powerCustomers = 400

// ask is a request that is to be asked for, and what has to become of it.
type ask struct {
	customer latch.CustomerID
	account  latch.AccountID
	force    bool

	outcome latch.Outcome
	end     latch.AccountID // that the customer has then
	effects int
}

// makeAsks makes up one for each customer: a latch, a relatch or a conflict.
func (p *powered) makeAsks() {
	for i := range powerCustomers {
		a := ask{
			customer: latch.CustomerID(p.box.CustomerID(i)), account: latch.ObservedAccountID(p.box.AccountID(500 + i)),
			force: p.random.IntN(2) == 0, outcome: latch.Latched, effects: 1,
		}
		a.end = a.account
		switch now := p.at(i); {
		case now != "" && a.force:
			a.outcome = latch.Relatched
		case now != "":
			a.outcome, a.end, a.effects = latch.Conflict, now, 0
		}
		p.asks = append(p.asks, a)
	}
}

// next are at most n requests that were not accepted yet.
func (p *powered) next(n int) []ask {
	var out []ask
	for _, a := range p.asks {
		if len(out) < n && !p.accepted[a.customer] {
			out = append(out, a)
		}
	}
	return out
}

// allDone reports whether there is nothing left to cut into.
func (p *powered) allDone() bool { return len(p.accepted) == len(p.asks) && p.found.open() == 0 }

func (f *found) open() (n int) {
	for _, r := range f.requests {
		if r.State != latch.Done {
			n++
		}
	}
	return n
}

// faults are what is wrong with what is in the state now.
func (p *powered) faults() []string {
	p.t.Helper()
	f, err := look(p.t.Context(), p.state, filepath.Join(p.dir, "copy.db"))
	if err != nil {
		return []string{err.Error()}
	}
	p.found = f
	was := p.done
	faults := p.broken(f, p.box)
	if p.given != "" && p.done > was {
		p.file = p.given // to be imported again, as whoever got no answer would
	}
	p.given = ""
	return faults
}

// finishWithPower asks for what was not asked for yet, lets latchd end its work
// and holds all of it against the rules.
func (p *powered) finishWithPower() {
	p.t.Helper()
	p.box.SetFaults(nil)
	p.off = make(chan struct{})
	if left := len(p.asks) - len(p.accepted); left > 0 {
		p.importSome(left)
	}
	for tries := 0; tries == 0 || p.found.open() > 0 && tries < 5; tries++ {
		p.run("--once")
		if faults := p.faults(); faults != nil {
			p.t.Fatalf("seed %d: in the end:\n%s", p.seed, strings.Join(faults, "\n"))
		}
	}
	became := map[latch.CustomerID]latch.Request{}
	for _, r := range p.found.requests {
		became[r.Customer] = r
	}
	effects := p.effects()
	for i, a := range p.asks {
		r, n := became[a.customer], effects[int64(a.customer)]
		if r.Outcome != a.outcome || p.at(i) != a.end || p.found.mappings[a.customer] != a.end || n != a.effects {
			p.t.Errorf("seed %d: customer %d: %q %q (%s), at %q after %d effects, mapping %q; want %s, %q, %d",
				p.seed, a.customer, r.State, r.Outcome, r.Detail, p.at(i), n, p.found.mappings[a.customer], a.outcome, a.end, a.effects)
		}
	}
	if len(p.found.requests) != len(p.asks) || len(p.found.mappings) != len(p.asks) || len(p.found.intents) != 0 {
		p.t.Errorf("seed %d: %d requests, %d mappings and %d open intents of %d customers",
			p.seed, len(p.found.requests), len(p.found.mappings), len(p.found.intents), len(p.asks))
	}
}
