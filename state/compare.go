package state

import "bytes"

// overlap is how many accounts two generations hold.
type overlap struct{ old, fresh, both int }

// overlap compares two generations. Where both have the same ids they are
// compared as one piece of memory, whatever pages they are on. letGo is called
// now and then.
func (t *tx) overlap(old, fresh []byte, letGo func()) (sum overlap, err error) {
	ow, nw := idPages{t.b(old)}.walk(), idPages{t.b(fresh)}.walk()
	for step := 1; ; step++ {
		if err := t.alive(); err != nil {
			return sum, err
		}
		if step%walkedPages == 0 {
			letGo()
		}
		o, err := ow.ids()
		if err != nil {
			return sum, err
		}
		n, err := nw.ids()
		if err != nil {
			return sum, err
		}
		if len(o) == 0 || len(n) == 0 {
			sum.old += len(o) / packedLen
			sum.fresh += len(n) / packedLen
			if len(o) == 0 && len(n) == 0 {
				return sum, nil
			}
			ow.left, nw.left = nil, nil
			continue
		}
		a, b, same := shared(o, n)
		sum.old += a / packedLen
		sum.fresh += b / packedLen
		sum.both += same
		ow.left, nw.left = o[a:], n[b:]
	}
}

// shared goes through two lists of ids up to the end of one of them: how many
// bytes of each are dealt with, and how many ids were in both.
func shared(o, n []byte) (a, b, same int) {
	if m := min(len(o), len(n)); bytes.Equal(o[:m], n[:m]) {
		return m, m, m / packedLen
	}
	for a < len(o) && b < len(n) {
		x, y := packedHigh(o[a:]), packedHigh(n[b:])
		if x == y {
			x, y = uint64(o[a+packedLen-1]), uint64(n[b+packedLen-1])
		}
		if x <= y {
			a += packedLen
		}
		if y <= x {
			b += packedLen
		}
		if x == y {
			same++
		}
	}
	return a, b, same
}

// both walks two generations side by side; inOld and inNew say where a key is.
func (t *tx) both(old, fresh []byte, each func(key []byte, inOld, inNew bool)) error {
	ow, nw := idPages{t.b(old)}.walk(), idPages{t.b(fresh)}.walk()
	o, err := ow.id()
	if err != nil {
		return err
	}
	n, err := nw.id()
	for err == nil && (o != nil || n != nil) {
		if err := t.alive(); err != nil {
			return err
		}
		order := bytes.Compare(o, n)
		switch {
		case o == nil:
			order = 1
		case n == nil:
			order = -1
		}
		if order <= 0 {
			each(o, true, order == 0)
			if o, err = ow.id(); err != nil {
				return err
			}
		} else {
			each(n, false, true)
		}
		if order >= 0 {
			n, err = nw.id()
		}
	}
	return err
}
