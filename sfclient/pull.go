package sfclient

import (
	"context"

	"github.com/simpleforce/simpleforce"

	"latchd/latch"
)

// PullAll hands over the ids of all accounts that the integration user sees,
// page by page, 2,000 at most. A short or failed read is an error and never
// means that an account is gone.
func (c *Client) PullAll(ctx context.Context, yield func([]latch.PackedAccountID) error) (Pulled, error) {
	const op = "pulling all accounts"
	return c.pages(ctx, op, "query", "SELECT Id FROM Account", func(rows []simpleforce.SObject) error {
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
