package state

import (
	"bytes"

	"latchd/latch"
)

// The parts of Check that look at requests and what hangs on them.

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
	heads, promoted := 0, 0
	err := k.each(bHeads, func(customer, place []byte) error {
		heads++
		if len(customer) != 8 || len(place) < 3 || bytes.IndexByte([]byte{inReady, inDue, inPromoted}, place[0]) < 0 {
			return k.say("The queue has a head that is none.")
		}
		r, found, err := k.head(keyCustomer(customer))
		if err != nil {
			return k.say("%v", err)
		}
		want := headPlace(r)
		moved := found && place[0] == inPromoted && r.State == latch.Waiting && !r.NextAttemptAt.IsZero() &&
			bytes.Equal(place[1:], readyPlace(class(r), r.ID)[1:]) && k.has(bPromoted, place[1:])
		if place[0] == inPromoted {
			promoted++
		}
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
	if err := k.expect(k.b(bPromoted).Stats().KeyN == promoted, "The queue has %d places whose time has come, and lists another number.", promoted); err != nil {
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
