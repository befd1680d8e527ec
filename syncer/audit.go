package syncer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"latchd/latch"
	"latchd/state"
)

// Problem is what is wrong with a latch.
type Problem string

// The problems that an audit finds.
const (
	ProblemDeleted Problem = "deleted" // the account is in the Recycle Bin
	ProblemMerged  Problem = "merged"  // the account was merged into another
	ProblemUnseen  Problem = "unseen"  // Salesforce does not show the account, and no trace of it
	ProblemShared  Problem = "shared"  // other customers are latched to the account too
)

// Problems lists them in the order in which summaries show them.
var Problems = []Problem{ProblemDeleted, ProblemMerged, ProblemUnseen, ProblemShared}

// Finding is one thing that is wrong with one latch.
type Finding struct {
	Customer   latch.CustomerID   `json:"fusebillId"`
	Account    latch.AccountID    `json:"salesforceId"`
	Problem    Problem            `json:"problem"`
	MergedInto latch.AccountID    `json:"mergedInto,omitempty"`
	SharedWith []latch.CustomerID `json:"sharedWith,omitempty"` // at most maxSharers
	Detail     string             `json:"detail"`
}

// AuditReport sums an audit up.
type AuditReport struct {
	StartedAt  time.Time       `json:"startedAt"`
	FinishedAt time.Time       `json:"finishedAt"`
	Result     latch.Result    `json:"result"`
	Error      string          `json:"error,omitempty"`
	Hint       string          `json:"hint,omitempty"`
	Customers  int             `json:"customers"` // that Stax Bill has
	Latched    int             `json:"latched"`
	Findings   map[Problem]int `json:"findings"`
}

// Total is the number of findings.
func (r AuditReport) Total() int {
	n := 0
	for _, k := range r.Findings {
		n += k
	}
	return n
}

// ErrAuditing means that an audit is under way already.
var ErrAuditing = errors.New("an audit is under way already; try again when it has ended")

const (
	maxSharers = 20
	auditPage  = 2000 // latches judged together: one call to Salesforce
)

// Audit reads every customer from Stax Bill and every account that one is latched
// to from Salesforce, and hands over what is wrong, by customer. It changes
// neither service nor the state: what it reads goes into a scratch file, so that
// its memory does not grow with the estate. It may go on beside a run, and spends
// of the same limits: one call for 1,000 customers and one for 2,000 latches.
//
// The error is what found returned, or ErrAuditing; that a service failed is told
// by the report.
func (s *Syncer) Audit(ctx context.Context, progress func(Progress), found func(Finding) error) (AuditReport, error) {
	if !s.auditing.TryLock() {
		return AuditReport{}, ErrAuditing
	}
	defer s.auditing.Unlock()
	a := &audit{s: s, progress: progress, rep: AuditReport{StartedAt: s.now().UTC(), Findings: map[Problem]int{}}}
	var stopped error
	a.found = func(f Finding) error {
		a.rep.Findings[f.Problem]++
		stopped = found(f)
		return stopped
	}
	err := a.do(ctx)
	if stopped != nil {
		return a.rep, stopped
	}
	a.rep.FinishedAt, a.rep.Result = s.now().UTC(), classify(err)
	failed := zap.Skip()
	if err != nil {
		a.rep.Error, a.rep.Hint = inWords(err), Hint(err)
		failed = zap.String("error", a.rep.Error)
	}
	s.log.Info("audited", zap.String("event", latch.EventAudited), zap.String("result", string(a.rep.Result)),
		zap.Int("customers", a.rep.Customers), zap.Int("latched", a.rep.Latched), zap.Any("findings", a.rep.Findings), failed)
	return a.rep, nil
}

// audit is one audit under way.
type audit struct {
	s        *Syncer
	scratch  *state.Store
	progress func(Progress)
	found    func(Finding) error
	rep      AuditReport
}

func (a *audit) do(ctx context.Context) (err error) {
	if a.s.sf == nil || a.s.sb == nil {
		return errors.New("the settings for Salesforce or Stax Bill are incomplete: see latchd config check")
	}
	if a.scratch, err = state.OpenScratch(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.scratch.Close()) }()
	if err := a.survey(ctx); err != nil {
		return err
	}
	unseen := 0
	for after := latch.CustomerID(0); ; {
		page, err := a.scratch.Mappings(ctx, after, auditPage)
		if err != nil {
			return fmt.Errorf("going through the latches: %w", err)
		}
		n, err := a.judge(ctx, page)
		if err != nil {
			return err
		}
		unseen += n
		a.rep.Latched += len(page)
		a.progress(Progress{Phase: PhaseAudit, Done: a.rep.Latched})
		if len(page) < auditPage {
			break
		}
		after = page[len(page)-1].Customer
	}
	if percent := a.s.settings().Limits.MaxLostAccountsPercent; unseen >= witnesses && latch.TooMuchLost(a.rep.Latched, unseen, percent) {
		a.rep.Hint = fmt.Sprintf("%d of %d latches point to accounts that Salesforce does not show: perhaps they exist, and the integration user lacks View All on Account", unseen, a.rep.Latched)
	}
	return nil
}

