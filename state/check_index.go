package state

import "bytes"

// accounts looks at the account index and at what became of accounts.
func (k *checker) accounts() error {
	current, other := k.generations()
	n, err := k.generation(current)
	if err != nil {
		return err
	}
	if _, err := k.generation(other); err != nil {
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
		if err := k.expect(k.has(bGoneAt, join(timeKey(g.At), key)), "A deleted account is not listed by time."); err != nil {
			return err
		}
		known, err := k.index().has(key)
		if err != nil {
			return nil // the page is a finding already
		}
		return k.expect(!known, "An account is in the index and remembered as gone.")
	})
	if err != nil {
		return err
	}
	return k.expect(k.b(bGoneAt).Stats().KeyN == gone, "%d accounts are gone, and another number is listed by time.", gone)
}

// generation looks at the pages of one generation and counts its accounts.
func (k *checker) generation(name []byte) (n int, err error) {
	var last []byte
	err = k.each(name, func(key, v []byte) error {
		ids, err := pageOf(key, v)
		if err != nil {
			return k.say("The account index: %v.", err)
		}
		if err := k.expect(len(ids) <= pageIDs*packedLen, "A page of the account index has %d bytes.", len(ids)); err != nil {
			return err
		}
		for ; len(ids) > 0; ids = ids[packedLen:] {
			n++
			id := idAt(ids, 0)
			if last != nil && bytes.Compare(last, id) >= 0 {
				return k.say("The page %x of the account index is out of order.", key)
			}
			if _, ok := unpackAccount(id); !ok {
				return k.say("The account index has %x, which is no account.", id)
			}
			last = id
		}
		return nil
	})
	return n, err
}
