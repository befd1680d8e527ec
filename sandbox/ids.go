package sandbox

import "strings"

const (
	base62Digits   = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	suffixAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
	accountPrefix  = "001"
)

// suffixOf computes the three characters that turn a 15-character id into the
// case-safe 18-character one: each group of five characters gives a number whose
// bit i says that character i is A–Z (help.salesforce.com, 000385203).
func suffixOf(id15 string) string {
	var suffix [3]byte
	for group := range suffix {
		bits := 0
		for i := range 5 {
			if c := id15[group*5+i]; c >= 'A' && c <= 'Z' {
				bits |= 1 << i
			}
		}
		suffix[group] = suffixAlphabet[bits]
	}
	return string(suffix[:])
}

// to18 gives the 18-character form of a well-formed record id of 15 or 18
// characters. An 18-character id whose suffix does not agree with its letters is
// no id: Salesforce calls them case-safe, not case-insensitive.
func to18(id string) (string, bool) {
	if len(id) != 15 && len(id) != 18 {
		return "", false
	}
	for i := range len(id) {
		if strings.IndexByte(base62Digits, id[i]) < 0 {
			return "", false
		}
	}
	suffix := suffixOf(id[:15])
	if len(id) == 18 && id[15:] != suffix {
		return "", false
	}
	return id[:15] + suffix, true
}

// base62 writes n with the given number of digits, leading zeros included.
func base62(n uint64, digits int) string {
	out := make([]byte, digits)
	for i := digits - 1; i >= 0; i-- {
		out[i] = base62Digits[n%62]
		n /= 62
	}
	return string(out)
}

// fromBase62 reads what base62 wrote.
func fromBase62(s string) (uint64, bool) {
	var n uint64
	for i := range len(s) {
		d := strings.IndexByte(base62Digits, s[i])
		if d < 0 {
			return 0, false
		}
		n = n*62 + uint64(d)
	}
	return n, true
}
