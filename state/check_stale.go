package state

// stale looks at what was told of mappings whose account is gone.
func (k *checker) stale() error {
	told, into := 0, 0
	err := k.each(bStale, func(key, v []byte) error {
		told++
		var r staleRecord
		if err := decode(bStale, key, v, &r); err != nil {
			return k.say("%v", err)
		}
		at, ok := staleKeyOf(key)
		account, valid := at.account.AccountID()
		if !ok || !valid {
			return k.say("The list of stale mappings has the key %x, which is none.", key)
		}
		keys := staleIntoKeys(at, r)
		into += len(keys)
		for _, key := range keys {
			if err := k.expect(k.has(bStaleInto, key), "Customer %d, whose account %s was merged away, is not listed with its survivor.", at.customer, account); err != nil {
				return err
			}
		}
		return k.expect(k.has(bHolders, join(accountPrefix(account), customerKey(at.customer))),
			"Customer %d was told of as latched to %s, and is not.", at.customer, account)
	})
	if err != nil {
		return err
	}
	if err := k.expect(k.b(bStaleInto).Stats().KeyN == into, "%d survivors of stale mappings are known, and another number is listed.", into); err != nil {
		return err
	}
	counted, err := k.counter(mStale)
	if err != nil {
		return err
	}
	return k.expect(counted == told, "%d mappings are stale, and the counter says %d.", told, counted)
}
