// Package state keeps everything durable of latchd in one bbolt file: requests
// and their queue, intents, the mapping, the account index, runs, plans and
// approvals, and the history.
//
// It never calls a service, never logs, never decides by the rules, and never
// runs a caller's function inside a transaction. No type of bbolt leaves it.
//
// Begin with records.go (what goes in and comes out) and keys.go (what lies in
// the file), then follow one request: requests.go accepts it, queue.go gives it
// out, record.go and intents.go write what is decided, settle.go what came of its
// call. A file whose name begins with check looks for what cannot be.
//
// # What holds for every operation
//
// Each writing operation is one transaction, durable when it returns, unless
// its comment says otherwise. After a crash all of it is there or nothing of
// it. An error leaves nothing behind, with one exception: when writing to the
// disk fails, the operation may or may not have happened. The Store is then
// broken: the error wraps ErrOutcomeUnknown, and so does that of every later
// write. The process must make no further call to a service and end; the next
// Open reads what is there and makes it durable first, and the open intents
// are resolved by reading the customers.
//
// A context that ends while an operation waits for its turn, or reads, ends the
// operation; a commit that has begun is carried through.
//
// Lists are paged by key: a page, and where the next one begins, empty at the
// end. What is written between two pages may or may not be seen; what is not
// touched is seen exactly once.
package state
