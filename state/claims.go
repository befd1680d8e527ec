package state

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"latchd/latch"
)

// A claim is kept under its account, listed under the customer that it names, and
// due as long as something has changed that it may have to be decided anew for.
// Being due is written in the transaction of the change itself, be that of the
// field or of the mapping, and taken away in the one that decides; so a crash
// neither loses a decision nor makes one twice.

// claimRecord is a claim and what was made of it.
type claimRecord struct {
	Customer latch.CustomerID `json:"c,omitempty"`
	Bad      string           `json:"b,omitempty"`
	Value    string           `json:"v,omitempty"`
	Since    time.Time        `json:"t"` // when the field was first seen so
	Decided  bool             `json:"d,omitempty"`
	Latched  latch.AccountID  `json:"l,omitempty"`
	Refused  bool             `json:"x,omitempty"`
	Request  string           `json:"r,omitempty"`
}

func (r *claimRecord) is(c latch.Claim) bool {
	return r.Customer == c.Customer && r.Bad == c.Bad && r.Value == c.Value
}

func (r *claimRecord) made() latch.ClaimMade {
	return latch.ClaimMade{Decided: r.Decided, Latched: r.Latched, Refused: r.Refused, Request: r.Request}
}

func (r *claimRecord) make(m latch.ClaimMade) {
	r.Decided, r.Latched, r.Refused, r.Request = m.Decided, m.Latched, m.Refused, m.Request
}

// ClaimInfo says what the claims are.
type ClaimInfo struct {
	Field string `json:"field,omitempty"` // the field of Account that they come from; "" = none
	// Due says that all of them have to be read anew: until then they are not
	// whole, and none is decided.
	Due bool `json:"due,omitempty"`

	Known int `json:"-"` // accounts that carry a customer id
	Bad   int `json:"-"` // accounts whose field carries something else
}

// ClaimInfo gives what the claims are, the numbers from counters.
func (s *Store) ClaimInfo(ctx context.Context) (info ClaimInfo, err error) {
	err = s.view(ctx, func(t *tx) error {
		info, err = t.claimInfo()
		if err != nil {
			return err
		}
		if info.Known, err = t.counter(mClaimKnown); err != nil {
			return err
		}
		info.Bad, err = t.counter(mClaimsBad)
		return err
	})
	return info, err
}

func (t *tx) claimInfo() (info ClaimInfo, err error) {
	_, err = t.get(bMeta, mClaims, &info)
	return info, err
}

// WantClaims notes that all claims have to be read anew, as before a full pull
// or when they come from another field from now on. One transaction; may be
// repeated.
func (s *Store) WantClaims(ctx context.Context) error {
	return s.update(ctx, stepClaims, func(t *tx) error {
		info, err := t.claimInfo()
		if err != nil || info.Due {
			return err
		}
		info.Due = true
		return t.put(bMeta, mClaims, info)
	})
}

// claimsChunk is how many claims one transaction sets.
const claimsChunk = 5_000

