// Package latch holds latchd's own subject: what ids are, what may be done to
// a customer's latch, in which order, under which limits, and how a request
// can end.
//
// It is the ground floor: every other room may import it and it imports none
// of them. It never does I/O, never reads a clock and never logs; everything it
// decides on is handed to it as a value, so that every rule can be tested as a
// table.
package latch
