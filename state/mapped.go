package state

import (
	"context"
	"syscall"

	bolt "go.etcd.io/bbolt"
)

// bbolt maps the file, and whatever was read of it counts as this process's
// memory until something else needs it. Who went through much of it lets go, so
// that memory is not as large as the file. The pages stay in the kernel's cache,
// and reading one again costs a page fault.

// walkedPages is after how many pages of the index, of up to 8 KiB, a walk lets
// go.
const walkedPages = 1_000

// letGo gives the mapped pages back to the kernel. The file stays mapped where it
// is as long as a reading transaction lasts, so btx has to be one that reads.
func letGo(db *bolt.DB, btx *bolt.Tx) {
	if btx.Writable() {
		return
	}
	// It only ever fails where there is nothing to gain.
	_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, db.Info().Data, uintptr(btx.Size()), syscall.MADV_DONTNEED)
}

// letGo is for behind a long write.
func (s *Store) letGo(ctx context.Context) {
	_ = s.view(ctx, func(t *tx) error {
		letGo(s.db, t.Tx)
		return nil
	})
}

// emptyOther empties the generation that is not in force, and carries out also
// in the transaction that does so. bbolt reads each page that it frees: a large
// generation goes by parts, each a transaction, and what it was is no more to be
// relied on from the first of them: the job of its pull goes with that.
func (s *Store) emptyOther(ctx context.Context, step string, also func(*tx) error) error {
	for more := true; more; {
		err := s.update(ctx, step, func(t *tx) error {
			_, other := t.generations()
			b := t.b(other)
			var keys [][]byte
			c := b.Cursor()
			for k, _ := c.First(); k != nil && len(keys) <= walkedPages; k, _ = c.Next() {
				keys = append(keys, k)
			}
			if more = len(keys) > walkedPages; !more {
				if err := t.empty(other); err != nil {
					return err
				}
				return also(t)
			}
			for _, k := range keys[:walkedPages] {
				if err := b.Delete(k); err != nil {
					return err
				}
			}
			return t.dropPullJob()
		})
		if err != nil {
			return err
		}
		s.letGo(ctx)
	}
	return nil
}
