package sandbox

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// Account is one Salesforce account as it truly stands, whatever the integration
// user may see of it.
type Account struct {
	Index            int
	ID               string // 18 characters
	Name             string
	IsDeleted        bool   // in the Recycle Bin
	Purged           bool   // gone from the Recycle Bin too
	MasterRecordID   string // the survivor, when this one was merged away
	StaxBillCustomer string // Stax_Bill_Customer__c; empty = null
	CreatedDate      time.Time
	SystemModstamp   time.Time
}

// accountState is what can differ from the seed. Stamps are seconds since 1970,
// the precision that Salesforce shows.
type accountState struct {
	at        uint64 // change number; a cursor sees the changes up to its own
	name      string // empty = the seeded one
	customer  string
	deleted   bool
	purged    bool
	master    int // index of the survivor, -1 = none
	created   int64
	modified  int64
	deletedAt int64
}

// accounts holds the changes of accounts only; everything else is computed. Old
// states stay, so that an open cursor keeps seeing what it was opened on.
type accounts struct {
	seed   seeding
	seeded int
	ahead  func() // called before each change, without the lock

	mu      sync.RWMutex
	total   int // seeded and created ones
	changes uint64
	states  map[int][]accountState
	hidden  int           // percent of the accounts out of the user's sight
	late    time.Duration // how old the stamp of a change is when others first see it
}

func newAccounts(seed seeding, n int) *accounts {
	return &accounts{seed: seed, seeded: n, total: n, states: map[int][]accountState{}}
}

// stateAt is the account's state as of a change number. The caller holds mu.
func (a *accounts) stateAt(i int, at uint64) (accountState, bool) {
	if i < 0 || i >= a.total {
		return accountState{}, false
	}
	if history := a.states[i]; len(history) > 0 {
		for k := len(history) - 1; k >= 0; k-- {
			if history[k].at <= at {
				return history[k], true
			}
		}
	}
	if i >= a.seeded {
		return accountState{}, false // created later
	}
	created, modified := a.seed.accountTimes(i)
	return accountState{master: -1, created: created, modified: modified}, true
}

// visible says whether the integration user may see account i at this moment.
func (a *accounts) visible(i int) bool { return a.seed.visible(i, a.hidden) }

func (a *accounts) nameOf(i int, st *accountState) string {
	if st.name != "" {
		return st.name
	}
	return a.seed.accountName(i)
}

func (a *accounts) snapshot(i int, st *accountState) Account {
	out := Account{
		Index: i, ID: a.seed.accountID(i), Name: a.nameOf(i, st),
		IsDeleted: st.deleted, Purged: st.purged, StaxBillCustomer: st.customer,
		CreatedDate: time.Unix(st.created, 0).UTC(), SystemModstamp: time.Unix(st.modified, 0).UTC(),
	}
	if st.master >= 0 {
		out.MasterRecordID = a.seed.accountID(st.master)
	}
	return out
}

func (a *accounts) find(id string) (int, accountState, bool) {
	i, ok := a.seed.accountIndex(id)
	if !ok {
		return 0, accountState{}, false
	}
	st, ok := a.stateAt(i, a.changes)
	return i, st, ok
}

// exists is what Stax Bill learns when it asks: its own user sees everything, but
// nothing that is deleted.
func (a *accounts) exists(id string) bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	_, st, ok := a.find(id)
	return ok && !st.deleted && !st.purged
}

// change applies edit to the account's state and remembers the new one.
func (a *accounts) change(id string, now time.Time, edit func(st *accountState) error) error {
	a.ahead()
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.changeLocked(id, now, edit)
}

func (a *accounts) changeLocked(id string, now time.Time, edit func(st *accountState) error) error {
	i, st, ok := a.find(id)
	if !ok {
		return fmt.Errorf("sandbox: there is no account %s", id)
	}
	st.modified = now.Unix()
	if err := edit(&st); err != nil {
		return err
	}
	a.changes++
	st.at = a.changes
	a.states[i] = append(a.states[i], st)
	return nil
}

// Account reads the truth of one account by its 15- or 18-character id.
func (s *Sandbox) Account(id string) (Account, bool) {
	a := s.accounts
	a.mu.RLock()
	defer a.mu.RUnlock()
	i, st, ok := a.find(id)
	if !ok {
		return Account{}, false
	}
	return a.snapshot(i, &st), true
}

// Accounts lists the truth of up to limit accounts from index from on, deleted
// and purged ones included.
func (s *Sandbox) Accounts(from, limit int) []Account {
	a := s.accounts
	a.mu.RLock()
	defer a.mu.RUnlock()
	var out []Account
	for i := max(from, 0); i < a.total && len(out) < limit; i++ {
		st, _ := a.stateAt(i, a.changes)
		out = append(out, a.snapshot(i, &st))
	}
	return out
}

// CreateAccount makes one more account and gives its id.
func (s *Sandbox) CreateAccount(name string) string {
	a, now := s.accounts, s.stamp().Unix()
	a.ahead()
	a.mu.Lock()
	defer a.mu.Unlock()
	i := a.total
	a.total++
	a.changes++
	a.states[i] = []accountState{{at: a.changes, name: name, master: -1, created: now, modified: now}}
	return a.seed.accountID(i)
}

