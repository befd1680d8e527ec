package syncer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.uber.org/zap"

	"latchd/latch"
	"latchd/sfclient"
	"latchd/state"
	"latchd/staxbill"
)

const (
	// witnesses is how many accounts of the index go along with every live
	// reading of accounts, at no extra call: when they too are out of sight,
	// it is our sight that is lost and not the accounts.
	witnesses = 20
	// retrieveMax is how many accounts one call reads.
	retrieveMax = 2000
)

// facts are the live readings for a window of requests.
type facts struct {
	customers map[latch.CustomerID]latch.CustomerReading
	accounts  map[latch.AccountID]latch.AccountReading
	unread    map[latch.CustomerID]error // customers that cannot be read, while others can
}

// read takes the live readings that the requests' decisions rest on: each
// customer, then each account that a call would latch to. What Stax Bill shows
// goes into the mapping as observed.
func (r *run) read(ctx context.Context, qs []state.Queued) (facts, error) {
	ids := make([]latch.CustomerID, len(qs))
	for i, q := range qs {
		ids[i] = q.Request.Customer
	}
	customers, unread, err := r.customers(ctx, ids)
	if err != nil {
		return facts{}, err
	}
	var need []latch.AccountID
	for _, q := range qs {
		c := customers[q.Request.Customer]
		if c.Found && c.Account != q.Request.Account && !(q.Intent != nil && latch.Applied(*q.Intent, c)) {
			need = append(need, q.Request.Account)
		}
	}
	accounts, err := r.accounts(ctx, need)
	return facts{customers, accounts, unread}, err
}

