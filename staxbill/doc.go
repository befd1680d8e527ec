// Package staxbill is the client of Stax Bill (formerly Fusebill): it latches a
// customer to a Salesforce account, reads customers, and keeps within the
// service's rate limits.
//
// It reports facts and decides nothing: whether a latch should be made, whether
// to repeat it and what an answer means for a request is the syncer's business.
// A latch is never repeated in here, since it has no idempotency key; what is
// known of a failed one is its Fate. Reads are repeated a few times.
//
// Every HTTP call, each try of a read included, is paid for from the budget
// that the service's own rate headers give, so that a key used by nobody else
// never earns a 429.
//
// It keeps nothing on disk, and never puts the API key into an error or a log.
//
// Begin with client.go, then latch.go (a call and its Fate) and errors.go.
// transport.go, retry.go and budget.go are what every call goes through,
// survey.go and customers.go the readings.
//
// The wire format is that of https://developer.staxbill.com/reference (named
// "dev/" in comments). What is not documented there is not guessed: every
// plausible answer is coped with.
package staxbill
