package latch

import (
	"fmt"
	"strings"
)

// AccountID is the id of a Salesforce Account in its 18-character form: 15
// case-sensitive base-62 characters beginning with 001, and 3 that encode the
// case of the others. The zero value means "no account".
//
// Stax Bill may show something in a customer's salesforceId that is no Account
// id (see ObservedAccountID). Such a value is kept as it is: it equals no valid
// AccountID, so the rules treat the customer as latched elsewhere.
type AccountID string

// AccountPrefix begins every Account id: the first three characters name the
// object (https://help.salesforce.com/s/articleView?id=000385203).
const AccountPrefix = "001"

const suffixAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"

// AccountIDError says why a text is no Account id.
type AccountIDError struct {
	Input  string // as given, cut to 40 bytes
	Reason string
	// Repaired is the id that the suffix of an 18-character input points to
	// when only the case of its letters was changed, as spreadsheets do; empty
	// where it points to none. It is an offer to a person, never applied.
	Repaired AccountID
}

func (e *AccountIDError) Error() string {
	s := fmt.Sprintf("%q is no Salesforce Account id: %s", e.Input, e.Reason)
	if e.Repaired != "" {
		s += fmt.Sprintf("; by its last three characters it was %s", e.Repaired)
	}
	return s
}

// ParseAccountID reads an Account id of 15 or 18 characters and gives its
// 18-character form. The checksum of 18 characters is verified, the prefix must
// be 001. The error is an *AccountIDError.
func ParseAccountID(s string) (AccountID, error) {
	fail := func(reason string, repaired AccountID) (AccountID, error) {
		return "", &AccountIDError{Input: clip(s, 40), Reason: reason, Repaired: repaired}
	}
	switch len(s) {
	case 0:
		return fail("it is empty", "")
	case 15, 18:
	case 1:
		return fail("it has 1 character, not 15 or 18", "")
	default:
		return fail(fmt.Sprintf("it has %d characters, not 15 or 18", len([]rune(s))), "")
	}
	for i := 0; i < len(s); i++ {
		if !isAlnum(s[i]) {
			return fail(fmt.Sprintf("character %d is not a letter or digit", i+1), "")
		}
	}
	if s[:3] != AccountPrefix {
		return fail("an Account id begins with 001", "")
	}
	full := s[:15] + idSuffix(s[:15])
	if len(s) == 18 && s != full {
		return fail("its last three characters do not fit the others, so its upper and lower case was changed or a character is wrong", repair(s))
	}
	return AccountID(full), nil
}

// ObservedAccountID turns what a service shows as a customer's salesforceId
// into an AccountID for comparison: an Account id of either length becomes its
// 18-character form, blank becomes "", anything else stays as it is.
func ObservedAccountID(s string) AccountID {
	s = strings.TrimSpace(s)
	if id, err := ParseAccountID(s); err == nil {
		return id
	}
	return AccountID(s)
}

// Valid reports whether a is the 18-character form of an Account id.
func (a AccountID) Valid() bool {
	id, err := ParseAccountID(string(a))
	return err == nil && id == a
}

// Short gives the 15-character form of a valid id, and anything else unchanged.
func (a AccountID) Short() string {
	if len(a) == 18 {
		return string(a[:15])
	}
	return string(a)
}

// idSuffix computes the three characters that encode the case of the first 15:
// one character per group of five, whose bit i is set when character i of the
// group is an upper-case letter.
func idSuffix(id15 string) string {
	var out [3]byte
	for g := range out {
		bits := 0
		for i := range 5 {
			if c := id15[g*5+i]; c >= 'A' && c <= 'Z' {
				bits |= 1 << i
			}
		}
		out[g] = suffixAlphabet[bits]
	}
	return string(out[:])
}

// repair gives the id whose letters have the case that the suffix of s asks
// for, or "" where the suffix cannot belong to these characters.
func repair(s string) AccountID {
	suffix := strings.ToUpper(s[15:])
	id := []byte(s[:15])
	for g := range 3 {
		bits := strings.IndexByte(suffixAlphabet, suffix[g])
		if bits < 0 {
			return ""
		}
		for i := range 5 {
			c := &id[g*5+i]
			upper, letter := bits&(1<<i) != 0, isLetter(*c)
			switch {
			case upper && !letter:
				return ""
			case upper:
				*c &^= 0x20
			case letter:
				*c |= 0x20
			}
		}
	}
	return AccountID(string(id) + suffix)
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isAlnum(c byte) bool  { return isLetter(c) || c >= '0' && c <= '9' }

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
