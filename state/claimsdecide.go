package state

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"latchd/latch"
)

// ClaimsDecided is what DecideClaims did.
type ClaimsDecided struct {
	Filed     []Filed         // requests of claims; Known ones were asked for already
	Refused   []latch.Request // ended, since several accounts claim one customer
	Cancelled []latch.Request // ended, since no claim asks for them any more
	Bad       []latch.Claim   // fields that carry no customer id, told of once a value
	Waiting   int             // what could not be decided or ended now
}

// decideChunk is how many claims one transaction decides.
const decideChunk = 1_000

// The two lists that DecideClaims goes through, as its position names them.
const (
	listOff = "o"
	listDue = "d"
)

// DecideClaims decides claims that are due, and cancels what is open of those
// that are no more, some thousand of both in one transaction, from behind after
// on; "" is the beginning, and next is "" at the end. What has to wait stays due:
// a request with an open intent, or whose customer is in quiet time, is neither
// ended nor refused, and a claim that is to be decided anew comes behind the
// customer's other open requests.
//
// Nothing is decided while ClaimInfo.Due, and nothing written when there is
// nothing to do. May be repeated.
func (s *Store) DecideClaims(ctx context.Context, run, after string, now time.Time) (res ClaimsDecided, next string, err error) {
	some := false
	if err := s.view(ctx, func(t *tx) error {
		info, err := t.claimInfo()
		if err != nil {
			return err
		}
		off, _ := t.b(bClaimsOff).Cursor().First()
		due, _ := t.b(bClaimsDue).Cursor().First()
		some = !info.Due && (off != nil || due != nil)
		return nil
	}); err != nil || !some {
		return res, "", err
	}
	err = s.update(ctx, stepDecideClaims, func(t *tx) error {
		res, next = ClaimsDecided{}, ""
		d := claimDecider{tx: t, run: run, now: now.UTC(), res: &res}
		list, from := listOff, ""
		if after != "" {
			list, from = after[:1], after[1:]
		}
		left := decideChunk
		if list == listOff {
			keys := keysFrom(t, bClaimsOff, from, left)
			for _, k := range keys {
				if err := d.cancel(string(k)); err != nil {
					return fmt.Errorf("cancel request %s: %w", k, err)
				}
			}
			if left -= len(keys); left == 0 {
				next = listOff + string(keys[len(keys)-1])
				return nil
			}
			from = ""
		}
		keys := keysFrom(t, bClaimsDue, from, left)
		for _, k := range keys {
			if err := t.alive(); err != nil {
				return err
			}
			if err := d.decide(k); err != nil {
				return err
			}
		}
		if len(keys) == left {
			next = listDue + string(keys[len(keys)-1])
		}
		return nil
	})
	if err != nil {
		return ClaimsDecided{}, "", err
	}
	return res, next, nil
}

// keysFrom copies the keys of a bucket behind after, at most limit.
func keysFrom(t *tx, bucket []byte, after string, limit int) (keys [][]byte) {
	c := t.b(bucket).Cursor()
	k, _ := c.Seek([]byte(after))
	if after != "" && k != nil && string(k) == after {
		k, _ = c.Next()
	}
	for ; k != nil && len(keys) < limit; k, _ = c.Next() {
		keys = append(keys, bytes.Clone(k))
	}
	return keys
}

// claimDecider decides claims within a transaction.
type claimDecider struct {
	*tx
	run string
	now time.Time
	res *ClaimsDecided
}

// cancel ends a request whose claim is no more.
func (d *claimDecider) cancel(id string) error {
	r, found, err := d.request(id)
	if err != nil {
		return err
	}
	if found && r.State != latch.Done {
		reason, err := d.unsettled(r, d.now)
		if err != nil {
			return err
		}
		if reason != "" {
			d.res.Waiting++
			return nil
		}
		detail := fmt.Sprintf("Account %s no longer carries customer %d in the field of salesforce.request_field.", r.Account, r.Customer)
		if r, err = d.end(d.run, r, latch.Cancelled, detail, "", d.now); err != nil {
			return err
		}
		d.res.Cancelled = append(d.res.Cancelled, r)
	}
	return d.b(bClaimsOff).Delete([]byte(id))
}

