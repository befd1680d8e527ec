package state

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"

	"latchd/latch"
)

// maxFindings ends a check: a file with more is beyond listing.
const maxFindings = 100

// Check looks for anything in the file that cannot be: every record is read,
// every index and counter worked out anew, and bbolt checks its pages. It gives
// the findings as sentences, none for a sound state, at most about 100. It
// changes nothing, and nobody else writes while it runs.
func (s *Store) Check(ctx context.Context) ([]string, error) {
	release, err := s.take(ctx, s.writer)
	if err != nil {
		return nil, err
	}
	defer release()
	if err := s.Broken(); err != nil {
		return []string{"Writing failed earlier: " + err.Error()}, nil
	}
	k := &checker{}
	for _, part := range []func(*checker) error{
		(*checker).pages, (*checker).requests, (*checker).indexes, (*checker).queue, (*checker).intents,
		(*checker).mappings, (*checker).accounts, (*checker).histories, (*checker).rest,
	} {
		err := s.checkPart(ctx, k, part)
		if errors.Is(err, errEnough) {
			break
		}
		if damaged := (*DamagedError)(nil); errors.As(err, &damaged) {
			k.found = append(k.found, damaged.Reason)
			continue
		}
		if err != nil {
			return nil, err
		}
	}
	return k.found, nil
}

// checkPart runs one part in a writing transaction that is rolled back: bbolt's
// own check needs that others do not write.
func (s *Store) checkPart(ctx context.Context, k *checker, part func(*checker) error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	btx, err := s.begin(true)
	if err != nil {
		return err
	}
	defer func() {
		if p := recover(); p != nil {
			err = s.damaged(p)
		}
		s.abandon(btx)
	}()
	k.tx = &tx{Tx: btx, ctx: ctx}
	return s.explain(part(k))
}

type checker struct {
	*tx
	found  []string
	counts map[latch.State]int
}

func (k *checker) say(format string, args ...any) error {
	k.found = append(k.found, fmt.Sprintf(format, args...))
	if len(k.found) >= maxFindings {
		return errEnough
	}
	return nil
}

// expect notes a finding when ok is false.
func (k *checker) expect(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return k.say(format, args...)
}

func (k *checker) has(bucket, key []byte) bool {
	at, _ := k.b(bucket).Cursor().Seek(key)
	return at != nil && bytes.Equal(at, key)
}

// each goes through a bucket.
func (k *checker) each(bucket []byte, fn func(key, value []byte) error) error {
	c := k.b(bucket).Cursor()
	for key, v := c.First(); key != nil; key, v = c.Next() {
		if err := k.alive(); err != nil {
			return err
		}
		if err := fn(key, v); err != nil {
			return err
		}
	}
	return nil
}

func (k *checker) pages() error {
	var first error
	for err := range k.Tx.Check() { // to its end, or its goroutine stays
		if first == nil {
			first = k.say("bbolt: %v", err)
		}
	}
	return first
}

func (k *checker) requests() error {
	k.counts = map[latch.State]int{}
	err := k.each(bRequests, func(key, v []byte) error {
		r, err := decodeRequest(key, v)
		if err != nil {
			return k.say("%v", err)
		}
		k.counts[r.State]++
		return k.oneRequest(r)
	})
	if err != nil {
		return err
	}
	for _, state := range latch.States {
		n, err := k.counter(mCount(state))
		if err != nil {
			return err
		}
		if err := k.expect(n == k.counts[state], "%d requests are %s, and the counter says %d.", k.counts[state], state, n); err != nil {
			return err
		}
	}
	return nil
}

// oneRequest holds one request to its indexes.
func (k *checker) oneRequest(r latch.Request) error {
	id, customer, done := []byte(r.ID), customerKey(r.Customer), r.State == latch.Done
	hold, err := k.hold(r.ID)
	if err != nil {
		return k.say("%v", err)
	}
	intent, err := k.intent(r.ID)
	if err != nil {
		return k.say("%v", err)
	}
	head, _, err := k.head(r.Customer)
	if err != nil {
		return k.say("%v", err)
	}
	for _, e := range []struct {
		ok   bool
		what string
	}{
		{r.State.Valid(), "is in no state that there is"},
		{done == r.Outcome.Valid(), "has an outcome and is not done, or the reverse"},
		{done == !r.FinishedAt.IsZero(), "has an end and is not done, or the reverse"},
		{r.State == latch.Waiting || r.WaitingFor == "" && r.NextAttemptAt.IsZero(), "does not wait and waits for something"},
		{k.has(bCustomers, join(customer, id)), "is not listed with its customer"},
		{k.has(bOpen, join(customer, id)) == !done, "is listed as open and is done, or the reverse"},
		{k.has(bStates, stateKey(r.State, r.ID)) == !done, "is not listed under its state"},
		{k.has(bFinished, join(timeKey(r.FinishedAt), id)) == done, "is listed as finished and is not, or the reverse"},
		{r.State != latch.Held || hold != nil, "is held without a hold"},
		{hold == nil || !done && hold.Request == r.ID && hold.Customer == r.Customer, "has a hold that is not its own, or is done"},
		{r.State != latch.Applying || intent != nil, "is being applied without an intent"},
		{intent == nil || !done && intent.Request == r.ID && intent.Customer == r.Customer, "has an intent that is not its own, or is done"},
		{done || r.State == latch.Pending || head.ID == r.ID, "is not the oldest of its customer and goes ahead of it"},
	} {
		if err := k.expect(e.ok, "Request %s (%s) %s.", r.ID, r.State, e.what); err != nil {
			return err
		}
	}
	return nil
}

