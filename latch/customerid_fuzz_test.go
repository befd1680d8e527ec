package latch

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzParseCustomerID: what is read as an id is written back as the same id, as
// a text and as JSON, and JSON reads no other number than the text does. What
// is refused says why in one short line.
func FuzzParseCustomerID(f *testing.F) {
	for _, s := range []string{
		"", "0", "1", "007", "93132", "9223372036854775807", "9223372036854775808", "-1", "+1", "1e3", "1.0", " 1", "1\n",
		"١٢", "\x00", "0x10", "1_000", "\xff", strings.Repeat("9", 300), "null", `"1"`, "{}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseCustomerID(s)
		if err != nil {
			if id != 0 || len(err.Error()) > 300 || !utf8.ValidString(err.Error()) || strings.ContainsAny(err.Error(), "\n\r\x1b") {
				t.Fatalf("%q: %d, %q", s, id, err)
			}
		} else {
			if again, err := ParseCustomerID(id.String()); id <= 0 || err != nil || again != id || strings.TrimLeft(s, "0") != id.String() {
				t.Fatalf("%q gave %d, which reads as %d, %v", s, id, again, err)
			}
			text, err := json.Marshal(id)
			var back CustomerID
			if err != nil || string(text) != id.String() || json.Unmarshal(text, &back) != nil || back != id {
				t.Fatalf("%d as JSON is %s and reads as %d", id, text, back)
			}
		}
		var fromJSON CustomerID
		if json.Unmarshal([]byte(s), &fromJSON) == nil && fromJSON > 0 && fromJSON != id && strings.TrimSpace(s) == s {
			t.Fatalf("%q is %d as JSON and %d as text (%v)", s, fromJSON, id, err)
		}
	})
}

// FuzzObservedAccountID: what a service shows as an account, however odd, is
// the same however often it is looked at, and equals a valid id only when it is
// that id.
func FuzzObservedAccountID(f *testing.F) {
	for _, s := range []string{"", " ", "clear", "0014100000JJ3wt", " 0014100000JJ3wtAAD\n", "0014100000jj3wtaad", "003D000000IRFma", "\xff", "\u00a00014100000JJ3wt"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a := ObservedAccountID(s)
		if again := ObservedAccountID(string(a)); again != a {
			t.Fatalf("%q is %q and then %q", s, a, again)
		}
		if a.Valid() && !strings.HasPrefix(strings.TrimSpace(s), a.Short()) {
			t.Fatalf("%q was taken for %q", s, a)
		}
		if strings.TrimSpace(s) == "" && a != "" {
			t.Fatalf("%q is the account %q", s, a)
		}
	})
}
