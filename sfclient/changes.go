package sfclient

import (
	"context"
	"time"

	"github.com/simpleforce/simpleforce"

	"latchd/latch"
)

// stampForm is a date and time as SOQL reads it.
const stampForm = "2006-01-02T15:04:05Z"

// PullChanges hands over the accounts that changed at or after since: created,
// edited, undeleted, deleted, or merged away, then with the survivor. The caller
// has subtracted an overlap, since stamps precede commits. Changes that fit one
// page cost one call.
//
// claimed is the name of a field, as ClaimField gave it, whose value comes along,
// at no further call; "" = none.
func (c *Client) PullChanges(ctx context.Context, since time.Time, claimed string, yield func([]latch.AccountChange) error) (Pulled, error) {
	return c.changes(ctx, "pulling changed accounts", "SystemModstamp >= "+since.UTC().Format(stampForm), claimed, yield)
}

// PullGone is PullChanges with those alone that were deleted or merged away and
// are still so.
func (c *Client) PullGone(ctx context.Context, since time.Time, yield func([]latch.AccountChange) error) (Pulled, error) {
	return c.changes(ctx, "pulling deleted accounts", "IsDeleted = true AND SystemModstamp >= "+since.UTC().Format(stampForm), "", yield)
}

// changes hands over the accounts of a condition, with what the field carries.
func (c *Client) changes(ctx context.Context, op, where, claimed string, yield func([]latch.AccountChange) error) (Pulled, error) {
	fields := "Id, IsDeleted, MasterRecordId"
	if claimed != "" {
		fields += ", " + claimed
	}
	soql := "SELECT " + fields + " FROM Account WHERE " + where
	pulled, err := c.pages(ctx, op, "queryAll", c.queryAll(soql), func(rows []simpleforce.SObject) error {
		changes := make([]latch.AccountChange, len(rows))
		for i, row := range rows {
			var err error
			if changes[i], err = changeOf(op, row); err != nil {
				return err
			}
			if claimed == "" {
				continue
			}
			if changes[i].Claim, err = claimOf(op, row, claimed); err != nil {
				return err
			}
			if changes[i].State != latch.AccountKnown {
				changes[i].Claim = latch.Claim{Account: changes[i].Claim.Account}
			}
		}
		return yield(changes)
	})
	return pulled, c.fieldGone(claimed, err)
}

// changeOf reads what became of an account. Merged accounts are deleted ones
// that name their survivor as MasterRecordId.
func changeOf(op string, row simpleforce.SObject) (latch.AccountChange, error) {
	id, err := accountOf(op, row)
	if err != nil {
		return latch.AccountChange{}, err
	}
	deleted, ok := row["IsDeleted"].(bool)
	if !ok {
		return latch.AccountChange{}, malformed(op, "a row does not say whether it is deleted")
	}
	master, ok := field(row, "MasterRecordId")
	if !ok {
		return latch.AccountChange{}, malformed(op, "a row does not say whether it was merged")
	}
	change := latch.AccountChange{Account: id, State: latch.AccountKnown}
	if deleted {
		change.State = latch.AccountDeleted
		if master != "" {
			change.State = latch.AccountMerged
			if change.Survivor, err = latch.ParseAccountID(master); err != nil {
				return change, malformed(op, "a merged row names a survivor that is no Account id")
			}
		}
	}
	return change, nil
}
