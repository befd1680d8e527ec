package state

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"time"

	"latchd/latch"
)

// The buckets. Those marked "index" can be worked out from the others, and
// Check does so.
var (
	bMeta      = []byte("meta")       // names (below) → counters and small records
	bNotes     = []byte("notes")      // key → value
	bRequests  = []byte("requests")   // request id → request
	bCustomers = []byte("customers")  // index: customer, request id → nothing
	bOpen      = []byte("open")       // index: customer, request id → nothing, of requests not done
	bStates    = []byte("states")     // index: state, request id → nothing, of requests not done
	bFinished  = []byte("finished")   // index: time, request id → nothing
	bAttend    = []byte("attend")     // index: outcome, request id → nothing, of requests that need a person
	bAttendOf  = []byte("attend-of")  // index: customer, account → request id, likewise
	bIdentity  = []byte("identities") // identity → request id
	bIdentOf   = []byte("identities-of")
	bReady     = []byte("ready")      // index: class, request id → customer; heads that may be planned
	bDue       = []byte("due")        // index: time, request id → class, customer; heads that wait for a time
	bPromoted  = []byte("promoted")   // index: those keys of ready whose time has come → nothing
	bHeads     = []byte("heads")      // index: customer → which of ready and due, and the key there
	bHolds     = []byte("holds")      // request id → hold
	bIntents   = []byte("intents")    // request id → intent, and an earlier unanswered one
	bIntentOf  = []byte("intent-of")  // index: customer → request id
	bQuiet     = []byte("quiet")      // customer → quiet time
	bMapping   = []byte("mapping")    // customer → mapping
	bHolders   = []byte("holders")    // index: account, customer → nothing
	bSurvey    = []byte("survey")     // first customer → staged rows
	bIndex0    = []byte("index-0")    // pages of packed account ids
	bIndex1    = []byte("index-1")    // the other generation
	bStale     = []byte("stale")      // packed account id, customer → what was told of that mapping
	bStaleInto = []byte("stale-into") // index: packed id of a survivor, key of stale → nothing
	bClaims    = []byte("claims")     // packed account id → what its field asks for, and what was made of it
	bClaimants = []byte("claimants")  // index: customer, packed account id → nothing, of claims
	bClaimsDue = []byte("claims-due") // customer or 0, packed account id → nothing; claims to be decided
	bClaimsOff = []byte("claims-off") // request id → nothing; to be cancelled, as their claims are no more
	bClaimsNew = []byte("claims-new") // packed account id → staged claim
	bGone      = []byte("gone")       // packed account id → what became of it
	bGoneAt    = []byte("gone-at")    // index: time, packed account id → nothing
	bRuns      = []byte("runs")       // run id → run
	bOpenRuns  = []byte("open-runs")  // index: run id → nothing, of runs without an end
	bPlans     = []byte("plans")      // digest → held steps
	bPlansAt   = []byte("plans-at")   // index: time, digest → nothing
	bRefusals  = []byte("refusals")   // digest → refusal
	bHistory   = []byte("history")    // entry id → entry
	bHistoryC  = []byte("history-customers")
	bHistoryA  = []byte("history-accounts")
	bEffects   = []byte("effects") // time, request id → what the guard counts

	allBuckets = [][]byte{
		bMeta, bNotes, bRequests, bCustomers, bOpen, bStates, bFinished, bAttend, bAttendOf, bIdentity, bIdentOf, bReady, bDue, bPromoted,
		bHeads, bHolds, bIntents, bIntentOf, bQuiet, bMapping, bHolders, bSurvey, bIndex0, bIndex1,
		bStale, bStaleInto, bClaims, bClaimants, bClaimsDue, bClaimsOff, bClaimsNew, bGone, bGoneAt, bRuns, bOpenRuns, bPlans, bPlansAt, bRefusals, bHistory, bHistoryC, bHistoryA, bEffects,
	}
)

// The names in the meta bucket.
var (
	mSchema     = []byte("schema")
	mLastID     = []byte("last-id")
	mMappings   = []byte("mappings")
	mStale      = []byte("stale-mappings")
	mClaims     = []byte("claims")
	mClaimKnown = []byte("claims-known")
	mClaimsBad  = []byte("claims-bad")
	mGeneration = []byte("generation")
	mIndex      = []byte("index")
	mSurvey     = []byte("survey")
	mAccepted   = []byte("survey-accepted")
	mBinding    = []byte("binding")
	mPullJob    = []byte("pull-job")
)

func mCount(s latch.State) []byte { return []byte("count:" + string(s)) }

func customerKey(c latch.CustomerID) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(c))
}

func keyCustomer(k []byte) latch.CustomerID {
	if len(k) < 8 {
		return 0
	}
	return latch.CustomerID(binary.BigEndian.Uint64(k))
}

// timeKey sorts by time. Times before 1970 or after 2262 sort at the ends.
func timeKey(t time.Time) []byte {
	n := int64(0)
	switch {
	case t.Before(time.Unix(0, 0)):
	case t.After(time.Unix(0, 1<<63-1)):
		n = 1<<63 - 1
	default:
		n = t.UnixNano()
	}
	return binary.BigEndian.AppendUint64(nil, uint64(n))
}

func keyTime(k []byte) time.Time {
	return time.Unix(0, int64(binary.BigEndian.Uint64(k))).UTC()
}

// none is the value of a key that says it all. It is not nil: within the
// transaction that put it, bbolt gives back what it was given, and nil means
// that the key is not there.
var none = []byte{}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// afterKey is the first key that sorts behind k.
func afterKey(k []byte) []byte { return append(bytes.Clone(k), 0) }

// bounded makes a key of any text. It holds no zero byte, so that one can end it
// where more follows.
func bounded(text string) []byte {
	if len(text) <= 512 && strings.IndexByte(text, 0) < 0 {
		return append([]byte{'='}, text...)
	}
	sum := sha256.Sum256([]byte(text))
	return append([]byte{'#'}, hex.EncodeToString(sum[:])...)
}

// accountPrefix begins the keys of one account in holders and
// history-accounts. What Stax Bill shows may be no Account id at all.
func accountPrefix(a latch.AccountID) []byte { return append(bounded(string(a)), 0) }

// storable is an account as it comes back from a JSON record: what Stax Bill
// shows may be no valid text, and an index over it has to agree.
func storable(a latch.AccountID) latch.AccountID { return latch.AccountID([]rune(a)) }

func stateByte(s latch.State) byte {
	for i, k := range latch.States {
		if s == k {
			return byte('0' + i)
		}
	}
	return '?'
}

const packedLen = latch.PackedLen

// unpackAccount reads a key of the index.
func unpackAccount(k []byte) (latch.AccountID, bool) {
	if len(k) != packedLen {
		return "", false
	}
	return latch.PackedAccountID(k).AccountID()
}
