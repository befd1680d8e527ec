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
func suffixOf(id15 string) string { return string(appendSuffix(nil, id15)) }

// appendSuffix appends the suffix of id15 to b, which may hold id15 itself.
func appendSuffix[T string | []byte](b []byte, id15 T) []byte {
	for group := range 3 {
		bits := 0
		for i := range 5 {
			if c := id15[group*5+i]; c >= 'A' && c <= 'Z' {
				bits |= 1 << i
			}
		}
		b = append(b, suffixAlphabet[bits])
	}
	return b
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
	return string(appendBase62(make([]byte, 0, digits), n, digits))
}

func appendBase62(b []byte, n uint64, digits int) []byte {
	start := len(b)
	for range digits {
		b = append(b, '0')
	}
	for i := len(b) - 1; i >= start; i-- {
		b[i] = base62Digits[n%62]
		n /= 62
	}
	return b
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
