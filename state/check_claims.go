package state

import "latchd/latch"

// claims looks at what accounts ask for by a field.
func (k *checker) claims() error {
	known, bad := 0, 0
	err := k.each(bClaims, func(key, v []byte) error {
		var r claimRecord
		if err := decode(bClaims, key, v, &r); err != nil {
			return k.say("%v", err)
		}
		account, ok := unpackAccount(key)
		if !ok || r.Customer < 0 || (r.Customer == 0) != (r.Bad != "") {
			return k.say("The claim of %x on customer %d is none.", key, r.Customer)
		}
		due := k.has(bClaimsDue, claimKey(r.Customer, latch.PackedAccountID(key)))
		if r.Bad != "" {
			bad++
		} else {
			known++
			if err := k.expect(k.has(bClaimants, claimKey(r.Customer, latch.PackedAccountID(key))), "The claim of account %s is not listed with customer %d.", account, r.Customer); err != nil {
				return err
			}
		}
		return k.expect(due || r.Decided, "The claim of account %s on customer %d is neither decided nor due.", account, r.Customer)
	})
	if err != nil {
		return err
	}
	if err := k.expect(k.b(bClaimants).Stats().KeyN == known, "%d accounts claim a customer, and another number is listed.", known); err != nil {
		return err
	}
	err = k.each(bClaimsDue, func(key, _ []byte) error {
		customer, a, ok := readClaimKey(key)
		var r claimRecord
		if ok {
			if ok, err = k.get(bClaims, a[:], &r); err != nil {
				return nil // a finding already
			}
		}
		return k.expect(ok && r.Customer == customer, "The list of claims that are due has %x, which is no claim.", key)
	})
	if err != nil {
		return err
	}
	err = k.each(bClaimsOff, func(key, _ []byte) error {
		r, found, err := k.request(string(key))
		if err != nil {
			return nil // likewise
		}
		return k.expect(!found || r.OfClaim(), "Request %s is to be cancelled with a claim, and is of none.", key)
	})
	if err != nil {
		return err
	}
	for _, c := range []struct {
		what string
		name []byte
		n    int
	}{{"claim a customer", mClaimKnown, known}, {"carry something else in their field", mClaimsBad, bad}} {
		counted, err := k.counter(c.name)
		if err != nil {
			return err
		}
		if err := k.expect(counted == c.n, "%d accounts %s, and the counter says %d.", c.n, c.what, counted); err != nil {
			return err
		}
	}
	return nil
}
