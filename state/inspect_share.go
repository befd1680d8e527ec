package state

import (
	"math/bits"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// inspectors is how many walk a file at once at most: a start waits for them.
const inspectors = 4

// subtree is what lies under one branch of the first page of a bucket.
type subtree struct {
	id        uint64
	depth     int
	low, high []byte
}

// share has the subtrees walked by as many inspectors as there are processors,
// and holds what they saw against each other: a page belongs to one of them.
func (w *inspector) share(all []subtree) error {
	n := min(runtime.GOMAXPROCS(0), inspectors, len(all))
	others := make([]*inspector, n)
	var next atomic.Int64
	var g errgroup.Group
	for i := range others {
		o := &inspector{file: w.file, data: w.data, pageSize: w.pageSize, pages: w.pages, seen: make([]uint64, len(w.seen)), within: 2}
		others[i] = o
		g.Go(func() error {
			return o.guarded(func() error {
				for {
					i := int(next.Add(1)) - 1
					if i >= len(all) {
						return nil
					}
					t := all[i]
					if err := o.tree(t.id, t.depth, t.low, t.high); err != nil {
						next.Store(int64(len(all))) // the others need not go on
						return err
					}
				}
			})
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, o := range others {
		for i, theirs := range o.seen {
			if twice := w.seen[i] & theirs; twice != 0 {
				return unsoundf("page %d is referred to twice", uint64(i)*64+uint64(bits.TrailingZeros64(twice)))
			}
			w.seen[i] |= theirs
		}
	}
	return nil
}