// indexes looks from the other side: nothing is listed that is not there.
func (k *checker) indexes() error {
	for _, ix := range []struct {
		bucket []byte
		skip   int
		open   bool
	}{
		{bCustomers, 8, false},
		{bOpen, 8, true},
		{bStates, 1, true},
		{bFinished, 8, false},
		{bHolds, 0, true},
		{bIntents, 0, true},
	} {
		err := k.each(ix.bucket, func(key, _ []byte) error {
			if len(key) < ix.skip {
				return k.say("The bucket %s has a key that is too short.", ix.bucket)
			}
			r, found, err := k.tx.request(string(key[ix.skip:]))
			if err != nil {
				return k.say("%v", err)
			}
			ok := found && (!ix.open || r.State != latch.Done)
			switch {
			case string(ix.bucket) == string(bStates):
				ok = ok && stateByte(r.State) == key[0]
			case string(ix.bucket) == string(bFinished):
				ok = ok && r.State == latch.Done && bytes.Equal(key[:8], timeKey(r.FinishedAt))
			case ix.skip == 8:
				ok = ok && keyCustomer(key) == r.Customer
			}
			return k.expect(ok, "The bucket %s leads to request %s, which is not there or not so.", ix.bucket, key[ix.skip:])
		})
		if err != nil {
			return err
		}
	}
	err := k.each(bIdentity, func(key, id []byte) error {
		_, found, err := k.tx.request(string(id))
		if err != nil {
			return k.say("%v", err)
		}
		return k.expect(found && k.has(bIdentOf, join(id, key)), "An identity leads to request %s, which is not there or does not know of it.", id)
	})
	if err != nil {
		return err
	}
	identities := k.b(bIdentity).Stats().KeyN
	return k.expect(k.b(bIdentOf).Stats().KeyN == identities, "%d identities are known, and their requests list another number.", identities)
}

func (k *checker) queue() error {
	heads := 0
	err := k.each(bHeads, func(customer, place []byte) error {
		heads++
		if len(customer) != 8 || len(place) < 3 || place[0] != inReady && place[0] != inDue {
			return k.say("The queue has a head that is none.")
		}
		r, found, err := k.head(keyCustomer(customer))
		if err != nil {
			return k.say("%v", err)
		}
		want := headPlace(r)
		moved := found && r.State == latch.Waiting && bytes.Equal(place, readyPlace(class(r), r.ID))
		return k.expect(found && (bytes.Equal(place, want) || moved) && k.has(placeBucket(place), place[1:]),
			"Customer %d stands elsewhere in the queue than its oldest request should.", keyCustomer(customer))
	})
	if err != nil {
		return err
	}
	err = k.each(bOpen, func(key, _ []byte) error {
		r, _, err := k.head(keyCustomer(key))
		if err != nil {
			return k.say("%v", err)
		}
		return k.expect(headPlace(r) == nil || k.has(bHeads, key[:8]), "Request %s may be planned and is not in the queue.", r.ID)
	})
	if err != nil {
		return err
	}
	n := k.b(bReady).Stats().KeyN + k.b(bDue).Stats().KeyN
	return k.expect(n == heads, "The queue has %d places and %d heads.", n, heads)
}

func (k *checker) intents() error {
	n := 0
	err := k.each(bIntents, func(key, v []byte) error {
		n++
		var i intentRecord
		if err := decode(bIntents, key, v, &i); err != nil {
			return k.say("%v", err)
		}
		return k.expect(string(k.b(bIntentOf).Get(customerKey(i.Customer))) == string(key), "The intent of request %s is not listed with its customer %d.", key, i.Customer)
	})
	if err != nil {
		return err
	}
	if err := k.expect(k.b(bIntentOf).Stats().KeyN == n, "%d intents are open, and another number of customers has one.", n); err != nil {
		return err
	}
	return k.each(bQuiet, func(key, v []byte) error {
		var q quietRecord
		if err := decode(bQuiet, key, v, &q); err != nil {
			return k.say("%v", err)
		}
		return k.expect(len(key) == 8 && q.Account != "", "A quiet time has no customer or no account.")
	})
}