// customers reads customers live, and says which of them cannot be read although
// others can. What Stax Bill shows goes into the mapping as observed.
func (r *run) customers(ctx context.Context, ids []latch.CustomerID) (customers map[latch.CustomerID]latch.CustomerReading, unread map[latch.CustomerID]error, err error) {
	customers, unread, err = r.readCustomers(ctx, ids)
	if err != nil {
		return nil, nil, fmt.Errorf("reading %d customers ahead of their decision: %w", len(ids), err)
	}
	readings := make([]latch.CustomerReading, 0, len(customers))
	for _, id := range ids {
		reading, ok := customers[id]
		if !ok && unread[id] == nil {
			return nil, nil, fmt.Errorf("reading %d customers ahead of their decision: the answer left out customer %d", len(ids), id)
		}
		if ok {
			readings = append(readings, reading)
		}
	}
	drift, err := r.store.Observe(ctx, r.rec.ID, readings, r.s.now())
	if err != nil {
		return nil, nil, fmt.Errorf("recording what Stax Bill shows of %d customers: %w", len(ids), err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen.Changed += len(drift)
	r.logDrift(drift, len(drift))
	for id, reading := range r.pretend { // only in a dry run
		if live, ok := customers[id]; ok {
			reading.At = live.At
			customers[id] = reading
		}
	}
	return customers, unread, nil
}

const (
	readSet = 100 // customers that one call reads
	// unreadMax is how many customers in a row may fail to be read one by one
	// before another one is asked for, to tell bad records from an outage.
	unreadMax = 3
)

// readCustomers reads customers in sets. Where that fails because of what came
// back, the sets are tried one by one, and the members of a bad one, so that one
// record that the service cannot give stops nothing else.
func (r *run) readCustomers(ctx context.Context, ids []latch.CustomerID) (map[latch.CustomerID]latch.CustomerReading, map[latch.CustomerID]error, error) {
	all, err := r.sb.Customers(ctx, ids)
	if err == nil || !mayBeOne(err) {
		return all, nil, err
	}
	all = make(map[latch.CustomerID]latch.CustomerReading, len(ids))
	unread := map[latch.CustomerID]error{}
	for set := range slices.Chunk(ids, readSet) {
		some, err := r.sb.Customers(ctx, set)
		if err == nil {
			maps.Copy(all, some)
			continue
		}
		if err := r.readEach(ctx, set, err, all, unread); err != nil {
			return nil, nil, err
		}
		if len(all) == 0 && len(unread) >= readSet {
			return nil, nil, err // so many bad records are an outage after all
		}
	}
	return all, unread, nil
}

// readEach reads the members of a set that could not be read together because of
// cause. The error is why none of them is at fault.
func (r *run) readEach(ctx context.Context, set []latch.CustomerID, cause error, all map[latch.CustomerID]latch.CustomerReading, unread map[latch.CustomerID]error) error {
	failed := unreadMax // in a row
	for _, id := range set {
		if failed == unreadMax {
			if failed = 0; !r.sb.Readable(ctx, id) {
				return cause
			}
		}
		reading, err := r.sb.Customer(ctx, id)
		switch {
		case err == nil:
			all[id], failed = reading, 0
		case !mayBeOne(err):
			return err
		default:
			unread[id], cause = err, err
			failed++
		}
	}
	return nil
}

// mayBeOne reports whether one record may be what is wrong.
func mayBeOne(err error) bool {
	var sberr *staxbill.Error
	return errors.As(err, &sberr) && (sberr.Kind == staxbill.KindTransient || sberr.Kind == staxbill.KindMalformed)
}

// accounts reads the accounts live, together with what the index knows of
// them. Where Salesforce's budget is short, an account that the last complete
// pull saw counts as existing, and its evidence says so.
func (r *run) accounts(ctx context.Context, need []latch.AccountID) (map[latch.AccountID]latch.AccountReading, error) {
	if len(need) == 0 {
		return nil, nil
	}
	asked := need
	if room := retrieveMax - len(need)%retrieveMax; room >= witnesses {
		w, err := r.store.Witnesses(ctx, witnesses)
		if err != nil {
			return nil, fmt.Errorf("choosing accounts of the index to read along: %w", err)
		}
		asked = append(append([]latch.AccountID{}, need...), w...)
	}
	known, err := r.store.Accounts(ctx, asked)
	if err != nil {
		return nil, fmt.Errorf("looking up %d accounts in the index: %w", len(asked), err)
	}
	live, err := r.sf.Exists(ctx, asked)
	var sferr *sfclient.Error
	if errors.As(err, &sferr) && sferr.Limited() {
		r.indexEvidence(err, len(need))
		return known, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %d accounts ahead of their decision: %w", len(need), err)
	}
	inIndex, lost := 0, 0
	for id, reading := range live {
		if k := known[id]; k.State == latch.AccountKnown && k.InIndex {
			inIndex++
			if reading.State == latch.AccountUnseen {
				lost++
			}
			reading.InIndex = true
			live[id] = reading
		}
	}
	if err := r.checkSight(ctx, inIndex, lost); err != nil {
		return nil, err
	}
	return live, nil
}

// indexEvidence says once per run that the index stands in for live readings.
func (r *run) indexEvidence(err error, n int) {
	if r.setLimited(err) {
		r.log.Warn("Salesforce's limit: accounts that the last complete pull saw count as existing",
			zap.String("event", latch.EventIndexEvidence), zap.Int("accounts", n), zap.Error(err))
	}
}

// SightError means that accounts of the index are out of sight, more of them
// than the guard takes for deletions.
type SightError struct{ Known, Lost, Percent int }

func (e *SightError) Error() string {
	return fmt.Sprintf("%d of %d accounts that the last complete pull saw are out of sight without a trace of a deletion, more than guard.max_lost_accounts_percent (%d %%) allows: the integration user has probably lost View All on Account. Nothing was decided on that",
		e.Lost, e.Known, e.Percent)
}

// Hint is what the operator can do.
func (e *SightError) Hint() string {
	return "give the integration user View All on Account again; when the accounts are really gone, the next full pull says so"
}

// checkSight stops the run when accounts that we know have gone out of sight in
// numbers. A few are no sign of it: their requests wait for a full pull.
func (r *run) checkSight(ctx context.Context, known, lost int) error {
	percent := r.set.Limits.MaxLostAccountsPercent
	if !latch.TooMuchLost(known, lost, percent) || lost < 5 && !(lost == known && known >= 3) {
		return nil
	}
	err := &SightError{Known: known, Lost: lost, Percent: percent}
	r.log.Error(err.Error(), zap.String("event", latch.EventVisibilityLost), zap.Int("known", known), zap.Int("lost", lost))
	if serr := r.store.SetNote(ctx, notePullFull, "accounts are out of sight"); serr != nil {
		return fmt.Errorf("asking for a full pull: %w", serr)
	}
	return err
}
