package syncer

import "context"

// collect takes in what waits in the sources that latchd asks by itself: a field
// of the accounts, and the drop folder, in this order, so that a person's file
// comes later and counts. Requests from the socket and the command line are accepted at
// any time and are in the queue already. A dry run leaves the files where they
// are, and so does not see them.
func (r *run) collect(ctx context.Context) error {
	if err := r.decideClaims(ctx); err != nil {
		return err
	}
	if r.set.DropFolder == "" || r.order.dry() {
		return nil
	}
	return r.s.collectDropFolder(ctx, r.rec.ID)
}