func (a *audit) survey(ctx context.Context) error {
	surveyed, err := a.s.sb.Survey(ctx, time.Time{}, func(rows []latch.CustomerReading) error {
		a.rep.Customers += len(rows)
		a.progress(Progress{Phase: PhaseSurvey, Done: a.rep.Customers})
		return a.scratch.StageSurvey(ctx, rows)
	})
	if err != nil {
		return doing("surveying the customers in Stax Bill", err)
	}
	if _, err := a.scratch.CommitSurvey(ctx, state.SurveyCommit{Full: true, Watermark: surveyed.Watermark, Now: a.s.now()}); err != nil {
		return fmt.Errorf("keeping the customers that were read: %w", err)
	}
	return nil
}

// judge hands over what is wrong with a page of latches, and counts those whose
// account is not shown.
func (a *audit) judge(ctx context.Context, page []latch.Mapping) (unseen int, err error) {
	ids := make([]latch.AccountID, len(page))
	for i, m := range page {
		ids[i] = m.Account
	}
	live, err := a.s.sf.Exists(ctx, ids)
	if err != nil {
		return 0, fmt.Errorf("reading %d accounts from Salesforce: %w", len(ids), err)
	}
	known, err := a.s.store.Accounts(ctx, ids)
	if err != nil {
		return 0, fmt.Errorf("looking up %d accounts in the index: %w", len(ids), err)
	}
	for _, m := range page {
		if f, wrong := accountFinding(m, live[m.Account], known[m.Account]); wrong {
			if f.Problem == ProblemUnseen {
				unseen++
			}
			if err := a.found(f); err != nil {
				return unseen, err
			}
		}
		if err := a.shared(ctx, m); err != nil {
			return unseen, err
		}
	}
	return unseen, nil
}

// accountFinding is what is wrong with the account of a latch. What Salesforce no
// longer shows may have left a trace in the index, from when it did.
func accountFinding(m latch.Mapping, live, known latch.AccountReading) (Finding, bool) {
	f := Finding{Customer: m.Customer, Account: m.Account}
	remembered := ""
	if live.State == latch.AccountUnseen && (known.State == latch.AccountDeleted || known.State == latch.AccountMerged) {
		live, remembered = known, ", as an earlier pull saw"
	}
	switch live.State {
	case latch.AccountKnown:
		return f, false
	case latch.AccountDeleted:
		f.Problem, f.Detail = ProblemDeleted, "the account was deleted"+remembered
	case latch.AccountMerged:
		f.Problem, f.MergedInto, f.Detail = ProblemMerged, live.Survivor, "the account was merged into another one"+remembered
		if live.Survivor != "" {
			f.Detail = "the account was merged into " + string(live.Survivor) + remembered
		}
	default:
		f.Problem, f.Detail = ProblemUnseen, "Salesforce does not show the account, nor a trace of it: purged, out of sight, or of another org"
		if !m.Account.Valid() {
			f.Detail = "this is no Account id"
		}
	}
	return f, true
}

// shared hands over that other customers have the account of a latch too.
func (a *audit) shared(ctx context.Context, m latch.Mapping) error {
	holders, err := a.scratch.Holders(ctx, m.Account, maxSharers+2)
	if err != nil {
		return fmt.Errorf("looking up who is latched to account %s: %w", m.Account, err)
	}
	if len(holders) < 2 {
		return nil
	}
	f := Finding{Customer: m.Customer, Account: m.Account, Problem: ProblemShared}
	for _, id := range holders {
		if id != m.Customer && len(f.SharedWith) < maxSharers {
			f.SharedWith = append(f.SharedWith, id)
		}
	}
	f.Detail = fmt.Sprintf("customer %d is latched to the account too", f.SharedWith[0])
	switch n := len(holders) - 1; {
	case n > maxSharers:
		f.Detail = fmt.Sprintf("more than %d other customers are latched to the account too", maxSharers)
	case n > 1:
		f.Detail = fmt.Sprintf("%d other customers are latched to the account too", n)
	}
	return a.found(f)
}
