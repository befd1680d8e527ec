package server

import "latchd/syncer"

// phaseWords say what a run or an audit does in each of syncer.Phases.
var phaseWords = map[string]string{
	syncer.PhaseRecover: "resolving interrupted calls",
	syncer.PhaseBind:    "signing in",
	syncer.PhasePull:    "pulling accounts",
	syncer.PhaseSurvey:  "surveying customers",
	syncer.PhaseStale:   "telling of deleted accounts",
	syncer.PhaseCollect: "collecting requests",
	syncer.PhasePlan:    "reading and deciding",
	syncer.PhaseApply:   "latching",
	syncer.PhaseAudit:   "reading latched accounts",
}

// PhaseText says in words what goes on in a phase, for the commands and the page
// alike, as one goes on in a sentence. A phase of another version of latchd, which
// a command may meet in a daemon, is "working".
func PhaseText(phase string) string {
	if text, ok := phaseWords[phase]; ok {
		return text
	}
	return "working"
}
