package sfclient

import (
	"context"
	"slices"

	"latchd/latch"
)

// maxHops bounds a chain of merges: the survivor of one may be merged away by
// the next.
const maxHops = 10

// follow goes along the chains of merges in readings, all of them one hop at a
// time, to the last survivor, and finds out whether that one is there.
func (c *Client) follow(ctx context.Context, readings map[latch.AccountID]latch.AccountReading) error {
	var merged []latch.AccountID
	read := make(map[latch.AccountID]latch.AccountReading)
	for id, r := range readings {
		if r.State == latch.AccountMerged {
			merged = append(merged, id)
		}
		read[id] = r
	}
	if len(merged) == 0 {
		return nil
	}
	for range maxHops {
		var ask []latch.AccountID
		for _, id := range merged {
			end := chainEnd(id, read)
			if _, done := read[end]; end != "" && !done {
				ask = append(ask, end)
			}
		}
		if len(ask) == 0 {
			break
		}
		slices.Sort(ask)
		ask = slices.Compact(ask)
		missing, err := c.readShown(ctx, ask, read)
		if err != nil {
			return err
		}
		if err := c.trace(ctx, missing, read); err != nil {
			return err
		}
	}
	for _, id := range merged {
		r := readings[id]
		r.Survivor = chainEnd(id, read)
		r.SurvivorKnown = read[r.Survivor].State == latch.AccountKnown
		readings[id] = r
	}
	return nil
}

// chainEnd walks from a merged account as far as the merges are known; "" for a
// circle, or a chain longer than maxHops.
func chainEnd(from latch.AccountID, read map[latch.AccountID]latch.AccountReading) latch.AccountID {
	for range maxHops + 1 {
		r, ok := read[from]
		if !ok || r.State != latch.AccountMerged {
			return from
		}
		from = r.Survivor
	}
	return ""
}