func (k *checker) mappings() error {
	n := 0
	err := k.each(bMapping, func(key, v []byte) error {
		n++
		var m mappingRecord
		if err := decode(bMapping, key, v, &m); err != nil {
			return k.say("%v", err)
		}
		return k.expect(len(key) == 8 && m.Account != "" && k.has(bHolders, join(accountPrefix(m.Account), key)),
			"Customer %d is not listed with its account %s.", keyCustomer(key), m.Account)
	})
	if err != nil {
		return err
	}
	counted, err := k.counter(mMappings)
	if err != nil {
		return err
	}
	if err := k.expect(counted == n, "%d customers are latched, and the counter says %d.", n, counted); err != nil {
		return err
	}
	holders := k.b(bHolders).Stats().KeyN
	if err := k.expect(holders == n, "%d customers are latched, and accounts list %d.", n, holders); err != nil {
		return err
	}
	rows := 0
	if err := k.each(bSurvey, func(key, v []byte) error {
		rows++
		return k.expect(len(key) == 8 && len(v) >= 8, "A staged row of the survey cannot be read.")
	}); err != nil {
		return err
	}
	var stage surveyStage
	if _, err := k.get(bMeta, mSurveyStage, &stage); err != nil {
		return err
	}
	return k.expect(rows == stage.Rows, "%d rows of a survey are staged, and the counter says %d.", rows, stage.Rows)
}

func (k *checker) accounts() error {
	current, _ := k.generations()
	n := 0
	err := k.each(current, func(key, _ []byte) error {
		n++
		if len(key) != packedLen {
			return k.say("The account index has a key of %d bytes.", len(key))
		}
		return k.expect(k.b(bGone).Get(key) == nil, "An account is in the index and remembered as gone.")
	})
	if err != nil {
		return err
	}
	info, err := k.indexInfo()
	if err != nil {
		return err
	}
	if err := k.expect(info.Count == n, "%d accounts are in the index, and the counter says %d.", n, info.Count); err != nil {
		return err
	}
	gone := 0
	err = k.each(bGone, func(key, v []byte) error {
		gone++
		var g goneRecord
		if err := decode(bGone, key, v, &g); err != nil {
			return k.say("%v", err)
		}
		return k.expect(k.has(bGoneAt, join(timeKey(g.At), key)), "A deleted account is not listed by time.")
	})
	if err != nil {
		return err
	}
	return k.expect(k.b(bGoneAt).Stats().KeyN == gone, "%d accounts are gone, and another number is listed by time.", gone)
}

func (k *checker) histories() error {
	entries, accounts := 0, 0
	err := k.each(bHistory, func(key, v []byte) error {
		e, err := decodeEntry(key, v)
		if err != nil {
			return k.say("%v", err)
		}
		entries++
		ok := k.has(bHistoryC, join(customerKey(e.Customer), key))
		for _, at := range historyAccounts(e, e.ID) {
			accounts++
			ok = ok && k.has(bHistoryA, at)
		}
		return k.expect(ok, "The history entry %s is not listed with its customer and accounts.", e.ID)
	})
	if err != nil {
		return err
	}
	ok := k.b(bHistoryC).Stats().KeyN == entries && k.b(bHistoryA).Stats().KeyN == accounts
	return k.expect(ok, "The history has %d entries, and its indexes list others.", entries)
}

func (k *checker) rest() error {
	open := 0
	err := k.each(bRuns, func(key, v []byte) error {
		var r latch.Run
		if err := decode(bRuns, key, v, &r); err != nil {
			return k.say("%v", err)
		}
		if r.FinishedAt.IsZero() {
			open++
		}
		return k.expect(k.has(bOpenRuns, key) == r.FinishedAt.IsZero(), "Run %s is listed as open and has ended, or the reverse.", key)
	})
	if err != nil {
		return err
	}
	if err := k.expect(k.b(bOpenRuns).Stats().KeyN == open, "%d runs have no end, and another number is listed.", open); err != nil {
		return err
	}
	plans := 0
	err = k.each(bPlans, func(key, _ []byte) error {
		plans++
		p, err := k.plan(string(key))
		if err != nil {
			return k.say("%v", err)
		}
		return k.expect(k.has(bPlansAt, join(timeKey(p.At), key)), "The plan %s is not listed by time.", key)
	})
	if err != nil {
		return err
	}
	if err := k.expect(k.b(bPlansAt).Stats().KeyN == plans, "%d plans are kept, and another number is listed by time.", plans); err != nil {
		return err
	}
	if err := k.each(bRefusals, func(key, v []byte) error {
		var r refusalRecord
		if err := decode(bRefusals, key, v, &r); err != nil {
			return k.say("%v", err)
		}
		return k.expect(r.Digest == string(key), "The refusal %s is kept under another digest.", key)
	}); err != nil {
		return err
	}
	return k.each(bEffects, func(key, v []byte) error {
		return k.expect(len(key) > 8 && len(v) > 2 && binary.BigEndian.Uint64(key) > 0, "An effect of the guard's count cannot be read.")
	})
}
