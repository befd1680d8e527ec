package state

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"latchd/latch"
)

// plansFor is how long a shown plan, or a refusal, can be approved.
const plansFor = 30 * 24 * time.Hour

// planRecord is the held steps that a run or a command showed under a digest.
type planRecord struct {
	At    time.Time    `json:"at"`
	Steps []latch.Hold `json:"steps"`
}

// refusalRecord is a refused pull or survey, and the word of a person on it.
type refusalRecord struct {
	latch.Refusal
	At       time.Time       `json:"at"`
	Approval *latch.Approval `json:"approval,omitempty"`
}

// SavePlan keeps the held steps among these for 30 days under their digest,
// which it gives; empty for none, and nothing is kept. One transaction; repeated,
// it begins the 30 days anew.
func (s *Store) SavePlan(ctx context.Context, held []latch.Step, now time.Time) (digest string, err error) {
	digest = latch.Digest(held)
	if digest == "" {
		return "", nil
	}
	p := planRecord{At: now.UTC()}
	for _, step := range held {
		if step.Held {
			p.Steps = append(p.Steps, latch.Hold{
				Request: step.Request, Customer: step.Customer, Action: step.Action, From: step.From, To: step.To,
			})
		}
	}
	return digest, s.update(ctx, stepSavePlan, func(t *tx) error { return t.putPlan(digest, p) })
}

// A plan may have as many steps as a burst has requests, and a new digest comes
// with every change, so plans are compressed.

func (t *tx) putPlan(digest string, p planRecord) error {
	was, err := t.plan(digest)
	if err != nil {
		return err
	}
	if was != nil {
		if err := t.b(bPlansAt).Delete(join(timeKey(was.At), []byte(digest))); err != nil {
			return err
		}
	}
	data, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode a plan: %w", err)
	}
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestSpeed)
	if err != nil {
		return fmt.Errorf("compress a plan: %w", err)
	}
	if _, err := w.Write(data); err != nil {
		return fmt.Errorf("compress a plan: %w", err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("compress a plan: %w", err)
	}
	if err := t.b(bPlans).Put([]byte(digest), packed.Bytes()); err != nil {
		return err
	}
	return t.b(bPlansAt).Put(join(timeKey(p.At), []byte(digest)), none)
}

// maxPlan bounds what a damaged plan can grow to when it is read.
const maxPlan = 1 << 30

func (t *tx) plan(digest string) (*planRecord, error) {
	packed := t.b(bPlans).Get([]byte(digest))
	if packed == nil {
		return nil, nil
	}
	var p planRecord
	r := flate.NewReader(bytes.NewReader(packed))
	if err := json.NewDecoder(io.LimitReader(r, maxPlan)).Decode(&p); err != nil {
		return nil, &badRecord{fmt.Sprintf("the plan %s cannot be read: %v", digest, err)}
	}
	return &p, nil
}

// SaveRefusal keeps a refused pull or survey for 30 days, so that it can be
// approved. CommitPull and CommitSurvey do so by themselves. One transaction;
// repeated, it begins the 30 days anew and leaves an approval standing.
func (s *Store) SaveRefusal(ctx context.Context, r latch.Refusal, now time.Time) error {
	if r.Digest == "" {
		return fmt.Errorf("keep a refused %s: it has no digest", r.Kind)
	}
	_, err := s.refuse(ctx, r, now)
	return err
}

// refuse stores a refusal and reports whether an approval of it stands.
func (t *tx) refuse(r latch.Refusal, now time.Time) (approved bool, err error) {
	was, err := t.refusal(r.Digest)
	if err != nil {
		return false, err
	}
	rec := refusalRecord{Refusal: r, At: now.UTC()}
	if was != nil && was.Approval != nil && now.Sub(was.Approval.At) <= latch.ApprovalFor {
		rec.Approval, approved = was.Approval, true
	}
	return approved, t.put(bRefusals, []byte(r.Digest), rec)
}

func (t *tx) refusal(digest string) (*refusalRecord, error) {
	var r refusalRecord
	found, err := t.get(bRefusals, []byte(digest), &r)
	if !found || err != nil {
		return nil, err
	}
	return &r, nil
}
