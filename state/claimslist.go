package state

import (
	"context"
	"time"

	"latchd/latch"
)

// ClaimState is a claim as others see it.
type ClaimState struct {
	Claim latch.Claim
	Since time.Time // when the field was first seen so
	Made  latch.ClaimMade
	Due   bool // it is to be decided
}

// Claimants lists the claims on a customer by account, at most limit; limit is at
// most 10,000, which 0 stands for.
func (s *Store) Claimants(ctx context.Context, customer latch.CustomerID, limit int) (out []ClaimState, err error) {
	limit = pageSize(limit)
	err = s.view(ctx, func(t *tx) error {
		out = nil
		for _, a := range t.claimants(customer, limit) {
			one, _, err := t.claimState(a)
			if err != nil {
				return err
			}
			out = append(out, one)
		}
		return nil
	})
	return out, err
}

// ClaimOf gives the claim of an account, and false where its field is empty.
func (s *Store) ClaimOf(ctx context.Context, account latch.AccountID) (one ClaimState, found bool, err error) {
	err = s.view(ctx, func(t *tx) error {
		a, ok := account.Pack()
		if !ok {
			return nil
		}
		one, found, err = t.claimState(a)
		return err
	})
	return one, found, err
}

func (t *tx) claimState(a latch.PackedAccountID) (ClaimState, bool, error) {
	var r claimRecord
	found, err := t.get(bClaims, a[:], &r)
	if err != nil || !found {
		return ClaimState{}, false, err
	}
	return ClaimState{
		Claim: latch.Claim{Account: a, Customer: r.Customer, Bad: r.Bad, Value: r.Value},
		Since: r.Since, Made: r.made(), Due: t.b(bClaimsDue).Get(claimKey(r.Customer, a)) != nil,
	}, true, nil
}
