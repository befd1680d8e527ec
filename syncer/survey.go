package syncer

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.uber.org/zap"

	"latchd/latch"
	"latchd/state"
	"latchd/staxbill"
)

// surveyOverlap is how far changed customers are asked for again before the
// watermark.
const surveyOverlap = 10 * time.Minute

// survey brings the mapping up to date from Stax Bill, in full or by what
// changed. It is complete or not taken at all.
func (r *run) survey(ctx context.Context) error {
	info, err := r.store.SurveyInfo(ctx)
	if err != nil {
		return fmt.Errorf("reading the state of the survey: %w", err)
	}
	bound, err := r.store.Binding(ctx)
	if err != nil {
		return fmt.Errorf("reading what the state is bound to: %w", err)
	}
	always, err := r.store.Note(ctx, noteSurveysFull)
	if err != nil {
		return fmt.Errorf("reading what the next survey is to be: %w", err)
	}
	full := r.set.fullDue(info.LastFull, r.s.now()) || bound.FullSurveyDue || info.Watermark.IsZero()
	if !full && r.young(info.LastComplete) {
		return nil
	}
	if full || always != "" {
		return r.surveyFull(ctx)
	}
	shown, err := r.surveyChanges(ctx, info)
	if errors.Is(err, staxbill.ErrMoved) {
		r.log.Info("the list of changed customers did not stand still; all customers are surveyed instead",
			zap.String("event", latch.EventSurveyMoved), zap.Error(err))
		return r.surveyFull(ctx)
	}
	if err != nil || shown {
		return err
	}
	r.log.Warn("a customer that latchd latched does not show among the changed ones, so the changes filter misses latches: surveys are full from now on, at one call for 1,000 customers",
		zap.String("event", latch.EventSurveysGoFull))
	if err := r.store.SetNote(ctx, noteSurveysFull, "our own latches do not show in the changes filter"); err != nil {
		return fmt.Errorf("recording that surveys are full from now on: %w", err)
	}
	return r.surveyFull(ctx)
}

func (r *run) surveyFull(ctx context.Context) error {
	r.sampled = sample{}
	seen := 0
	_, err := r.stageAndCommit(ctx, time.Time{}, func(rows []latch.CustomerReading) {
		r.sampled.add(rows)
		seen += len(rows)
		r.progress(PhaseSurvey, seen, 0)
	})
	if err != nil {
		return err
	}
	b, err := r.store.Binding(ctx)
	if err != nil {
		return fmt.Errorf("reading what the state is bound to: %w", err)
	}
	b.FullSurveyDue, b.Sample = false, r.sampled.known()
	if err := r.store.SetBinding(ctx, b); err != nil {
		return fmt.Errorf("keeping a sample of known customers: %w", err)
	}
	return r.store.SetNote(ctx, noteExpect, "")
}

// surveyChanges reports whether the customer that an earlier run latched was
// among the changed ones, as it has to be.
func (r *run) surveyChanges(ctx context.Context, info state.SurveyInfo) (shown bool, err error) {
	expect, err := r.store.Note(ctx, noteExpect)
	if err != nil {
		return false, fmt.Errorf("reading which customer the survey has to show: %w", err)
	}
	shown = expect == ""
	seen := 0
	_, err = r.stageAndCommit(ctx, info.Watermark.Add(-surveyOverlap), func(rows []latch.CustomerReading) {
		for _, row := range rows {
			shown = shown || row.Customer.String() == expect
		}
		seen += len(rows)
		r.progress(PhaseSurvey, seen, 0)
	})
	if err != nil {
		return false, err
	}
	return shown, r.store.SetNote(ctx, noteExpect, "")
}

