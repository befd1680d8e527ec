package state

// hook tells a test that a named step was reached. The steps are
// "NAME:before-commit" and "NAME:after-commit" of every transaction, where NAME
// is one of those below, and "open:before-create", "open:after-create",
// "open:before-replace" and "open:after-sync" on the way through Open,
// "restore:before-keep", "restore:before-replace" and "restore:after-replace"
// through Restore.
func (s *Store) hook(name, when string) {
	if s.opts.Hook != nil {
		s.opts.Hook(name + ":" + when)
	}
}

// The names of the transactions, as the hook gets them.
const (
	stepFile         = "file"
	stepPromote      = "queue"
	stepUnhold       = "unhold"
	stepRecord       = "record"
	stepBegin        = "begin"
	stepSettle       = "settle"
	stepQuiet        = "start-quiet"
	stepCancel       = "cancel"
	stepRetry        = "retry"
	stepDismiss      = "dismiss"
	stepObserve      = "observe"
	stepResetSurvey  = "reset-survey"
	stepStageSurvey  = "stage-survey"
	stepAcceptSurvey = "accept-survey"
	stepApplySurvey  = "apply-survey"
	stepEndSurvey    = "end-survey"
	stepStartPull    = "start-pull"
	stepStagePull    = "stage-pull"
	stepCommitPull   = "commit-pull"
	stepDropOld      = "drop-old-index"
	stepChanges      = "apply-changes"
	stepStale        = "tell-stale"
	stepClaims       = "set-claims"
	stepResetClaims  = "reset-claims"
	stepStageClaims  = "stage-claims"
	stepCommitClaims = "commit-claims"
	stepDecideClaims = "decide-claims"
	stepStartRun     = "start-run"
	stepFinishRun    = "finish-run"
	stepInterrupted  = "end-interrupted"
	stepSavePlan     = "save-plan"
	stepRefusal      = "save-refusal"
	stepApprove      = "approve"
	stepReject       = "reject"
	stepBinding      = "set-binding"
	stepNote         = "set-note"
	stepPause        = "set-pause"
	stepPrune        = "prune"
	stepMigrate      = "migrate"
	stepCopied       = "mark-copied"
	stepRestored     = "mark-restored"
)
