package state

import (
	"context"
	"fmt"
	"time"

	"latchd/latch"
)

// shownEntries is how many changes a survey's result names.
const shownEntries = 100

// acceptedSurvey is a survey that passed the guard and is being applied.
type acceptedSurvey struct {
	Run       string           `json:"run"`
	Full      bool             `json:"full"`
	First     bool             `json:"first"` // nothing was known before
	Watermark time.Time        `json:"watermark,omitzero"`
	Now       time.Time        `json:"now"`
	Began     time.Time        `json:"began"`
	Rows      int              `json:"rows"`
	Next      latch.CustomerID `json:"next"` // the first customer not yet applied
}

// SurveyInfo says how old the mapping is.
func (s *Store) SurveyInfo(ctx context.Context) (info SurveyInfo, err error) {
	err = s.view(ctx, func(t *tx) error {
		_, err := t.get(bMeta, mSurvey, &info)
		return err
	})
	return info, err
}

// CommitSurvey makes the staged rows the mapping. A row changes nothing for a
// customer with an open intent, or whose mapping is newer than the row. Of a
// full survey, a customer that is mapped and not among the rows, or is there
// without an account, is lost; of one of changes only, one that is there without
// an account.
//
// When more than MaxLostPercent of the mappings would be lost, nothing is
// changed and the loss is kept as a refusal, unless a person approved exactly
// this loss in the last 24 hours; that approval is then used up.
//
// That a survey is taken is one transaction. It is then applied, some thousands
// of customers at a time, so that requests can be filed meanwhile; a crash in
// between is made good by the next Open, so after one either nothing of the
// survey is there or, once the state is open, all of it. The staging area is
// empty afterwards. Not to be repeated: stage anew.
func (s *Store) CommitSurvey(ctx context.Context, c SurveyCommit) (SurveyResult, error) {
	release, err := s.take(ctx, s.staging)
	if err != nil {
		return SurveyResult{}, err
	}
	defer release()
	if err := s.writeSurveyed(ctx); err != nil {
		return SurveyResult{}, err
	}
	s.surveyed = nil
	a, res, err := s.judgeSurvey(ctx, c)
	if err != nil || res.Refused != nil && !res.approved {
		return res.SurveyResult, err
	}
	err = s.update(ctx, stepAcceptSurvey, func(t *tx) error {
		if res.Refused != nil {
			if err := t.b(bRefusals).Delete([]byte(res.Refused.Digest)); err != nil {
				return err
			}
		}
		return t.put(bMeta, mAccepted, a)
	})
	if err != nil {
		return SurveyResult{}, err
	}
	res.Refused = nil
	// It is taken, so it is carried through, whatever becomes of the context.
	err = s.applySurvey(context.WithoutCancel(ctx), &res.SurveyResult)
	return res.SurveyResult, err
}

type judgedSurvey struct {
	SurveyResult
	approved bool
}

// judgeSurvey counts what would be lost and stores a refusal.
func (s *Store) judgeSurvey(ctx context.Context, c SurveyCommit) (a acceptedSurvey, res judgedSurvey, err error) {
	had := 0
	var refusal *latch.Refusal
	err = s.view(ctx, func(t *tx) error {
		var stage surveyStage
		if _, err := t.get(bMeta, mSurveyStage, &stage); err != nil {
			return err
		}
		var info SurveyInfo
		if _, err := t.get(bMeta, mSurvey, &info); err != nil {
			return err
		}
		if had, err = t.counter(mMappings); err != nil {
			return err
		}
		if stage.Began.IsZero() {
			stage.Began = c.Now
		}
		a = acceptedSurvey{
			Run: c.Run, Full: c.Full, First: info.LastComplete.IsZero(), Watermark: c.Watermark.UTC(),
			Now: c.Now.UTC(), Began: stage.Began.UTC(), Rows: stage.Rows,
		}
		res.Seen = stage.Rows
		if res.Lost, err = t.lostMappings(a, nil); err != nil || !latch.TooMuchLost(had, res.Lost, c.MaxLostPercent) {
			return err
		}
		var ids []string
		if _, err := t.lostMappings(a, func(c latch.CustomerID) { ids = append(ids, c.String()) }); err != nil {
			return err
		}
		refusal = &latch.Refusal{
			Kind: "survey", Digest: latch.LossDigest("survey", ids), Setting: "guard.max_lost_mappings_percent",
			Percent: c.MaxLostPercent, Had: had, Lost: res.Lost, Sample: ids[:min(20, len(ids))],
		}
		return nil
	})
	if err != nil || refusal == nil {
		return a, res, err
	}
	res.Refused = refusal
	res.approved, err = s.refuse(ctx, *refusal, c.Now)
	return a, res, err
}

