package latch

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// orgIDs gives n ids as an org has them: a few leading characters, numbers that
// rise, in some disorder.
func orgIDs(n int) []PackedAccountID {
	random := rand.New(rand.NewPCG(1, uint64(n)))
	ids := make([]PackedAccountID, n)
	for i := range ids {
		code, number := random.IntN(4), random.IntN(4*n+1)
		text := []byte("0010A0000000000")
		text[4] = base62[code]
		for at := 14; number > 0; at-- {
			text[at] = base62[number%62]
			number /= 62
		}
		ids[i], _ = pack(text)
	}
	return ids
}

func TestSortPacked(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 100, 10_000} {
		ids := orgIDs(n)
		want := slices.Clone(ids)
		slices.SortFunc(want, PackedAccountID.Compare)
		for _, order := range []string{"in none", "sorted"} {
			if SortPacked(ids); !slices.Equal(ids, want) {
				t.Errorf("%d ids, %s: not in order", n, order)
			}
		}
		random := rand.New(rand.NewPCG(2, 3))
		for i := range ids { // every byte differs
			for at := range ids[i] {
				ids[i][at] = byte(random.Uint32())
			}
		}
		want = slices.Clone(ids)
		slices.SortFunc(want, PackedAccountID.Compare)
		if SortPacked(ids); !slices.Equal(ids, want) {
			t.Errorf("%d random ones: not in order", n)
		}
	}
}

func BenchmarkSortPacked(b *testing.B) {
	ids := orgIDs(200_000)
	work := make([]PackedAccountID, len(ids))
	for name, sort := range map[string]func([]PackedAccountID){
		"by bytes": SortPacked, "by comparison": func(ids []PackedAccountID) { slices.SortFunc(ids, PackedAccountID.Compare) },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				copy(work, ids)
				sort(work)
			}
		})
	}
}
