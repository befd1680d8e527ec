package state

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"latchd/latch"
)

// maxFindings ends a check: a file with more is beyond listing.
const maxFindings = 100

// Check looks for anything in the file that cannot be: every record is read,
// every index and counter worked out anew, and bbolt checks its pages. It gives
// the findings as sentences, none for a sound state, at most about 100. It
// changes nothing, and nobody else writes while it runs.
func (s *Store) Check(ctx context.Context) ([]string, error) {
	release, err := s.take(ctx, s.writer)
	if err != nil {
		return nil, err
	}
	defer release()
	if err := s.Broken(); err != nil {
		return []string{"Writing failed earlier: " + err.Error()}, nil
	}
	k := &checker{file: s.file}
	for _, part := range []func(*checker) error{
		(*checker).pages, (*checker).requests, (*checker).attention, (*checker).indexes, (*checker).queue, (*checker).intents,
		(*checker).mappings, (*checker).stale, (*checker).claims, (*checker).accounts, (*checker).histories, (*checker).rest,
	} {
		err := s.checkPart(ctx, k, part)
		if errors.Is(err, errEnough) {
			break
		}
		if damaged := (*DamagedError)(nil); errors.As(err, &damaged) {
			k.found = append(k.found, damaged.Reason)
			continue
		}
		if err != nil {
			return nil, err
		}
	}
	return k.found, nil
}

// checkPart runs one part in a writing transaction that is rolled back: bbolt's
// own check needs that others do not write.
func (s *Store) checkPart(ctx context.Context, k *checker, part func(*checker) error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	btx, err := s.begin(true)
	if err != nil {
		return err
	}
	defer func() {
		if p := recover(); p != nil {
			err = s.damaged(p)
		}
		s.abandon(btx)
	}()
	k.tx = &tx{Tx: btx, ctx: ctx}
	return s.explain(part(k))
}

type checker struct {
	*tx
	file   *os.File
	found  []string
	counts map[latch.State]int
}

func (k *checker) say(format string, args ...any) error {
	k.found = append(k.found, fmt.Sprintf(format, args...))
	if len(k.found) >= maxFindings {
		return errEnough
	}
	return nil
}

// expect notes a finding when ok is false.
func (k *checker) expect(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return k.say(format, args...)
}

func (k *checker) has(bucket, key []byte) bool {
	at, _ := k.b(bucket).Cursor().Seek(key)
	return at != nil && bytes.Equal(at, key)
}

// each goes through a bucket.
func (k *checker) each(bucket []byte, fn func(key, value []byte) error) error {
	c := k.b(bucket).Cursor()
	for key, v := c.First(); key != nil; key, v = c.Next() {
		if err := k.alive(); err != nil {
			return err
		}
		if err := fn(key, v); err != nil {
			return err
		}
	}
	return nil
}

// pages looks at the file's structure. bbolt's own check does not survive all
// damage, so it comes second.
func (k *checker) pages() error {
	if err := inspect(k.file); err != nil {
		return k.say("The file's pages: %v.", err)
	}
	var first error
	for err := range k.Tx.Check() { // to its end, or its goroutine stays
		if first == nil {
			first = k.say("bbolt: %v", err)
		}
	}
	return first
}

func (k *checker) mappings() error {
	n := 0
	err := k.each(bMapping, func(key, v []byte) error {
		n++
		var m mappingRecord
		if err := decode(bMapping, key, v, &m); err != nil {
			return k.say("%v", err)
		}
		return k.expect(len(key) == 8 && m.Account != "" && k.has(bHolders, join(accountPrefix(m.Account), key)),
			"Customer %d is not listed with its account %s.", keyCustomer(key), m.Account)
	})
	if err != nil {
		return err
	}
	counted, err := k.counter(mMappings)
	if err != nil {
		return err
	}
	if err := k.expect(counted == n, "%d customers are latched, and the counter says %d.", n, counted); err != nil {
		return err
	}
	holders := k.b(bHolders).Stats().KeyN
	if err := k.expect(holders == n, "%d customers are latched, and accounts list %d.", n, holders); err != nil {
		return err
	}
	rows := 0
	if err := k.each(bSurvey, func(key, v []byte) error {
		_, n, err := lastRow(key, v)
		rows += n
		return k.expect(err == nil, "A staged row of the survey cannot be read.")
	}); err != nil {
		return err
	}
	var stage surveyStage
	if _, err := k.get(bMeta, mSurveyStage, &stage); err != nil {
		return err
	}
	return k.expect(rows == stage.Rows, "%d rows of a survey are staged, and the counter says %d.", rows, stage.Rows)
}

func (k *checker) histories() error {
	entries, accounts := 0, 0
	err := k.each(bHistory, func(key, v []byte) error {
		e, err := decodeEntry(key, v)
		if err != nil {
			return k.say("%v", err)
		}
		entries++
		ok := k.has(bHistoryC, join(customerKey(e.Customer), key))
		for _, at := range historyAccounts(e, e.ID) {
			accounts++
			ok = ok && k.has(bHistoryA, at)
		}
		return k.expect(ok, "The history entry %s is not listed with its customer and accounts.", e.ID)
	})
	if err != nil {
		return err
	}
	ok := k.b(bHistoryC).Stats().KeyN == entries && k.b(bHistoryA).Stats().KeyN == accounts
	return k.expect(ok, "The history has %d entries, and its indexes list others.", entries)
}

func (k *checker) rest() error {
	open := 0
	err := k.each(bRuns, func(key, v []byte) error {
		var r latch.Run
		if err := decode(bRuns, key, v, &r); err != nil {
			return k.say("%v", err)
		}
		if r.FinishedAt.IsZero() {
			open++
		}
		return k.expect(k.has(bOpenRuns, key) == r.FinishedAt.IsZero(), "Run %s is listed as open and has ended, or the reverse.", key)
	})
	if err != nil {
		return err
	}
	if err := k.expect(k.b(bOpenRuns).Stats().KeyN == open, "%d runs have no end, and another number is listed.", open); err != nil {
		return err
	}
	plans := 0
	err = k.each(bPlans, func(key, _ []byte) error {
		plans++
		p, err := k.plan(string(key))
		if err != nil {
			return k.say("%v", err)
		}
		return k.expect(k.has(bPlansAt, join(timeKey(p.At), key)), "The plan %s is not listed by time.", key)
	})
	if err != nil {
		return err
	}
	if err := k.expect(k.b(bPlansAt).Stats().KeyN == plans, "%d plans are kept, and another number is listed by time.", plans); err != nil {
		return err
	}
	if err := k.each(bRefusals, func(key, v []byte) error {
		var r refusalRecord
		if err := decode(bRefusals, key, v, &r); err != nil {
			return k.say("%v", err)
		}
		return k.expect(r.Digest == string(key), "The refusal %s is kept under another digest.", key)
	}); err != nil {
		return err
	}
	var job latch.PullJob
	if found, err := k.get(bMeta, mPullJob, &job); err != nil || found && job.ID == "" {
		if err := k.say("The job of a full pull cannot be read."); err != nil {
			return err
		}
	}
	return k.each(bEffects, func(key, v []byte) error {
		return k.expect(len(key) > 8 && len(v) > 2 && binary.BigEndian.Uint64(key) > 0, "An effect of the guard's count cannot be read.")
	})
}
