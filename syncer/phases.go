package syncer

// The phases of a run and of an audit, as Progress names them.
const (
	PhaseRecover = "recover" // resolving the calls that an earlier process left open
	PhaseBind    = "bind"    // signing in, and making sure that the services are those the state is about
	PhasePull    = "pull"    // reading the accounts; Done counts them
	PhaseSurvey  = "survey"  // reading the customers, of an audit too; Done counts them
	PhaseStale   = "stale"   // telling which latches hang on accounts that are gone
	PhaseCollect = "collect" // taking in requests: the drop folder, and the field of accounts
	PhasePlan    = "plan"    // reading customers and accounts, and deciding
	PhaseApply   = "apply"   // latching; Done counts requests that ended. It begins while others are planned
	PhaseAudit   = "audit"   // of an audit alone: reading the accounts of latches; Done counts latches
)

// Phases lists every phase in the order in which they begin.
var Phases = []string{
	PhaseRecover, PhaseBind, PhasePull, PhaseSurvey, PhaseStale, PhaseCollect, PhasePlan, PhaseApply, PhaseAudit,
}
