package staxbill

import (
	"context"
	"net/http"
	"sync"
	"time"
)

const (
	// unknownPerMinute is the documented limit of live accounts
	// (dev/rate-limits), kept to where no header says another.
	unknownPerMinute = 1000
	// blindWait is how long to stay away after a 429 that does not say.
	blindWait = time.Minute
	// longestWait bounds what a Retry-After can ask for.
	longestWait = time.Hour
	// patience is how long a call waits in here after a 429: as long as a
	// minute's limit may last, and no longer than whoever watches the caller
	// takes for a sign of life. It fails where more was asked for.
	patience = 90 * time.Second
)

// budget lets calls out: so many at once, so many a minute, so many a day. As
// the only user of a key it never earns a 429: what the service said is left,
// less every call under way, is the most that goes out.
type budget struct {
	reservePercent int
	maxConcurrent  int

	// turn is held by the one caller that may go next, in the order of asking.
	turn chan struct{}
	// changed wakes that caller: something ended or was learnt.
	changed chan struct{}

	mu       sync.Mutex
	next     uint64 // number of the next call
	underWay int
	answered bool // the service was seen to answer, with rate headers or without
	minute   window
	day      window
	blocked  time.Time // after a 429 nobody goes before

	sent     []time.Time // ring of the last departures, one for each call a minute
	oldest   int
	capped   bool // the ring holds also beside headers: MaxPerMinute
	limit    int  // calls at once now
	streak   int  // successes since limit last changed
	halvedAt uint64
	dayOut   time.Time // reset of the day that was last reported as spent
}

// ticket is one call that was let out.
type ticket struct {
	seq uint64
	at  time.Time
}

// daySpent says that only the reserve of the day is left.
type daySpent struct {
	wait  time.Duration
	first bool // not said before of this day
}

func (daySpent) Error() string { return "only the reserve of the day's calls is left" }

// askedAway says that the service asked, by a 429, to be left alone for longer
// than a call waits.
type askedAway struct{ wait time.Duration }

func (askedAway) Error() string { return "its last answer of 429 asked for a wait" }

func newBudget(maxPerMinute, reservePercent, concurrency int) *budget {
	ring := maxPerMinute
	if ring <= 0 {
		ring = unknownPerMinute
	}
	return &budget{
		reservePercent: reservePercent,
		maxConcurrent:  concurrency, limit: concurrency,
		turn: make(chan struct{}, 1), changed: make(chan struct{}, 1),
		minute: window{name: "Minute", span: time.Minute, fallback: time.Minute},
		// A day whose reset cannot be read is asked for again every hour.
		day:  window{name: "Day", span: 24 * time.Hour, fallback: time.Hour},
		sent: make([]time.Time, ring), capped: maxPerMinute > 0,
	}
}

// enter waits until a call may go out. The error is ctx's, a daySpent or an
// askedAway.
func (b *budget) enter(ctx context.Context) (ticket, error) {
	if err := ctx.Err(); err != nil {
		return ticket{}, err
	}
	select {
	case b.turn <- struct{}{}:
	case <-ctx.Done():
		return ticket{}, ctx.Err()
	}
	defer func() { <-b.turn }()
	for {
		if err := ctx.Err(); err != nil {
			return ticket{}, err
		}
		t, until, err := b.try(time.Now())
		if err != nil || t.seq != 0 {
			return t, err
		}
		if err := b.sleep(ctx, until); err != nil {
			return ticket{}, err
		}
	}
}

