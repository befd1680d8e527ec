package state

import "latchd/latch"

// sortPacked sorts ids; those that come in order cost one look at each. It goes
// by one byte after the other from the last, and leaves out bytes that all ids
// share: for 200,000 ids a fraction of what comparing them takes.
func sortPacked(ids []latch.PackedAccountID) {
	if packedInOrder(ids) {
		return
	}
	from, to := ids, make([]latch.PackedAccountID, len(ids))
	for at := packedLen - 1; at >= 0; at-- {
		var starts [256]int
		for i := range from {
			starts[from[i][at]]++
		}
		if starts[from[0][at]] == len(from) {
			continue
		}
		sum := 0
		for b, n := range starts {
			starts[b], sum = sum, sum+n
		}
		for i := range from {
			b := from[i][at]
			to[starts[b]] = from[i]
			starts[b]++
		}
		from, to = to, from
	}
	if &from[0] != &ids[0] {
		copy(ids, from)
	}
}

func packedInOrder(ids []latch.PackedAccountID) bool {
	for i := 1; i < len(ids); i++ {
		if lessPacked(&ids[i], &ids[i-1]) {
			return false
		}
	}
	return true
}

func lessPacked(a, b *latch.PackedAccountID) bool {
	x, y := packedHigh(a[:]), packedHigh(b[:])
	return x < y || x == y && a[packedLen-1] < b[packedLen-1]
}
