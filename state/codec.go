package state

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	bolt "go.etcd.io/bbolt"

	"latchd/latch"
)

// tx is a transaction in the words of the records.
type tx struct {
	*bolt.Tx
	ctx context.Context
	n   int
	// Of reading transactions, once they were looked up:
	info  *IndexInfo
	pages idPages // the generation in force

	// What an operation changes is carried out once at its end (flush):
	counts  map[string]int                // counters, by name
	touched map[latch.CustomerID]struct{} // customers whose place in the queue may have changed
	held    bool                          // what is held may have changed
}

// flush brings counters and queue in line with what the operation did.
func (t *tx) flush() error {
	for name, by := range t.counts {
		if err := t.addCounter([]byte(name), by); err != nil {
			return err
		}
	}
	for _, c := range slices.Sorted(maps.Keys(t.touched)) {
		if err := t.reindex(c); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) count(name []byte, by int) {
	if t.counts == nil {
		t.counts = map[string]int{}
	}
	t.counts[string(name)] += by
}

func (t *tx) touch(c latch.CustomerID) {
	if t.touched == nil {
		t.touched = map[latch.CustomerID]struct{}{}
	}
	t.touched[c] = struct{}{}
}

// b gives a bucket that the schema made.
func (t *tx) b(name []byte) *bolt.Bucket {
	b := t.Bucket(name)
	if b == nil {
		panic("the bucket " + string(name) + " is missing")
	}
	return b
}

// alive looks at the context every now and then; loops over many records call
// it once a record.
func (t *tx) alive() error {
	if t.n++; t.n%1024 == 0 {
		return t.ctx.Err()
	}
	return nil
}

// badRecord is a record that cannot be what was written.
type badRecord struct{ what string }

func (e *badRecord) Error() string { return e.what }

// Records are JSON, so that a field can be added without a migration: a missing
// one is its zero value. Indexes and counters are binary.

func (t *tx) put(bucket, key []byte, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode a record of %s: %w", bucket, err)
	}
	return t.b(bucket).Put(key, data)
}

func (t *tx) get(bucket, key []byte, v any) (bool, error) {
	data := t.b(bucket).Get(key)
	if data == nil {
		return false, nil
	}
	return true, decode(bucket, key, data, v)
}

func decode(bucket, key, data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return &badRecord{fmt.Sprintf("the record %q of %s cannot be read: %s", key, bucket, plain(err))}
	}
	return nil
}

// plain is an error of JSON in one line of at most 200 bytes: it quotes the
// damage itself.
func plain(err error) string {
	s := err.Error()
	cut := len(s) > 200
	if cut {
		s = s[:200]
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if cut {
		s += "…"
	}
	return s
}

func (t *tx) counter(name []byte) (int, error) {
	v := t.b(bMeta).Get(name)
	if v == nil {
		return 0, nil
	}
	if len(v) != 8 {
		return 0, &badRecord{fmt.Sprintf("the counter %s has %d bytes", name, len(v))}
	}
	return int(binary.BigEndian.Uint64(v)), nil
}

func (t *tx) addCounter(name []byte, by int) error {
	if by == 0 {
		return nil
	}
	n, err := t.counter(name)
	if err != nil {
		return err
	}
	return t.b(bMeta).Put(name, binary.BigEndian.AppendUint64(nil, uint64(n+by)))
}

func (t *tx) request(id string) (latch.Request, bool, error) {
	var r latch.Request
	if id == "" {
		return r, false, nil
	}
	found, err := t.get(bRequests, []byte(id), &r)
	r.ID = id
	return r, found, err
}

func decodeRequest(key, data []byte) (latch.Request, error) {
	var r latch.Request
	err := decode(bRequests, key, data, &r)
	r.ID = string(key)
	return r, err
}

// intentRecord is what is kept of an open intent.
type intentRecord struct {
	latch.Intent
	// Earlier is an intent of the same request whose call may have taken
	// effect too: it is open again should the later call change nothing.
	Earlier *latch.Intent `json:"earlier,omitempty"`
}

func (t *tx) intent(request string) (*intentRecord, error) {
	var i intentRecord
	found, err := t.get(bIntents, []byte(request), &i)
	if !found || err != nil {
		return nil, err
	}
	return &i, nil
}

// quietRecord is a customer's quiet time.
type quietRecord struct {
	Account latch.AccountID `json:"account"`
	Until   time.Time       `json:"until"`
}

// mappingRecord is what a customer is latched to.
type mappingRecord struct {
	Account latch.AccountID `json:"a"`
	Since   time.Time       `json:"s"`
	Origin  latch.Origin    `json:"o"`
	Request string          `json:"r,omitempty"`
	// At is how new the knowledge is: an older reading changes nothing.
	At time.Time `json:"t"`
}

func utcIntent(i latch.Intent) latch.Intent {
	i.At = i.At.UTC()
	i.Evidence.At = i.Evidence.At.UTC()
	return i
}

func utcHold(h latch.Hold) latch.Hold {
	h.Since = h.Since.UTC()
	if h.Approval != nil {
		a := *h.Approval
		a.At = a.At.UTC()
		h.Approval = &a
	}
	return h
}
