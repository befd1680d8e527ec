package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"latchd/latch"
)

// A mapping is stale when its account was deleted or merged away, by what the
// index knows. It is told of once: what was told lies beside the mapping, goes
// with it, and is compared with what the index knows now.

// NoteStale is the note that mappings may be stale which nobody was told of;
// StaleAll says that each account that is gone is to be looked at. A mapping that
// comes to such an account sets it, in its own transaction: whoever saw that may
// not live to tell of it.
const (
	NoteStale = "stale-due"
	StaleAll  = "all"
)

// staleRecord is what was told of a customer and its account.
type staleRecord struct {
	State latch.AccountState `json:"s"` // deleted or merged
	// Into are the survivors, from the first merge to the last.
	Into []latch.AccountID `json:"i,omitempty"`
	At   time.Time         `json:"t"`
	// Filed is the survivor that a request was filed for.
	Filed latch.AccountID `json:"f,omitempty"`
}

// survivor is the end of a chain of merges; "" where none is named.
func (r *staleRecord) survivor() latch.AccountID {
	if len(r.Into) == 0 {
		return ""
	}
	return r.Into[len(r.Into)-1]
}

// Stale is one piece of news of a mapping: its account is gone, or is back.
type Stale struct {
	Customer latch.CustomerID
	Account  latch.AccountID
	State    latch.AccountState // deleted or merged; known = it is back
	Survivor latch.AccountID    // where it was merged to in the end; may be gone itself
	// News is false when this was told before, and only a request is new.
	News      bool
	Filed     *Filed          // the request for the survivor, where one was filed
	Cancelled []latch.Request // requests for a survivor that ended, as the account is back
}

// StaleOrder says how stale mappings are told of.
type StaleOrder struct {
	Run    string
	Follow bool // file a request for the survivor (requests.follow_merges)
	Now    time.Time
}

// StaleResult is what was told.
type StaleResult struct {
	Told []Stale
	// Deferred counts the mappings for which no request was filed because the
	// customer has an open one of its own, which comes first.
	Deferred int
}

// staleChunk is how many mappings one transaction tells of.
const staleChunk = 1_000

// maxMerges bounds a chain of merges.
const maxMerges = 32

// staleKey is a customer and the account that it is latched to.
type staleKey struct {
	account  latch.PackedAccountID
	customer latch.CustomerID
}

func (k staleKey) bytes() []byte { return join(k.account[:], customerKey(k.customer)) }

func staleKeyOf(b []byte) (staleKey, bool) {
	if len(b) != packedLen+8 {
		return staleKey{}, false
	}
	return staleKey{latch.PackedAccountID(b[:packedLen]), keyCustomer(b[packedLen:])}, true
}