// sleep waits for until (zero = no such time), a change, or the end of ctx.
func (b *budget) sleep(ctx context.Context, until time.Time) error {
	var alarm <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		alarm = timer.C
	}
	select {
	case <-alarm:
	case <-b.changed:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// try lets a call out, or says until when to wait; a zero time = for a change.
func (b *budget) try(now time.Time) (ticket, time.Time, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.minute.roll(now, b.next+1)
	b.day.roll(now, b.next+1)
	if wait := b.blocked.Sub(now); wait > patience {
		return ticket{}, time.Time{}, askedAway{wait}
	} else if wait > 0 {
		return ticket{}, b.blocked, nil
	}
	if !b.day.reset.IsZero() && !b.day.known && b.underWay > 0 {
		return ticket{}, time.Time{}, nil // one call asks, alone
	}
	if b.day.known {
		free := b.day.room() - b.reserve()
		if free <= 0 {
			spent := daySpent{wait: max(b.day.reset.Sub(now), time.Second), first: !b.day.reset.Equal(b.dayOut)}
			b.dayOut = b.day.reset
			return ticket{}, time.Time{}, spent
		}
		if free <= b.underWay {
			return ticket{}, time.Time{}, nil
		}
	}
	if b.underWay >= b.limit {
		return ticket{}, time.Time{}, nil
	}
	headers := !b.minute.reset.IsZero()
	switch {
	case !b.answered || headers && !b.minute.known:
		if b.underWay > 0 {
			return ticket{}, time.Time{}, nil // one call asks, alone
		}
	case headers && b.minute.room() <= 0:
		return ticket{}, b.minute.reset, nil
	case headers && b.minute.room() <= b.underWay:
		return ticket{}, b.minute.reset, nil
	}
	if b.capped || !headers {
		if last := b.sent[b.oldest]; !last.IsZero() && now.Sub(last) < time.Minute {
			return ticket{}, last.Add(time.Minute), nil
		}
	}
	b.sent[b.oldest] = now
	b.oldest = (b.oldest + 1) % len(b.sent)
	b.next++
	b.underWay++
	return ticket{seq: b.next, at: now}, time.Time{}, nil
}

// reserve is the number of the day's calls that are left to others.
func (b *budget) reserve() int { return (b.day.limit*b.reservePercent + 99) / 100 }

// ending is how a call ended, as far as the budget is concerned.
type ending struct {
	reached bool        // bytes of it may have reached the service
	header  http.Header // nil = no answer
	status  int
	slow    bool // timed out
}

// leave takes a call back and learns from its answer. Of a 429 it gives the
// time until which nobody goes.
func (b *budget) leave(t ticket, e ending) (blocked time.Time) {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.underWay--
	next := b.next + 1
	switch {
	case e.header != nil:
		// An error without headers may be that of a gateway, and shows
		// nothing of what the service sends.
		itself := e.status < 500 && e.status != http.StatusTooManyRequests
		for _, w := range []*window{&b.minute, &b.day} {
			told := w.learn(w.read(e.header, now), t.seq, now, next)
			if !told && itself && !w.known && t.seq >= w.since {
				w.forget()
			}
			b.answered = b.answered || told || itself
		}
	case e.reached:
		b.minute.lose(next)
		b.day.lose(next)
	}
	if e.status == http.StatusTooManyRequests {
		blocked = b.block(e.header, now, next)
	}
	b.adapt(t, e, next)
	select {
	case b.changed <- struct{}{}:
	default:
	}
	return blocked
}

// block keeps everybody back after a 429, until the service's own time.
func (b *budget) block(h http.Header, now time.Time, next uint64) time.Time {
	until := now.Add(blindWait)
	wait, told := retryAfter(h, now)
	switch {
	case b.day.known && b.day.room() <= 0: // the day's rule speaks from now on
		return b.day.reset
	case told:
		until = now.Add(min(max(wait, time.Second), longestWait))
	case b.minute.known && b.minute.told && b.minute.reset.After(now):
		until = b.minute.reset
	}
	b.minute.doubt(next)
	if until.After(b.blocked) {
		b.blocked = until
	}
	return b.blocked
}

// adapt halves the calls at once when the service shows strain, once for all
// calls that were under way together, and adds one per streak of successes.
func (b *budget) adapt(t ticket, e ending, next uint64) {
	switch {
	case e.status == http.StatusTooManyRequests, e.status == http.StatusServiceUnavailable, e.slow:
		b.streak = 0
		if t.seq >= b.halvedAt {
			b.limit, b.halvedAt = max(b.limit/2, 1), next
		}
	case e.status >= 200 && e.status < 500 && b.limit < b.maxConcurrent:
		if b.streak++; b.streak >= b.limit {
			b.limit, b.streak = b.limit+1, 0
		}
	}
}

// snapshot is what is known of the limits.
func (b *budget) snapshot() Budget {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.minute.roll(now, b.next+1)
	b.day.roll(now, b.next+1)
	return Budget{
		LimitMinute: b.minute.limit, RemainingMinute: max(b.minute.room(), 0),
		LimitDay: b.day.limit, RemainingDay: max(b.day.room(), 0), ReservedDay: b.reserve(),
		ResetMinute: b.minute.reset, Concurrency: b.limit, Known: b.minute.limit > 0,
	}
}

// perMinute is the number of calls a minute that may be made; never 0, since
// without any header the documented limit holds.
func (b *budget) perMinute() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.minute.limit
	if n == 0 {
		n = unknownPerMinute
	}
	if b.capped {
		n = min(n, len(b.sent))
	}
	if b.day.known {
		n = min(n, b.day.room()-b.reserve())
	}
	return max(n, 1)
}
