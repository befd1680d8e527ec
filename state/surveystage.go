package state

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"latchd/latch"
)

// surveyChunk is how many customers one transaction stages or applies, so that
// nobody waits long for the turn to write.
const surveyChunk = 10_000

// surveyStage is what is known of the staged rows.
type surveyStage struct {
	Rows  int              `json:"rows"`
	Began time.Time        `json:"began,omitzero"` // when the oldest of them was asked for
	Last  latch.CustomerID `json:"last,omitzero"`  // the highest of them
}

var mSurveyStage = []byte("survey-stage")

// stagedPage is the rows of one answer, packed: a survey of a million customers
// takes a sixth of the room that a key for each would, and a hundred
// transactions.
type stagedPage struct {
	first, last latch.CustomerID
	rows        int
	at          time.Time
	value       []byte
}

// ResetSurvey empties the staging area. One transaction; may be repeated.
func (s *Store) ResetSurvey(ctx context.Context) error {
	release, err := s.take(ctx, s.staging)
	if err != nil {
		return err
	}
	defer release()
	s.surveyed = nil
	return s.update(ctx, stepResetSurvey, (*tx).resetSurvey)
}

var errBeingApplied = errors.New("a survey that was accepted is still being applied; the next start carries it through")

func (t *tx) resetSurvey() error {
	if t.b(bMeta).Get(mAccepted) != nil {
		return errBeingApplied
	}
	if err := t.b(bMeta).Delete(mSurveyStage); err != nil {
		return err
	}
	return t.empty(bSurvey)
}

// empty takes everything out of a bucket.
func (t *tx) empty(name []byte) error {
	if err := t.DeleteBucket(name); err != nil {
		return err
	}
	_, err := t.CreateBucket(name)
	return err
}