// SetClaims takes over what the fields of some accounts carry now; those of one
// account count in the order given. Each 5,000 are a transaction. Where that
// makes several, all claims are due to be read anew until the last, so that none
// is decided on a part of what changed. May be repeated: what is known already
// changes nothing.
func (s *Store) SetClaims(ctx context.Context, claims []latch.Claim, now time.Time) error {
	release, err := s.take(ctx, s.staging)
	if err != nil {
		return err
	}
	defer release()
	whole, due := len(claims) <= claimsChunk, false
	for first := true; len(claims) > 0; first = false {
		part := claims[:min(claimsChunk, len(claims))]
		claims = claims[len(part):]
		last := len(claims) == 0
		changes := false
		if err := s.view(ctx, func(t *tx) error {
			changes, err = t.claimsDiffer(part)
			return err
		}); err != nil {
			return err
		}
		if whole && !changes {
			return nil
		}
		if err := s.update(ctx, stepClaims, func(t *tx) error {
			if !whole && (first || last) {
				info, err := t.claimInfo()
				if err != nil {
					return err
				}
				if first {
					due = info.Due
				}
				info.Due = due || !last
				if err := t.put(bMeta, mClaims, info); err != nil {
					return err
				}
			}
			for _, c := range part {
				if err := t.setClaim(c, now.UTC()); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// claimsDiffer reports whether setting claims would change anything.
func (t *tx) claimsDiffer(claims []latch.Claim) (bool, error) {
	for _, c := range claims {
		var was claimRecord
		found, err := t.get(bClaims, c.Account[:], &was)
		if err != nil || found != !c.Empty() || found && !was.is(c) {
			return true, err
		}
	}
	return false, nil
}

// setClaim writes what the field of an account carries now.
func (t *tx) setClaim(c latch.Claim, now time.Time) error {
	if _, ok := c.Account.AccountID(); !ok || c.Customer < 0 || c.Customer != 0 && c.Bad != "" {
		return fmt.Errorf("account %x and customer %d are no claim", c.Account[:], c.Customer)
	}
	var was claimRecord
	found, err := t.get(bClaims, c.Account[:], &was)
	if err != nil || found && was.is(c) || !found && c.Empty() {
		return err
	}
	if found {
		if err := t.dropClaim(c.Account, was); err != nil {
			return err
		}
	}
	if c.Empty() {
		return nil
	}
	if err := t.put(bClaims, c.Account[:], claimRecord{Customer: c.Customer, Bad: c.Bad, Value: c.Value, Since: now}); err != nil {
		return err
	}
	if c.Customer == 0 {
		t.count(mClaimsBad, 1)
		return t.claimDue(0, c.Account)
	}
	t.count(mClaimKnown, 1)
	if err := t.b(bClaimants).Put(claimKey(c.Customer, c.Account), none); err != nil {
		return err
	}
	if err := t.claimDue(c.Customer, c.Account); err != nil {
		return err
	}
	// The first of several is refused too, those behind it find it so.
	if all := t.claimants(c.Customer, 3); len(all) == 2 {
		for _, a := range all {
			if err := t.claimDue(c.Customer, a); err != nil {
				return err
			}
		}
	}
	return nil
}

// dropClaim takes a claim away. What waits of it is listed to be cancelled, and
// the last of its rivals is decided anew.
func (t *tx) dropClaim(a latch.PackedAccountID, was claimRecord) error {
	if err := t.b(bClaimsDue).Delete(claimKey(was.Customer, a)); err != nil {
		return err
	}
	if err := t.b(bClaims).Delete(a[:]); err != nil {
		return err
	}
	if was.Customer == 0 {
		t.count(mClaimsBad, -1)
		return nil
	}
	t.count(mClaimKnown, -1)
	if err := t.b(bClaimants).Delete(claimKey(was.Customer, a)); err != nil {
		return err
	}
	r, found, err := t.request(was.Request)
	if err != nil {
		return err
	}
	if found && r.State != latch.Done && r.OfClaim() {
		if err := t.b(bClaimsOff).Put([]byte(r.ID), none); err != nil {
			return err
		}
	}
	if left := t.claimants(was.Customer, 2); len(left) == 1 {
		return t.claimDue(was.Customer, left[0])
	}
	return nil
}

// mappingMoved has the claims decided that a change of their customer's mapping
// concerns: the only one, or else those of the accounts that it was and is
// latched to. The others are refused and stay so.
func (t *tx) mappingMoved(c latch.CustomerID, from, to latch.AccountID) error {
	switch all := t.claimants(c, 2); len(all) {
	case 0:
		return nil
	case 1:
		return t.claimDue(c, all[0])
	}
	for _, a := range []latch.AccountID{from, to} {
		p, ok := a.Pack()
		if !ok || t.b(bClaimants).Get(claimKey(c, p)) == nil {
			continue
		}
		if err := t.claimDue(c, p); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) claimDue(c latch.CustomerID, a latch.PackedAccountID) error {
	return t.b(bClaimsDue).Put(claimKey(c, a), none)
}

// claimants are accounts that claim a customer, in order, at most limit.
func (t *tx) claimants(c latch.CustomerID, limit int) (all []latch.PackedAccountID) {
	next := prefixed(t.b(bClaimants).Cursor(), customerKey(c), nil)
	for k := next(); len(k) == packedLen && len(all) < limit; k = next() {
		all = append(all, latch.PackedAccountID(k))
	}
	return all
}

func claimKey(c latch.CustomerID, a latch.PackedAccountID) []byte {
	return join(customerKey(c), a[:])
}

func readClaimKey(k []byte) (c latch.CustomerID, a latch.PackedAccountID, ok bool) {
	if len(k) != 8+packedLen {
		return 0, a, false
	}
	return keyCustomer(k), latch.PackedAccountID(k[8:]), true
}

// adopt makes a claim's open request that of a person who asks for the same: it
// no longer ends with the claim.
func (t *tx) adopt(run string, was latch.Request, f latch.Filing, now time.Time) (latch.Request, error) {
	if !was.OfClaim() || f.Source == latch.SourceField {
		return was, nil
	}
	r := was
	r.Source, r.By = f.Source, f.By
	if err := t.b(bClaimsOff).Delete([]byte(r.ID)); err != nil {
		return was, err
	}
	if err := t.save(&was, r); err != nil {
		return was, err
	}
	return r, t.enter(now, latch.Entry{
		Kind: latch.KindAccepted, Customer: r.Customer, Request: r.ID, Run: run, To: r.Account, Source: r.Source, By: r.By,
	})
}

// rivals are other accounts that claim a customer, at most maxRivals, the one
// that it is latched to first.
func (t *tx) rivals(c latch.CustomerID, self latch.PackedAccountID, latched latch.AccountID) (out []latch.AccountID) {
	holder, ok := latched.Pack()
	if ok && holder != self && t.b(bClaimants).Get(claimKey(c, holder)) != nil {
		out = append(out, latched)
	}
	for _, a := range t.claimants(c, maxRivals+2) {
		id, valid := a.AccountID()
		if valid && a != self && !slices.Contains(out, id) && len(out) < maxRivals {
			out = append(out, id)
		}
	}
	return out
}

// maxRivals bounds how many accounts a refusal names.
const maxRivals = 3

// asksBeside reports whether a customer has an open request beside one.
func (t *tx) asksBeside(c latch.CustomerID, request string) bool {
	next := prefixed(t.b(bOpen).Cursor(), customerKey(c), nil)
	for id := next(); id != nil; id = next() {
		if !bytes.Equal(id, []byte(request)) {
			return true
		}
	}
	return false
}
