// Package sandbox is a Salesforce org and a Stax Bill account, both served on
// loopback by one HTTP handler: for the demo, for the tests, and for people who
// want to try settings before they touch real customers.
//
// It answers as the public documentation of both services says. What the
// documentation leaves open is a variant that can be switched (see Variants),
// with the most plausible answer as the default. Trouble is asked for as faults
// (see Fault), and the ledger is the sandbox's own record of every call and of
// every change of a customer's account, so that a test can compare what latchd
// believes with what happened.
//
// Everything seeded is computed from an index and the seed; only what differs
// from the seed is held in memory, so an org of millions of accounts costs
// nothing until it is changed.
//
// It shares no type with latchd's clients, so that a misreading of the wire cannot
// sit on both sides, and it must never be reachable from another machine: its
// control paths ask for no key.
//
// Begin with sandbox.go. Files that begin with sf are Salesforce (sfroutes.go has
// the paths), with stax Stax Bill (staxroutes.go), with soql the queries;
// variants.go, faults.go, ledger.go and control.go are what tests take hold of.
package sandbox