// TellStale looks at the mappings that the accounts concern, at most MaxPerCall:
// those latched to one of them, and those whose account was merged into one of
// them. Each that has become stale, has another survivor than was told, or is so
// no more, is told of: by an entry in the history and in the result. With Follow
// a merged account whose last survivor is in the index has a request filed for
// that, of source latch.SourceMerge, which forces away from the merged account
// only; once for each survivor. When the account is back, such a request ends,
// unless a call for it may have taken effect.
//
// Nothing is written when there is nothing to tell. Each 1,000 mappings are a
// transaction; on an error the result holds what was told before. May be
// repeated: what was told, and filed, is not again.
func (s *Store) TellStale(ctx context.Context, accounts []latch.PackedAccountID, o StaleOrder) (res StaleResult, err error) {
	if err := checkSize(len(accounts)); err != nil {
		return res, err
	}
	var todo []staleKey
	if err := s.view(ctx, func(t *tx) error {
		todo, res.Deferred = nil, 0
		for _, a := range accounts {
			if err := t.alive(); err != nil {
				return err
			}
			if err := t.concerned(a, func(k staleKey) error {
				v, err := t.judgeStale(k, o)
				if v.tells() {
					todo = append(todo, k)
				}
				if v.deferred {
					res.Deferred++
				}
				return err
			}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return res, err
	}
	for len(todo) > 0 {
		part := todo[:min(staleChunk, len(todo))]
		todo = todo[len(part):]
		var told []Stale
		err := s.update(ctx, stepStale, func(t *tx) error {
			told = nil
			for _, k := range part {
				one, err := t.tellStale(k, o)
				if err != nil {
					return fmt.Errorf("tell of customer %d: %w", k.customer, err)
				}
				if one != nil {
					told = append(told, *one)
				}
			}
			return nil
		})
		if err != nil {
			return res, err
		}
		res.Told = append(res.Told, told...)
	}
	return res, nil
}

// Concerned reports whether a mapping hangs on one of the accounts: it is
// latched to it, or to one that was merged into it and told of.
func (s *Store) Concerned(ctx context.Context, accounts []latch.PackedAccountID) (concerned bool, err error) {
	err = s.view(ctx, func(t *tx) error {
		concerned = false
		for _, a := range accounts {
			if err := t.alive(); err != nil {
				return err
			}
			err := t.concerned(a, func(staleKey) error { return errFound })
			if errors.Is(err, errFound) {
				concerned = true
				return nil
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return concerned, err
}

// errFound ends a search.
var errFound = errors.New("found")

// concerned goes through the mappings that hang on an account.
func (t *tx) concerned(a latch.PackedAccountID, fn func(staleKey) error) error {
	id, ok := a.AccountID()
	if !ok {
		return fmt.Errorf("%x is no Account id", a[:])
	}
	next := prefixed(t.b(bHolders).Cursor(), accountPrefix(id), nil)
	for k := next(); k != nil; k = next() {
		if err := fn(staleKey{a, keyCustomer(k)}); err != nil {
			return err
		}
	}
	next = prefixed(t.b(bStaleInto).Cursor(), a[:], nil)
	for k := next(); k != nil; k = next() {
		key, ok := staleKeyOf(k)
		if !ok {
			return &badRecord{"the list of stale mappings by survivor has a key that is none"}
		}
		if err := fn(key); err != nil {
			return err
		}
	}
	return nil
}

// staleVerdict is what is to be done about one mapping.
type staleVerdict struct {
	now      staleRecord // State known: the account is there
	was      staleRecord
	told     bool // was is what was told
	news     bool // now differs from it
	file     bool // a request for the survivor is wanted
	deferred bool // and has to wait for the customer's own
}

func (v staleVerdict) tells() bool { return v.news || v.file }

func (t *tx) judgeStale(k staleKey, o StaleOrder) (v staleVerdict, err error) {
	if v.told, err = t.get(bStale, k.bytes(), &v.was); err != nil {
		return v, err
	}
	if v.now, err = t.became(k.account); err != nil {
		return v, err
	}
	switch v.now.State {
	case latch.AccountKnown:
		v.news = v.told
		return v, nil
	case latch.AccountDeleted, latch.AccountMerged:
	default: // nothing is known of it, so nothing new either
		return v, nil
	}
	v.now.Filed = v.was.Filed
	into := v.now.survivor()
	v.news = !v.told || v.was.State != v.now.State || v.was.survivor() != into
	if !o.Follow || v.now.State != latch.AccountMerged || into == "" || v.was.Filed == into {
		return v, nil
	}
	last, err := t.account(into)
	if err != nil || last.State != latch.AccountKnown {
		return v, err
	}
	own, err := t.askedByOthers(k.customer)
	v.file, v.deferred = !own, own
	return v, err
}

// became is what the index knows of an account, with the whole chain of merges.
func (t *tx) became(a latch.PackedAccountID) (r staleRecord, err error) {
	key := a[:]
	for len(r.Into) < maxMerges {
		known, err := t.index().has(key)
		if err != nil {
			return r, err
		}
		if known && r.State == "" {
			return staleRecord{State: latch.AccountKnown}, nil
		}
		var g goneRecord
		found, err := t.get(bGone, key, &g)
		if err != nil || !found || known {
			return r, err
		}
		if r.State == "" {
			r.State = g.State
		}
		next, ok := g.Survivor.Pack()
		if g.State != latch.AccountMerged || !ok || slices.Contains(r.Into, g.Survivor) {
			return r, nil // the end, or a circle
		}
		r.Into = append(r.Into, g.Survivor)
		key = next[:]
	}
	return r, nil
}

// askedByOthers reports whether a customer has an open request that does not
// come from following merges.
func (t *tx) askedByOthers(c latch.CustomerID) (bool, error) {
	next := prefixed(t.b(bOpen).Cursor(), customerKey(c), nil)
	for id := next(); id != nil; id = next() {
		r, _, err := t.openRequest(string(id))
		if err != nil || r.Source != latch.SourceMerge {
			return true, err
		}
	}
	return false, nil
}

// tellStale does what judgeStale asks for, and says what that was; nil when
// there is nothing to tell.
func (t *tx) tellStale(k staleKey, o StaleOrder) (*Stale, error) {
	v, err := t.judgeStale(k, o)
	if err != nil || !v.tells() {
		return nil, err
	}
	account, _ := k.account.AccountID() // it is one, by concerned
	now := o.Now.UTC()
	one := &Stale{Customer: k.customer, Account: account, State: v.now.State, Survivor: v.now.survivor(), News: v.news}
	if v.now.State == latch.AccountKnown {
		if one.Cancelled, err = t.unfollow(k.customer, account, o.Run, now); err != nil {
			return nil, err
		}
		if err := t.dropStale(k); err != nil {
			return nil, err
		}
		return one, t.enterStale(one, o.Run, now)
	}
	if v.news {
		if err := t.enterStale(one, o.Run, now); err != nil {
			return nil, err
		}
	}
	if v.file {
		filed, err := t.file(o.Run, latch.Filing{
			Customer: k.customer, Account: one.Survivor, Force: true, OnlyFrom: account, Source: latch.SourceMerge,
		}, now)
		if err != nil {
			return nil, err
		}
		one.Filed, v.now.Filed = &filed, one.Survivor
	}
	v.now.At = now
	if !v.news {
		v.now.At = v.was.At
	}
	return one, t.setStale(k, v.now)
}

// enterStale tells the history.
func (t *tx) enterStale(one *Stale, run string, now time.Time) error {
	e := latch.Entry{Customer: one.Customer, Run: run, From: one.Account, Evidence: &latch.AccountReading{
		Account: one.Account, State: one.State, Survivor: one.Survivor, InIndex: one.State == latch.AccountKnown, How: latch.HowIndex, At: now,
	}}
	switch {
	case one.State == latch.AccountKnown:
		e.Kind, e.Detail = latch.KindAccountBack, fmt.Sprintf("Account %s is there again.", one.Account)
	case one.Survivor != "":
		e.Kind, e.Detail = latch.KindAccountMerged, fmt.Sprintf("Account %s was merged into %s.", one.Account, one.Survivor)
	case one.State == latch.AccountMerged:
		e.Kind, e.Detail = latch.KindAccountMerged, fmt.Sprintf("Account %s was merged into another one.", one.Account)
	default:
		e.Kind, e.Detail = latch.KindAccountDeleted, fmt.Sprintf("Account %s was deleted.", one.Account)
	}
	return t.enter(now, e)
}

// unfollow ends the requests that would take a customer away from an account
// that is back, save those whose call may have taken effect.
func (t *tx) unfollow(c latch.CustomerID, from latch.AccountID, run string, now time.Time) (ended []latch.Request, err error) {
	var open []string
	next := prefixed(t.b(bOpen).Cursor(), customerKey(c), nil)
	for id := next(); id != nil; id = next() {
		open = append(open, string(id))
	}
	for _, id := range open {
		r, _, err := t.openRequest(id)
		if err != nil {
			return nil, err
		}
		if r.Source != latch.SourceMerge || r.OnlyFrom != from {
			continue
		}
		reason, err := t.unsettled(r, now)
		if err != nil {
			return nil, err
		}
		if reason != "" {
			continue
		}
		r, err = t.end(run, r, latch.Cancelled, fmt.Sprintf("Account %s, which had been merged away, is there again.", from), "", now)
		if err != nil {
			return nil, err
		}
		ended = append(ended, r)
	}
	return ended, nil
}

// setStale writes what was told, and lists it under each survivor.
func (t *tx) setStale(k staleKey, r staleRecord) error {
	if err := t.dropStale(k); err != nil {
		return err
	}
	for _, key := range staleIntoKeys(k, r) {
		if err := t.b(bStaleInto).Put(key, none); err != nil {
			return err
		}
	}
	t.count(mStale, 1)
	return t.put(bStale, k.bytes(), r)
}

// noteStale sees to it that a mapping which comes to an account that is gone is
// told of.
func (t *tx) noteStale(to latch.AccountID) error {
	p, ok := to.Pack()
	if !ok || t.b(bGone).Get(p[:]) == nil {
		return nil
	}
	return t.b(bNotes).Put(bounded(NoteStale), []byte(StaleAll))
}

// dropStale forgets what was told of a mapping, if anything was.
func (t *tx) dropStale(k staleKey) error {
	var was staleRecord
	found, err := t.get(bStale, k.bytes(), &was)
	if err != nil || !found {
		return err
	}
	for _, key := range staleIntoKeys(k, was) {
		if err := t.b(bStaleInto).Delete(key); err != nil {
			return err
		}
	}
	t.count(mStale, -1)
	return t.b(bStale).Delete(k.bytes())
}

func staleIntoKeys(k staleKey, r staleRecord) (keys [][]byte) {
	for _, into := range r.Into {
		if p, ok := into.Pack(); ok {
			keys = append(keys, join(p[:], k.bytes()))
		}
	}
	return keys
}

// isSurvivor reports whether a stale mapping's account was merged into a.
func (t *tx) isSurvivor(a []byte) bool {
	k, _ := t.b(bStaleInto).Cursor().Seek(a)
	return bytes.HasPrefix(k, a)
}
