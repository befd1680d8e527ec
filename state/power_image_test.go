package state

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"slices"
)

// sector is what a disk writes as a whole.
const sector = 512

// image is one content of the disk after a cut of the power: what was certain,
// with these sectors over it.
type image struct {
	how     string
	size    int64
	patches []patch
}

// over gives the file that the image makes of what was certain.
func (i image) over(sure []byte) []byte {
	file := bytes.Clone(sure)
	for _, p := range i.patches {
		file = overlay(file, p.Off, p.Data)
	}
	return file
}

type patch struct {
	Off  int64
	Data []byte
}

// noise stands for a sector that was being written and holds neither what was
// there nor what should be.
const noise = -1

// images gives different contents that a cut at this moment can leave, at most
// n of them: nothing and all of what is pending; all subsets of the writes where
// that is no more, else single writes, all but one, and subsets by chance; and
// torn ones, with sectors taken by chance. Where a sector is pending more than
// once, each of its contents can be the one that is there.
func (m moment) images(rnd *rand.Rand, n int) []image {
	e := enumeration{m: m, rnd: rnd, seen: map[uint64]bool{}, sectors: map[int64][][]byte{}}
	for _, a := range m.pending {
		if a.kind == askGrow {
			e.sizes = append(e.sizes, a.size)
			continue
		}
		w := []choice{}
		for i := 0; i < len(a.data); i += sector {
			at := a.off + int64(i)
			e.sectors[at] = append(e.sectors[at], a.data[i:i+sector])
			w = append(w, choice{at, len(e.sectors[at])})
		}
		e.writes = append(e.writes, w)
	}
	e.whole("nothing", 0)
	e.whole("all", ^uint64(0))
	count := len(e.writes)
	if count < 16 && 1<<count <= n {
		for set := range uint64(1) << count {
			e.whole("a subset", set)
		}
	}
	if count == 0 && len(e.sizes) > 0 {
		for range 4 {
			e.torn() // a length in between
		}
	}
	for tries := 0; count > 0 && len(e.out) < n && tries < 4*n; tries++ {
		switch tries % 4 {
		case 0:
			e.whole("one write", 1<<rnd.IntN(min(count, 64)))
		case 1:
			e.whole("all but one write", ^(uint64(1) << rnd.IntN(min(count, 64))))
		case 2:
			e.whole("a subset", rnd.Uint64())
		case 3:
			e.torn()
		}
	}
	return e.out
}

// choice says which content a sector has: 0 what was certain, 1 what was asked
// for first, and so on.
type choice struct {
	at int64
	is int
}

type enumeration struct {
	m       moment
	rnd     *rand.Rand
	writes  [][]choice
	sizes   []int64
	sectors map[int64][][]byte
	seen    map[uint64]bool
	out     []image
}

// whole adds the image in which the writes of a set are there as a whole.
func (e *enumeration) whole(how string, set uint64) {
	is := map[int64]int{}
	for i, w := range e.writes {
		if set>>(i%64)&1 == 1 {
			for _, c := range w {
				is[c.at] = c.is
			}
		}
	}
	size := e.m.size
	if set&1 == 1 && len(e.sizes) > 0 {
		size = e.sizes[len(e.sizes)-1]
	}
	e.add(how, size, is)
}

// torn adds an image in which each write is there, or not, or some of its
// sectors are.
func (e *enumeration) torn() {
	is := map[int64]int{}
	noisy := e.rnd.IntN(4) == 0
	for _, w := range e.writes {
		switch e.rnd.IntN(6) {
		case 0:
		case 1, 2:
			e.some(is, w, 1, noisy)
		case 3:
			e.some(is, w[:e.rnd.IntN(len(w))], 1, noisy)
		case 4:
			e.some(is, w[e.rnd.IntN(len(w)):], 1, noisy)
		default:
			e.some(is, w, e.rnd.Float64(), noisy)
		}
	}
	size := e.m.size
	if len(e.sizes) > 0 {
		last := e.sizes[len(e.sizes)-1]
		size = []int64{size, last, size + (last-size)*int64(e.rnd.IntN(9))/8}[e.rnd.IntN(3)]
	}
	e.add("torn", size, is)
}

// some takes each of these sectors by a chance. A sector of a head is written
// as a whole or not at all: what a disk leaves that breaks this promise, is
// damage to us, and TestTornHead has it.
func (e *enumeration) some(is map[int64]int, w []choice, chance float64, noisy bool) {
	for _, c := range w {
		if e.rnd.Float64() >= chance {
			continue
		}
		if old := is[c.at]; old > 0 && e.rnd.IntN(2) == 0 {
			continue // the later one of two need not be the one that stays
		}
		is[c.at] = c.is
		if noisy && c.at >= heads() && e.rnd.IntN(3) == 0 {
			is[c.at] = noise
		}
	}
}

var imageHash = maphash.MakeSeed()

func (e *enumeration) add(how string, size int64, is map[int64]int) {
	var patches []patch
	at := make([]int64, 0, len(is))
	for a := range is {
		at = append(at, a)
	}
	slices.Sort(at)
	var h maphash.Hash
	h.SetSeed(imageHash)
	fmt.Fprint(&h, size)
	for _, a := range at {
		data := e.content(a, is[a])
		if a+sector > size || bytes.Equal(data, e.sure(a)) {
			continue // behind the end of the file, or no change
		}
		_, _ = h.Write(binary.LittleEndian.AppendUint64(nil, uint64(a)))
		_, _ = h.Write(data)
		patches = append(patches, patch{a, data})
	}
	if sum := h.Sum64(); !e.seen[sum] {
		e.seen[sum] = true
		e.out = append(e.out, image{how: how, size: size, patches: patches})
	}
}

func (e *enumeration) sure(at int64) []byte {
	if at+sector > int64(len(e.m.sure)) {
		return append(bytes.Clone(e.m.sure[min(at, int64(len(e.m.sure))):]), make([]byte, sector)...)[:sector]
	}
	return e.m.sure[at : at+sector]
}

func (e *enumeration) content(at int64, is int) []byte {
	switch is {
	case 0:
		return e.sure(at)
	case noise:
		data := make([]byte, sector)
		for i := 0; i < sector; i += 8 {
			binary.LittleEndian.PutUint64(data[i:], e.rnd.Uint64())
		}
		return data
	}
	return e.sectors[at][is-1]
}
