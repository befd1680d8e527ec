package state

import (
	"context"
	"errors"
	"io"
	"time"

	"latchd/latch"
)

var errSkeleton = errors.New("state: skeleton")

type Store struct{}

func Open(ctx context.Context, o Options) (*Store, error)            { return nil, errSkeleton }
func OpenScratchCopy(ctx context.Context, of *Store) (*Store, error) { return nil, errSkeleton }
func OpenScratch(ctx context.Context) (*Store, error)                { return nil, errSkeleton }
func (s *Store) Close() error                                        { return errSkeleton }
func (s *Store) Broken() error                                       { return errSkeleton }
func (s *Store) Path() string                                        { return "" }
func (s *Store) File(ctx context.Context, run string, filings []latch.Filing, now time.Time) ([]Filed, error) {
	return nil, errSkeleton
}

func (s *Store) Request(ctx context.Context, id string) (latch.Request, error) {
	return latch.Request{}, errSkeleton
}

func (s *Store) Requests(ctx context.Context, f RequestFilter, after string, limit int) (page []latch.Request, next string, err error) {
	return nil, "", errSkeleton
}

func (s *Store) CountRequests(ctx context.Context) (map[latch.State]int, error) {
	return nil, errSkeleton
}

func (s *Store) OldestPending(ctx context.Context) (time.Time, error) {
	return time.Time{}, errSkeleton
}

func (s *Store) Queue(ctx context.Context, now time.Time, after QueuePos, limit int) (page []Queued, next QueuePos, err error) {
	return nil, QueuePos{}, errSkeleton
}
func (s *Store) HeldChanged(ctx context.Context) ([]string, error) { return nil, errSkeleton }
func (s *Store) Unhold(ctx context.Context, ids []string) error    { return errSkeleton }
func (s *Store) Record(ctx context.Context, run string, steps []Verdict, now time.Time) ([]latch.Request, error) {
	return nil, errSkeleton
}

func (s *Store) Begin(ctx context.Context, intents []latch.Intent) (begun []bool, err error) {
	return nil, errSkeleton
}

func (s *Store) Settle(ctx context.Context, run string, settled []Settlement, now time.Time) ([]latch.Request, error) {
	return nil, errSkeleton
}

func (s *Store) OpenIntents(ctx context.Context, after string, limit int) (page []latch.Intent, next string, err error) {
	return nil, "", errSkeleton
}

func (s *Store) StartQuiet(ctx context.Context, intents []latch.Intent, until time.Time) error {
	return errSkeleton
}

func (s *Store) Quiet(ctx context.Context, customer latch.CustomerID, now time.Time) (latch.Quiet, error) {
	return latch.Quiet{}, errSkeleton
}

func (s *Store) Cancel(ctx context.Context, ids []string, by string, now time.Time) (cancelled []latch.Request, refused map[string]string, err error) {
	return nil, nil, errSkeleton
}

func (s *Store) Retry(ctx context.Context, ids []string, by string, now time.Time) (filed []Filed, refused map[string]string, err error) {
	return nil, nil, errSkeleton
}

func (s *Store) Mapping(ctx context.Context, customer latch.CustomerID) (latch.Mapping, bool, error) {
	return latch.Mapping{}, false, errSkeleton
}

func (s *Store) Mappings(ctx context.Context, after latch.CustomerID, limit int) ([]latch.Mapping, error) {
	return nil, errSkeleton
}

func (s *Store) Holders(ctx context.Context, account latch.AccountID, limit int) ([]latch.CustomerID, error) {
	return nil, errSkeleton
}
func (s *Store) MappingCount(ctx context.Context) (int, error) { return 0, errSkeleton }
func (s *Store) Observe(ctx context.Context, run string, readings []latch.CustomerReading, now time.Time) (changed []latch.Entry, err error) {
	return nil, errSkeleton
}

