package state

import (
	"bytes"
	"testing"
)

// TestTornHead tears the 80 bytes that make a transaction count, which a disk
// writes as a whole: Open refuses such a file as damaged, or finds the state
// before the transaction or after it, and never goes back to an older one by
// itself.
func TestTornHead(t *testing.T) {
	t.Parallel()
	rnd, seed := chance(t)
	st := writeStory(t)
	y, by := newJury(t), counts{}
	st.disk.moments(allSyncs, func(m moment) {
		if len(m.pending) != 1 || m.pending[0].kind != askWrite || m.pending[0].off >= heads() {
			return
		}
		head := m.pending[0]
		was := m.sure[head.off:][:sector]
		for range max(2, *imageCount/12) {
			cut := 1 + rnd.IntN(pageHeader+metaSize-1)
			torn := append(bytes.Clone(head.data[:cut]), was[cut:]...)
			if rnd.IntN(2) == 0 {
				torn = append(bytes.Clone(was[:cut]), head.data[cut:sector]...)
			}
			i := image{size: m.size, patches: []patch{{head.off, torn}}}
			y.jobs <- job{moment: &m, image: i, answer: func(f finding) { st.sort(&m, f, by) }}
		}
	})
	y.wait()
	all := by.total()
	t.Logf("seed %d: %d torn heads: %d refused as damaged, %d read as before the transaction, %d as after it, %d otherwise",
		seed, all.images, all.refused, all.before, all.after, all.lost+all.halves)
	if all.lost+all.halves > 0 || all.refused == 0 {
		t.Errorf("seed %d: %+v", seed, all)
	}
}
