package sfclient

import (
	"context"
	"errors"

	"github.com/simpleforce/simpleforce"

	"latchd/latch"
)

// ErrManyAccounts says that the org has no less accounts than PullAll was to
// pull.
var ErrManyAccounts = errors.New("more accounts than are pulled page by page")

// PullAll hands over the ids of all accounts that the integration user sees,
// page by page, 2,000 at most. A short or failed read is an error and never
// means that an account is gone.
//
// Where the accounts are no fewer than below, 0 = however many, it gives
// ErrManyAccounts, after one call and before it has handed over any: the first
// page says how many there are.
func (c *Client) PullAll(ctx context.Context, below int, yield func([]latch.PackedAccountID) error) (Pulled, error) {
	const op = "pulling all accounts"
	return c.pagesBelow(ctx, below, op, "query", "SELECT Id FROM Account", func(rows []simpleforce.SObject) error {
		ids := make([]latch.PackedAccountID, len(rows))
		for i, row := range rows {
			id, err := accountOf(op, row)
			if err != nil {
				return err
			}
			ids[i], _ = id.Pack() // it is one
		}
		return yield(ids)
	})
}