func (s *Store) StageSurvey(ctx context.Context, rows []latch.CustomerReading) error {
	return errSkeleton
}
func (s *Store) ResetSurvey(ctx context.Context) error { return errSkeleton }
func (s *Store) CommitSurvey(ctx context.Context, c SurveyCommit) (SurveyResult, error) {
	return SurveyResult{}, errSkeleton
}

func (s *Store) SurveyInfo(ctx context.Context) (SurveyInfo, error) {
	return SurveyInfo{}, errSkeleton
}

func (s *Store) ResetPull(ctx context.Context) error { return errSkeleton }

func (s *Store) StagePull(ctx context.Context, ids []latch.AccountID) error { return errSkeleton }

func (s *Store) CommitPull(ctx context.Context, c PullCommit) (PullResult, error) {
	return PullResult{}, errSkeleton
}

func (s *Store) ApplyChanges(ctx context.Context, changes []latch.AccountChange, watermark, now time.Time) (PullResult, error) {
	return PullResult{}, errSkeleton
}

func (s *Store) Accounts(ctx context.Context, ids []latch.AccountID) (map[latch.AccountID]latch.AccountReading, error) {
	return nil, errSkeleton
}

func (s *Store) Witnesses(ctx context.Context, n int) ([]latch.AccountID, error) {
	return nil, errSkeleton
}

func (s *Store) IndexInfo(ctx context.Context) (IndexInfo, error) { return IndexInfo{}, errSkeleton }
func (s *Store) StartRun(ctx context.Context, r latch.Run) error  { return errSkeleton }
func (s *Store) FinishRun(ctx context.Context, r latch.Run) error { return errSkeleton }
func (s *Store) Run(ctx context.Context, id string) (latch.Run, error) {
	return latch.Run{}, errSkeleton
}

func (s *Store) Runs(ctx context.Context, before string, limit int) (page []latch.Run, next string, err error) {
	return nil, "", errSkeleton
}

func (s *Store) EndInterrupted(ctx context.Context, now time.Time) ([]latch.Run, error) {
	return nil, errSkeleton
}

func (s *Store) SavePlan(ctx context.Context, held []latch.Step, now time.Time) (digest string, err error) {
	return "", errSkeleton
}

func (s *Store) SaveRefusal(ctx context.Context, r latch.Refusal, now time.Time) error {
	return errSkeleton
}

func (s *Store) HeldSteps(ctx context.Context, limit int) ([]latch.Hold, error) {
	return nil, errSkeleton
}

func (s *Store) HeldDigest(ctx context.Context) (digest string, n int, err error) {
	return "", 0, errSkeleton
}

func (s *Store) Approve(ctx context.Context, digest, by string, now time.Time) (ApproveResult, error) {
	return ApproveResult{}, errSkeleton
}

func (s *Store) Reject(ctx context.Context, digest, by string, now time.Time) (ApproveResult, error) {
	return ApproveResult{}, errSkeleton
}

func (s *Store) History(ctx context.Context, f HistoryFilter, after string, limit int) (page []latch.Entry, next string, err error) {
	return nil, "", errSkeleton
}

func (s *Store) GuardUse(ctx context.Context, since time.Time) (latch.Use, error) {
	return latch.Use{}, errSkeleton
}

func (s *Store) Binding(ctx context.Context) (Binding, error)           { return Binding{}, errSkeleton }
func (s *Store) SetBinding(ctx context.Context, b Binding) error        { return errSkeleton }
func (s *Store) Backup(ctx context.Context, w io.Writer) (int64, error) { return 0, errSkeleton }
func (s *Store) Check(ctx context.Context) ([]string, error)            { return nil, errSkeleton }
func (s *Store) Prune(ctx context.Context, now time.Time, limit int) (pruned int, err error) {
	return 0, errSkeleton
}
func (s *Store) Note(ctx context.Context, key string) (string, error) { return "", errSkeleton }
func (s *Store) SetNote(ctx context.Context, key, value string) error { return errSkeleton }