// StageSurvey adds rows to the staging area; the mapping is not touched. They
// rise by customer, within a call and from call to call; the same rows may be
// given again. They are written some 10,000 to a transaction, the last of them by
// CommitSurvey; a crash loses those that are not written, and with them the
// survey.
func (s *Store) StageSurvey(ctx context.Context, rows []latch.CustomerReading) error {
	release, err := s.take(ctx, s.staging)
	if err != nil {
		return err
	}
	defer release()
	if len(s.surveyed) == 0 {
		err := s.view(ctx, func(t *tx) error {
			if t.b(bMeta).Get(mAccepted) != nil {
				return errBeingApplied
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	for chunk := range slices.Chunk(rows, surveyChunk) {
		pages, err := packRows(chunk)
		if err != nil {
			return err
		}
		s.surveyed = append(s.surveyed, pages...)
		waiting := 0
		for _, p := range s.surveyed {
			waiting += p.rows
		}
		if waiting < surveyChunk {
			continue
		}
		if err := s.writeSurveyed(ctx); err != nil {
			return err
		}
	}
	return nil
}

// writeSurveyed writes what StageSurvey was given and has not written. It is
// called in the turn of staging.
func (s *Store) writeSurveyed(ctx context.Context) error {
	if len(s.surveyed) == 0 {
		return nil
	}
	err := s.update(ctx, stepStageSurvey, func(t *tx) error { return t.stageSurvey(s.surveyed) })
	if err != nil {
		return err
	}
	clear(s.surveyed) // their values
	s.surveyed = s.surveyed[:0]
	return nil
}

func (t *tx) stageSurvey(pages []stagedPage) error {
	if t.b(bMeta).Get(mAccepted) != nil {
		return errBeingApplied
	}
	var stage surveyStage
	if _, err := t.get(bMeta, mSurveyStage, &stage); err != nil {
		return err
	}
	b := t.b(bSurvey)
	b.FillPercent = 0.9 // they come sorted
	for _, p := range pages {
		key := customerKey(p.first)
		if p.first <= stage.Last {
			last, rows, err := lastRow(key, b.Get(key))
			if err != nil {
				return err
			}
			if last != p.last || rows != p.rows {
				return fmt.Errorf("stage a survey: customer %d comes after %d", p.first, stage.Last)
			}
		} else {
			stage.Rows += p.rows
			stage.Last = p.last
		}
		if stage.Began.IsZero() || p.at.Before(stage.Began) {
			stage.Began = p.at
		}
		if err := b.Put(key, p.value); err != nil {
			return err
		}
	}
	return t.put(bMeta, mSurveyStage, stage)
}

// A staged page is a byte that tells it from a row of the older form, the time
// when it was asked for, and the rows: the distance of the customer from the one
// before (from the key, for the first) with the form of the account in its lowest
// two bits, the account, and when Stax Bill says that the customer was modified,
// in milliseconds since 1970, 0 = not known.
//
// An older program staged one row to a key: its time and the account. Such rows
// are read, since a survey may have been left half applied.
const pagedRows = 0x80

// The forms of a row's account.
const (
	formNone   = iota // not latched
	formPacked        // an Account id, packed
	formText          // something else, with its length
)

// packRows packs rows, those that were asked for at the same time together.
func packRows(rows []latch.CustomerReading) ([]stagedPage, error) {
	var pages []stagedPage
	var p *stagedPage
	prev := latch.CustomerID(0)
	for _, r := range rows {
		switch {
		case r.Customer <= 0:
			return nil, fmt.Errorf("stage a survey: %d is no customer", r.Customer)
		case r.Customer <= prev:
			return nil, fmt.Errorf("stage a survey: customer %d comes after %d", r.Customer, prev)
		}
		if p == nil || !p.at.Equal(r.At) {
			pages = append(pages, stagedPage{first: r.Customer, at: r.At.UTC()})
			p = &pages[len(pages)-1]
			p.value = append(make([]byte, 0, 9+len(rows)*18), pagedRows)
			p.value = append(p.value, timeKey(r.At)...)
			prev = r.Customer
		}
		p.value = packRow(p.value, r, prev)
		p.last, prev = r.Customer, r.Customer
		p.rows++
	}
	return pages, nil
}

func packRow(to []byte, r latch.CustomerReading, prev latch.CustomerID) []byte {
	account := readAccount(r)
	packed, ok := account.Pack()
	if back, valid := packed.AccountID(); !valid || back != account {
		ok = false // 18 characters of which the last three are not its checksum
	}
	form := formText
	switch {
	case account == "":
		form = formNone
	case ok:
		form = formPacked
	}
	to = binary.AppendUvarint(to, uint64(r.Customer-prev)<<2|uint64(form))
	switch form {
	case formPacked:
		to = append(to, packed[:]...)
	case formText:
		to = binary.AppendUvarint(to, uint64(len(account)))
		to = append(to, account...)
	}
	modified := int64(0)
	if !r.Modified.IsZero() {
		modified = max(r.Modified.UnixMilli(), 0)
	}
	return binary.AppendUvarint(to, uint64(modified))
}

// stagedRows gives, one a call, the rows of one staged page.
type stagedRows struct {
	at   time.Time
	prev latch.CustomerID
	rest []byte
	old  bool // one row of the older form
}

var errStaged = &badRecord{"a staged row of the survey cannot be read"}

func openStaged(key, value []byte) (stagedRows, error) {
	if len(key) != 8 || len(value) < 8 {
		return stagedRows{}, errStaged
	}
	if value[0] != pagedRows {
		return stagedRows{at: keyTime(value), prev: keyCustomer(key), rest: value[8:], old: true}, nil
	}
	if len(value) < 10 {
		return stagedRows{}, errStaged
	}
	return stagedRows{at: keyTime(value[1:]), prev: keyCustomer(key), rest: value[9:]}, nil
}

func (s *stagedRows) next() (row latch.CustomerReading, ok bool, err error) {
	if s.old {
		row = latch.CustomerReading{Customer: s.prev, Found: true, Account: latch.AccountID(s.rest), At: s.at}
		*s = stagedRows{}
		return row, true, nil
	}
	if len(s.rest) == 0 {
		return row, false, nil
	}
	number := func() uint64 {
		n, size := binary.Uvarint(s.rest)
		if size <= 0 {
			err, s.rest = errStaged, nil
			return 0
		}
		s.rest = s.rest[size:]
		return n
	}
	bytesOf := func(n uint64) []byte {
		if err != nil || n > uint64(len(s.rest)) {
			err = errStaged
			return nil
		}
		text := s.rest[:n]
		s.rest = s.rest[n:]
		return text
	}
	head := number()
	s.prev += latch.CustomerID(head >> 2)
	row = latch.CustomerReading{Customer: s.prev, Found: true, At: s.at}
	switch head & 3 {
	case formNone:
	case formPacked:
		if text := bytesOf(packedLen); err == nil {
			if row.Account, ok = unpackAccount(text); !ok {
				err = errStaged
			}
		}
	case formText:
		row.Account = latch.AccountID(bytesOf(number()))
	default:
		err = errStaged
	}
	if modified := number(); modified > 0 {
		row.Modified = time.UnixMilli(int64(modified)).UTC()
	}
	return row, err == nil, err
}

// lastRow is the last customer of a staged page, and how many it has.
func lastRow(key, value []byte) (last latch.CustomerID, rows int, err error) {
	if value == nil {
		return 0, 0, nil
	}
	s, err := openStaged(key, value)
	if err != nil {
		return 0, 0, err
	}
	for {
		row, ok, err := s.next()
		if err != nil || !ok {
			return last, rows, err
		}
		last = row.Customer
		rows++
	}
}

// surveyRows gives, one a call and by id, what a survey says of the customers
// from one on: the staged rows, and for a full one a row without an account for
// each mapped customer that is not among them.
func (t *tx) surveyRows(a acceptedSurvey, from latch.CustomerID) func() (latch.CustomerReading, bool, error) {
	staged := t.b(bSurvey).Cursor()
	sk, sv := staged.Seek(customerKey(from))
	if !bytes.Equal(sk, customerKey(from)) { // the page that it is on begins before
		if k, v := seekBefore(staged, customerKey(from)); k != nil {
			sk, sv = k, v
		} else {
			sk, sv = staged.First()
		}
	}
	var page stagedRows
	var head latch.CustomerReading // of the staged rows
	ended := false
	advance := func() error {
		for {
			row, ok, err := page.next()
			switch {
			case err != nil:
				return err
			case ok && row.Customer >= from:
				head = row
				return nil
			case ok:
				continue
			case sk == nil:
				ended = true
				return nil
			}
			if page, err = openStaged(sk, sv); err != nil {
				return err
			}
			sk, sv = staged.Next()
		}
	}
	mapped := t.b(bMapping).Cursor()
	var mk []byte
	if a.Full {
		mk, _ = mapped.Seek(customerKey(from))
	}
	begun := false
	return func() (latch.CustomerReading, bool, error) {
		if !begun {
			begun = true
			if err := advance(); err != nil {
				return latch.CustomerReading{}, false, err
			}
		}
		known := keyCustomer(mk)
		switch {
		case ended && mk == nil:
			return latch.CustomerReading{}, false, nil
		case ended || mk != nil && known < head.Customer:
			mk, _ = mapped.Next()
			return latch.CustomerReading{Customer: known, Found: true, At: a.Began}, true, nil
		case mk != nil && known == head.Customer:
			mk, _ = mapped.Next()
		}
		row := head
		return row, true, advance()
	}
}
