package latch

import (
	"bytes"
	"encoding/binary"
)

// PackedAccountID is an Account id in 9 bytes: the 12 characters behind 001, two
// groups of six in 36 bits each. Its bytes are in the order of the text. It is
// what millions of ids are handled as: no pointer, no allocation.
type PackedAccountID [PackedLen]byte

// PackedLen is the length of a PackedAccountID in bytes.
const PackedLen = 9

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

var base62Value = func() (v [256]int8) {
	for i := range v {
		v[i] = -1
	}
	for i := range len(base62) {
		v[base62[i]] = int8(i)
	}
	return v
}()

// Pack packs a valid id; ok is false for anything else.
func (a AccountID) Pack() (p PackedAccountID, ok bool) {
	if len(a) != 18 {
		return p, false
	}
	return pack(a[:15])
}

// ParsePackedAccountID reads an Account id of 15 or 18 characters as
// ParseAccountID does, checksum included. Why a text is no id is for
// ParseAccountID to say.
func ParsePackedAccountID(text []byte) (p PackedAccountID, ok bool) {
	switch len(text) {
	case 15:
	case 18:
		for g := range 3 {
			five := text[g*5 : g*5+5 : g*5+5]
			bits := isUpper(five[0]) | isUpper(five[1])<<1 | isUpper(five[2])<<2 | isUpper(five[3])<<3 | isUpper(five[4])<<4
			if text[15+g] != suffixAlphabet[bits] {
				return p, false
			}
		}
	default:
		return p, false
	}
	return pack(text[:15])
}

func isUpper(c byte) byte {
	if c-'A' < 26 {
		return 1
	}
	return 0
}

func pack[T ~string | ~[]byte](id15 T) (p PackedAccountID, ok bool) {
	if string(id15[:3]) != AccountPrefix {
		return p, false
	}
	var half [2]uint64
	for i := range 12 {
		v := base62Value[id15[3+i]]
		if v < 0 {
			return p, false
		}
		half[i/6] = half[i/6]*62 + uint64(v)
	}
	binary.BigEndian.PutUint64(p[:8], half[0]<<28|half[1]>>8)
	p[8] = byte(half[1])
	return p, true
}

// AccountID is the reverse of Pack; ok is false for bytes that Pack never gives.
func (p PackedAccountID) AccountID() (a AccountID, ok bool) {
	hi := binary.BigEndian.Uint64(p[:8])
	half := [2]uint64{hi >> 28, (hi&(1<<28-1))<<8 | uint64(p[8])}
	var id [15]byte
	copy(id[:], AccountPrefix)
	for g := range 2 {
		for i := 5; i >= 0; i-- {
			id[3+g*6+i] = base62[half[g]%62]
			half[g] /= 62
		}
		if half[g] != 0 {
			return "", false
		}
	}
	return AccountID(string(id[:]) + idSuffix(string(id[:]))), true
}

// Compare orders ids as their text does.
func (p PackedAccountID) Compare(q PackedAccountID) int { return bytes.Compare(p[:], q[:]) }