// EditAccount changes an account's name and its Stax_Bill_Customer__c (nil =
// leave as it is, empty = null). Where that is a formula field, its change alone
// leaves no stamp.
func (s *Sandbox) EditAccount(id string, name, staxBillCustomer *string) error {
	unstamped := name == nil && s.variants.get(VariantRequestField) == "formula"
	before, _ := s.Account(id)
	return s.accounts.change(id, s.stamp(), func(st *accountState) error {
		if st.deleted || st.purged {
			return fmt.Errorf("sandbox: account %s is deleted; undelete it before editing", id)
		}
		if unstamped {
			st.modified = before.SystemModstamp.Unix()
		}
		if name != nil {
			st.name = *name
		}
		if staxBillCustomer != nil {
			st.customer = strings.TrimSpace(*staxBillCustomer)
		}
		return nil
	})
}

// DeleteAccount puts an account into the Recycle Bin.
func (s *Sandbox) DeleteAccount(id string) error {
	now := s.stamp()
	return s.accounts.change(id, now, func(st *accountState) error {
		if st.deleted || st.purged {
			return fmt.Errorf("sandbox: account %s is deleted already", id)
		}
		st.deleted, st.deletedAt = true, now.Unix()
		return nil
	})
}

// UndeleteAccount takes an account out of the Recycle Bin; losers of a merge can
// come back too. Whether its SystemModstamp moves is the variant
// salesforce.undelete-stamp.
func (s *Sandbox) UndeleteAccount(id string) error {
	stamps := s.variants.get(VariantUndeleteStamp) == "moves"
	return s.accounts.change(id, s.stamp(), func(st *accountState) error {
		if !st.deleted || st.purged {
			return fmt.Errorf("sandbox: account %s is not in the Recycle Bin", id)
		}
		if !stamps {
			st.modified = st.deletedAt
		}
		st.deleted, st.deletedAt, st.master = false, 0, -1
		return nil
	})
}

// PurgeAccount removes an account for good: queryAll no longer shows it.
func (s *Sandbox) PurgeAccount(id string) error {
	now := s.stamp()
	return s.accounts.change(id, now, func(st *accountState) error {
		if st.purged {
			return fmt.Errorf("sandbox: account %s is purged already", id)
		}
		if !st.deleted {
			st.deletedAt = now.Unix()
		}
		st.deleted, st.purged = true, true
		return nil
	})
}

// MergeAccount merges the account id into another: it is deleted, and its
// MasterRecordId names the survivor.
func (s *Sandbox) MergeAccount(id, into string) error {
	a, now := s.accounts, s.stamp()
	a.ahead()
	a.mu.Lock()
	defer a.mu.Unlock()
	survivor, st, ok := a.find(into)
	if !ok || st.deleted || st.purged {
		return fmt.Errorf("sandbox: account %s cannot survive a merge: it does not exist or is deleted", into)
	}
	err := a.changeLocked(id, now, func(st *accountState) error {
		if st.deleted || st.purged {
			return fmt.Errorf("sandbox: account %s is deleted already", id)
		}
		if a.seed.accountID(survivor)[:15] == id[:15] {
			return fmt.Errorf("sandbox: account %s cannot be merged into itself", id)
		}
		st.deleted, st.deletedAt, st.master = true, now.Unix(), survivor
		return nil
	})
	if err != nil {
		return err
	}
	return a.changeLocked(into, now, func(*accountState) error { return nil })
}

// SetCommitDelay makes the accounts changed from now on seen that much after their
// stamps, as when the transactions that change them take so long: Salesforce stamps
// a row before it commits it.
func (s *Sandbox) SetCommitDelay(d time.Duration) error {
	if d < 0 {
		return fmt.Errorf("sandbox: a change cannot be seen %s before it is stamped", -d)
	}
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	s.accounts.late = d
	return nil
}

// stamp is the SystemModstamp of a change that is seen from now on.
func (s *Sandbox) stamp() time.Time {
	s.accounts.mu.RLock()
	defer s.accounts.mu.RUnlock()
	return s.now().Add(-s.accounts.late)
}

// HideAccounts takes percent of the accounts (0 to 100, always the same ones for
// a seed) out of the integration user's sight, as when "View All" is withdrawn:
// query, queryAll and retrieve no longer show them, though they exist. Zero gives
// them back. Open cursors lose the rows as well.
func (s *Sandbox) HideAccounts(percent int) error {
	if percent < 0 || percent > 100 {
		return fmt.Errorf("sandbox: %d is no percentage of accounts to hide; give 0 to 100", percent)
	}
	s.accounts.ahead()
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	s.accounts.hidden = percent
	return nil
}

// changed lists, in order of index, the accounts whose state fits, as getUpdated
// and getDeleted need it.
func (a *accounts) changed(fits func(st *accountState) bool) []int {
	a.mu.RLock()
	defer a.mu.RUnlock()
	var out []int
	for i := range a.total {
		if st, ok := a.stateAt(i, a.changes); ok && a.visible(i) && fits(&st) {
			out = append(out, i)
		}
	}
	return out
}