func (r *run) stageAndCommit(ctx context.Context, since time.Time, look func([]latch.CustomerReading)) (state.SurveyResult, error) {
	var none state.SurveyResult
	if err := r.store.ResetSurvey(ctx); err != nil {
		return none, fmt.Errorf("making room for a survey: %w", err)
	}
	full := since.IsZero()
	surveyed, err := r.sb.Survey(ctx, since, func(rows []latch.CustomerReading) error {
		look(rows)
		return r.store.StageSurvey(ctx, rows)
	})
	if err != nil {
		return none, doing("surveying the customers in Stax Bill", err)
	}
	if full {
		if err := r.lookAtLost(ctx); err != nil {
			return none, err
		}
	}
	r.step("survey:before-commit")
	res, err := r.store.CommitSurvey(ctx, state.SurveyCommit{
		Run: r.rec.ID, Full: full, Watermark: surveyed.Watermark, MaxLostPercent: r.set.Limits.MaxLostMappingsPercent, Now: r.s.now(),
	})
	if err != nil {
		return none, fmt.Errorf("taking over a survey of %d customers: %w", surveyed.Seen, err)
	}
	if res.Refused != nil {
		return none, r.refuse(ctx, res.Refused)
	}
	r.seen.Seen, r.surveyed = res.Seen, true
	r.seen.Changed += res.Changed
	r.log.Info("customers surveyed", zap.String("event", latch.EventSurveyed), zap.Bool("full", full),
		zap.Int("seen", res.Seen), zap.Int("changed", res.Changed))
	r.logDrift(res.Entries, res.Drifted)
	return res, nil
}

// surveyLooks bounds the calls by which customers are read that a full survey
// does not show latched any more.
const surveyLooks = 100

// lookAtLost reads the customers live whose mapping a full survey would take out.
// Pages are cut anew for every call: where one customer left the list and another
// joined it between two pages, its count is as before and a customer was passed
// over. Who shows an account keeps it. So many that the guard refuses the survey,
// or that this would cost too much, are not passed over but lost.
func (r *run) lookAtLost(ctx context.Context) error {
	lost, all, err := r.store.SurveyLoss(ctx, surveyLooks*r.sb.ReadSet())
	if err != nil {
		return fmt.Errorf("looking for customers that a survey does not show: %w", err)
	}
	had, err := r.store.MappingCount(ctx)
	if err != nil {
		return fmt.Errorf("counting the mappings: %w", err)
	}
	if all == 0 || all > len(lost) || latch.TooMuchLost(had, all, r.set.Limits.MaxLostMappingsPercent) {
		return nil
	}
	readings, _, err := r.readCustomers(ctx, lost)
	if err != nil {
		return fmt.Errorf("reading %d customers that a survey does not show: %w", all, err)
	}
	var there []latch.CustomerReading
	for _, id := range lost {
		if one := readings[id]; one.Found && one.Account != "" {
			there = append(there, one)
		}
	}
	if len(there) == 0 {
		return nil
	}
	drift, err := r.store.Confirm(ctx, r.rec.ID, there, r.s.now())
	if err != nil {
		return fmt.Errorf("keeping %d customers that a survey passed over: %w", len(there), err)
	}
	r.seen.Changed += len(drift)
	r.logDrift(drift, len(drift))
	return nil
}

// maxDriftLines bounds the log lines of one run; the history has them all.
const maxDriftLines = 100

// logDrift tells of customers that were found latched otherwise than known: of
// the first ones in lines of their own, of the rest by their number at the end
// of the run. Entries may be the first of so many alone.
func (r *run) logDrift(entries []latch.Entry, all int) {
	if !r.order.dry() {
		r.s.drifted(all)
	}
	for _, e := range entries {
		if r.drifted == maxDriftLines {
			break
		}
		r.drifted++
		all--
		modified := zap.Skip()
		if !e.Modified.IsZero() {
			modified = zap.Time("modified", e.Modified)
		}
		r.log.Info("a customer is latched otherwise than known here", zap.String("event", latch.EventMappingObserved),
			zap.Int64("fusebillId", int64(e.Customer)), zap.String("from", string(e.From)), zap.String("salesforceId", string(e.To)),
			zap.String("seenBy", e.Source), modified)
	}
	r.driftedMore += all
}

func (r *run) logMoreDrift() {
	if r.driftedMore > 0 {
		r.log.Info("more customers were found latched otherwise than known; the history has them all",
			zap.String("event", latch.EventMappingObserved), zap.Int("shown", r.drifted), zap.Int("more", r.driftedMore))
	}
}

// expectShown leaves a note by which the next survey of changes proves that it
// sees our own latches.
func (r *run) expectShown(ctx context.Context) error {
	if r.lastOurs == 0 {
		return nil
	}
	return r.store.SetNote(ctx, noteExpect, strconv.FormatInt(int64(r.lastOurs), 10))
}
