// Package latch holds latchd's own subject: what ids are, what may be done to
// a customer's latch, in which order, under which limits, and how a request
// can end.
//
// It is the ground floor. It never does I/O, never reads a clock and never logs;
// everything it decides on is handed to it as a value, so that every rule can be
// tested as a table. The JSON names of its records are a public contract.
//
// Begin with decide.go, the rules, beside its table in decide_test.go; then plan.go
// (steps, and what may be released), guard.go and outcome.go.
package latch
