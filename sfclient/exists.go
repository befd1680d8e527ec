package sfclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/simpleforce/simpleforce"

	"latchd/latch"
)

const (
	// retrieveMax is how many records one call of sObject Collections reads
	// (developer.salesforce.com, REST API, resources_composite_sobjects_collections_retrieve_post).
	retrieveMax = 2000
	// traceMax is how many ids an IN list takes in a GET: 600 make an address
	// too long for Salesforce's limit of 16,384 bytes, 500 do not.
	traceMax = 500

	// maxSplits bounds the halving of a batch that is not taken: enough for a
	// handful of odd ids, and never a call for each of 2,000.
	maxSplits = 64

	existing = "reading accounts"
)

// Exists reads accounts live, 2,000 a call. What is not shown is looked for
// among deleted and merged records; a merge is followed to its last survivor.
// An account without any trace is AccountUnseen: it never existed, was purged,
// or is out of the integration user's sight. Every id asked for has a reading;
// what can be no Account id is unseen without being asked for.
func (c *Client) Exists(ctx context.Context, ids []latch.AccountID) (map[latch.AccountID]latch.AccountReading, error) {
	readings := make(map[latch.AccountID]latch.AccountReading, len(ids))
	unique := make([]latch.AccountID, 0, len(ids))
	for _, id := range ids {
		if id.Valid() {
			unique = append(unique, id)
			continue
		}
		readings[id] = latch.AccountReading{Account: id, State: latch.AccountUnseen, How: latch.HowLive, At: time.Now()}
	}
	slices.Sort(unique)
	unique = slices.Compact(unique)
	missing, err := c.readShown(ctx, unique, readings)
	if err != nil {
		return nil, err
	}
	if err := c.trace(ctx, missing, readings); err != nil {
		return nil, err
	}
	if err := c.follow(ctx, readings); err != nil {
		return nil, err
	}
	return readings, nil
}

// readShown puts a reading of every id into readings, known or unseen, and
// gives those that are not shown.
func (c *Client) readShown(ctx context.Context, ids []latch.AccountID, readings map[latch.AccountID]latch.AccountReading) ([]latch.AccountID, error) {
	var missing []latch.AccountID
	for chunk := range slices.Chunk(ids, retrieveMax) {
		at := time.Now()
		splits := maxSplits
		seen, err := c.retrieve(ctx, chunk, &splits)
		if err != nil {
			return nil, err
		}
		for _, id := range chunk {
			r := latch.AccountReading{Account: id, State: latch.AccountKnown, How: latch.HowLive, At: at}
			if !seen[id] {
				r.State = latch.AccountUnseen
				missing = append(missing, id)
			}
			readings[id] = r
		}
	}
	return missing, nil
}

// retrieve reads which of at most 2,000 accounts are shown. A batch that
// Salesforce does not take is halved, so that one odd id costs the others
// nothing; that ends with single ids.
func (c *Client) retrieve(ctx context.Context, ids []latch.AccountID, splits *int) (map[latch.AccountID]bool, error) {
	body, err := json.Marshal(map[string]any{"ids": ids, "fields": []string{"Id"}})
	if err != nil {
		return nil, malformed(existing, "the ids cannot be encoded")
	}
	var answer []byte
	_, err = c.call(ctx, existing, "retrieve", func(sf *simpleforce.Client) (err error) {
		answer, err = sf.ApexREST(http.MethodPost, "services/data/v"+c.o.APIVersion+"/composite/sobjects/Account", bytes.NewReader(body))
		return err
	})
	var own *Error
	if errors.As(err, &own) && own.Kind == KindBadQuery && own.Code != "INVALID_FIELD" {
		return c.halves(ctx, ids, own, splits)
	}
	if err != nil {
		return nil, err
	}
	var rows []*struct {
		ID string `json:"Id"`
	}
	if err := json.Unmarshal(answer, &rows); err != nil || rows == nil {
		return nil, malformed(existing, "the answer is not a list of records")
	}
	if len(rows) != len(ids) {
		return nil, malformed(existing, "%d records came for %d ids", len(rows), len(ids))
	}
	// The order is not promised: a record is known by its id, and only those that
	// no record names are missing.
	seen := make(map[latch.AccountID]bool, len(ids))
	for _, row := range rows {
		if row == nil {
			continue
		}
		id, err := latch.ParseAccountID(row.ID)
		if err != nil {
			return nil, malformed(existing, "a record has no Account id")
		}
		seen[id] = true
	}
	return seen, nil
}

func (c *Client) halves(ctx context.Context, ids []latch.AccountID, cause *Error, splits *int) (map[latch.AccountID]bool, error) {
	if len(ids) == 1 {
		if cause.Code == "INVALID_ID_FIELD" || cause.Code == "MALFORMED_ID" || cause.Code == "NOT_FOUND" {
			return nil, nil // this one id; whether it left a trace is asked next
		}
		return nil, cause // it is not the id
	}
	if *splits--; *splits < 0 {
		return nil, cause
	}
	all := map[latch.AccountID]bool{}
	for half := range slices.Chunk(ids, (len(ids)+1)/2) {
		seen, err := c.retrieve(ctx, half, splits)
		if err != nil {
			return nil, err
		}
		maps.Copy(all, seen)
	}
	return all, nil
}

// trace looks for accounts among deleted and merged records.
func (c *Client) trace(ctx context.Context, ids []latch.AccountID, readings map[latch.AccountID]latch.AccountReading) error {
	for chunk := range slices.Chunk(ids, traceMax) {
		quoted := make([]string, len(chunk))
		for i, id := range chunk {
			quoted[i] = "'" + string(id) + "'" // letters and digits only, see Valid
		}
		soql := "SELECT Id, IsDeleted, MasterRecordId FROM Account WHERE Id IN (" + strings.Join(quoted, ",") + ")"
		_, err := c.pages(ctx, existing, "queryAll", c.queryAll(soql), func(rows []simpleforce.SObject) error {
			for _, row := range rows {
				change, err := changeOf(existing, row)
				if err != nil {
					return err
				}
				if r, asked := readings[change.Account]; asked {
					r.State, r.Survivor = change.State, change.Survivor
					readings[change.Account] = r
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