// SurveyLoss lists the customers whose mapping a full survey of what is staged
// would take out, by id and at most limit of them, and says how many they are.
// What is staged and not yet written is written first.
func (s *Store) SurveyLoss(ctx context.Context, limit int) (lost []latch.CustomerID, all int, err error) {
	release, err := s.take(ctx, s.staging)
	if err != nil {
		return nil, 0, err
	}
	defer release()
	if err := s.writeSurveyed(ctx); err != nil {
		return nil, 0, err
	}
	limit = pageSize(limit)
	err = s.view(ctx, func(t *tx) error {
		lost = nil
		var stage surveyStage
		if _, err := t.get(bMeta, mSurveyStage, &stage); err != nil {
			return err
		}
		all, err = t.lostMappings(acceptedSurvey{Full: true, Began: stage.Began}, func(c latch.CustomerID) {
			if len(lost) < limit {
				lost = append(lost, c)
			}
		})
		return err
	})
	return lost, all, err
}

// lostMappings counts the mapped customers that a survey would take out.
func (t *tx) lostMappings(a acceptedSurvey, each func(latch.CustomerID)) (int, error) {
	n := 0
	next := t.surveyRows(a, 0)
	for {
		if err := t.alive(); err != nil {
			return 0, err
		}
		row, ok, err := next()
		if err != nil || !ok {
			return n, err
		}
		if readAccount(row) != "" {
			continue
		}
		was, change, err := t.differs(row)
		if err != nil {
			return 0, err
		}
		if change && was.Account != "" {
			n++
			if each != nil {
				each(row.Customer)
			}
		}
	}
}

// applySurvey carries an accepted survey through, from where it stands.
func (s *Store) applySurvey(ctx context.Context, res *SurveyResult) error {
	for done := false; !done; {
		err := s.update(ctx, stepApplySurvey, func(t *tx) error {
			var a acceptedSurvey
			found, err := t.get(bMeta, mAccepted, &a)
			if err != nil || !found {
				done = true
				return err
			}
			if done, err = t.applySurvey(&a, res); err != nil {
				return err
			}
			return t.put(bMeta, mAccepted, a)
		})
		if err != nil {
			return fmt.Errorf("apply the survey: %w", err)
		}
	}
	return s.update(ctx, stepEndSurvey, func(t *tx) error {
		var a acceptedSurvey
		if found, err := t.get(bMeta, mAccepted, &a); err != nil || !found {
			return err
		}
		var info SurveyInfo
		if _, err := t.get(bMeta, mSurvey, &info); err != nil {
			return err
		}
		info.LastComplete, info.Watermark, info.Seen = a.Now, a.Watermark, a.Rows
		if a.Full {
			info.LastFull = a.Now
		}
		if err := t.put(bMeta, mSurvey, info); err != nil {
			return err
		}
		if err := t.b(bMeta).Delete(mAccepted); err != nil {
			return err
		}
		return t.resetSurvey()
	})
}

func (t *tx) applySurvey(a *acceptedSurvey, res *SurveyResult) (done bool, err error) {
	// On a first survey they come sorted and all; later ones add a few.
	t.b(bMapping).FillPercent = 0.9
	// The rows are gathered first: a cursor does not stand still under writes.
	next := t.surveyRows(*a, a.Next)
	var rows []latch.CustomerReading
	for len(rows) < surveyChunk {
		row, ok, err := next()
		if err != nil {
			return false, err
		}
		if !ok {
			done = true
			break
		}
		rows = append(rows, row)
	}
	for _, row := range rows {
		if err := t.alive(); err != nil {
			return false, err
		}
		was, change, err := t.differs(row)
		if err != nil {
			return false, err
		}
		a.Next = row.Customer + 1
		if !change {
			continue
		}
		res.Changed++
		if a.First && was.Account == "" {
			// The first survey is news as a whole, not customer by customer.
			err := t.setMapping(row.Customer, mappingRecord{Account: row.Account, Since: row.At, Origin: latch.OriginObserved, At: row.At})
			if err != nil {
				return false, err
			}
			continue
		}
		e, err := t.observe(a.Run, latch.SeenBySurvey, row, a.Now)
		if err != nil {
			return false, err
		}
		if e != nil {
			res.Drifted++
		}
		if e != nil && len(res.Entries) < shownEntries {
			res.Entries = append(res.Entries, *e)
		}
	}
	return done, nil
}

// resumeSurvey carries through what a crash left half applied.
func (s *Store) resumeSurvey(ctx context.Context) error {
	accepted := false
	err := s.view(ctx, func(t *tx) error {
		accepted = t.b(bMeta).Get(mAccepted) != nil
		return nil
	})
	if err != nil || !accepted {
		return err
	}
	return s.applySurvey(ctx, &SurveyResult{})
}