// decide decides the claim that an entry of the list of due ones names.
func (d *claimDecider) decide(key []byte) error {
	customer, a, ok := readClaimKey(key)
	if !ok {
		return &badRecord{"the list of claims that are due has a key that is none"}
	}
	var rec claimRecord
	found, err := d.get(bClaims, a[:], &rec)
	if err != nil {
		return err
	}
	if !found || rec.Customer != customer {
		return &badRecord{fmt.Sprintf("the claim of account %x on customer %d is due and is not there", a[:], customer)}
	}
	if customer == 0 {
		d.res.Bad = append(d.res.Bad, latch.Claim{Account: a, Bad: rec.Bad, Value: rec.Value})
		rec.Decided = true
	} else {
		waits, err := d.judge(customer, a, &rec)
		if err != nil {
			return fmt.Errorf("decide the claim on customer %d: %w", customer, err)
		}
		if waits {
			d.res.Waiting++
			return nil
		}
	}
	if err := d.put(bClaims, a[:], rec); err != nil {
		return err
	}
	return d.b(bClaimsDue).Delete(key)
}

// judge carries out what latch.DecideClaim says of a claim, and puts into rec
// what was made of it, unless that has to wait.
func (d *claimDecider) judge(customer latch.CustomerID, a latch.PackedAccountID, rec *claimRecord) (waits bool, err error) {
	account, ok := a.AccountID()
	if !ok {
		return false, &badRecord{fmt.Sprintf("a claim is of %x, which is no account", a[:])}
	}
	m, _, err := d.mapping(customer)
	if err != nil {
		return false, err
	}
	f := latch.ClaimFacts{
		Account: account, Customer: customer, Latched: m.Account, Made: rec.made(),
		Rivals: d.rivals(customer, a, m.Account),
	}
	last, found, err := d.request(rec.Request)
	if err != nil {
		return false, err
	}
	own := ""
	if found {
		f.Last = &last
		if last.OfClaim() {
			own = last.ID
		}
	}
	f.Others = d.asksBeside(customer, own)
	v := latch.DecideClaim(f)
	switch v.Action {
	case latch.ClaimWaits:
		return true, nil
	case latch.ClaimRefuse:
		request, done, err := d.refuse(account, customer, f.Last, v)
		if err != nil || !done {
			return true, err
		}
		v.Made.Request = request
	case latch.ClaimAsks:
		filed, err := d.file(d.run, claimFiling(customer, account), d.now)
		if err != nil {
			return false, err
		}
		if err := d.b(bClaimsOff).Delete([]byte(filed.Request.ID)); err != nil {
			return false, err
		}
		d.res.Filed = append(d.res.Filed, filed)
		v.Made.Request = filed.Request.ID
	}
	rec.make(v.Made)
	return false, nil
}

func claimFiling(c latch.CustomerID, a latch.AccountID) latch.Filing {
	return latch.Filing{Customer: c, Account: a, Source: latch.SourceField, By: latch.ByField}
}

// refuse ends the claim's open request, or else one that is made for it, so that
// it is told of like any other. done is false while a call may still take effect.
func (d *claimDecider) refuse(account latch.AccountID, customer latch.CustomerID, last *latch.Request, v latch.ClaimVerdict) (request string, done bool, err error) {
	var r latch.Request
	if last != nil && last.State != latch.Done && last.OfClaim() {
		r = *last
	}
	reason, err := d.unsettled(latch.Request{ID: r.ID, Customer: customer}, d.now)
	if err != nil || reason != "" {
		return "", false, err
	}
	if r.ID == "" {
		if r, err = d.acceptClaim(claimFiling(customer, account)); err != nil {
			return "", false, err
		}
	}
	if r, err = d.end(d.run, r, v.Outcome, v.Detail, "", d.now); err != nil {
		return "", false, err
	}
	d.res.Refused = append(d.res.Refused, r)
	return r.ID, true, nil
}

// acceptClaim makes the request of a claim that is refused in the same
// transaction, and so takes nobody's place.
func (d *claimDecider) acceptClaim(f latch.Filing) (latch.Request, error) {
	id, err := d.newID(d.now)
	if err != nil {
		return latch.Request{}, err
	}
	r := latch.Request{
		ID: id, Customer: f.Customer, Account: f.Account, Source: f.Source, By: f.By, AcceptedAt: d.now, State: latch.Pending,
	}
	if err := d.save(nil, r); err != nil {
		return r, err
	}
	return r, d.enter(d.now, latch.Entry{
		Kind: latch.KindAccepted, Customer: r.Customer, Request: r.ID, Run: d.run, To: r.Account, Source: r.Source, By: r.By,
	})
}
