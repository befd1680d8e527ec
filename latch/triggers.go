package latch

// The triggers of a run: what began it.
const (
	TriggerSchedule = "schedule" // schedule.sync or schedule.full
	TriggerStart    = "start"    // a daemon began: the run recovers, and takes up what was left
	TriggerArrival  = "arrival"  // a request was accepted or taken back
	TriggerRetry    = "retry"    // a wait of a request is over, or what a service stopped is tried again
	TriggerApprove  = "approve"  // a person released what was held
	TriggerReject   = "reject"   // a person ended what was held
	TriggerResume   = "resume"   // a person ended a pause
	TriggerOnce     = "once"     // latchd --once
	TriggerPlan     = "plan"     // latchd plan
	TriggerSync     = "sync"     // a caller of the operator's API who gave no word of its own
)

// Triggers lists every trigger of latchd's own; a caller of the operator's API can
// give any other word.
var Triggers = []string{
	TriggerSchedule, TriggerStart, TriggerArrival, TriggerRetry, TriggerApprove, TriggerReject, TriggerResume,
	TriggerOnce, TriggerPlan, TriggerSync,
}
