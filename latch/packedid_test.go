package latch

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func TestPackedAccountID(t *testing.T) {
	var last PackedAccountID
	for i, body := range []string{"000000000000", "000000000001", "00000000000A", "00000000000a", "00000zzzzzzz", "5g00000a9ZzQ", "zzzzzzzzzzzz"} {
		a, err := ParseAccountID("001" + body)
		if err != nil {
			t.Fatal(err)
		}
		p, good := a.Pack()
		back, good2 := p.AccountID()
		if !good || !good2 || back != a {
			t.Errorf("%s: packed to %x, back to %s", a, p, back)
		}
		if i > 0 && last.Compare(p) >= 0 {
			t.Errorf("%s is not packed above the one before", a)
		}
		last = p
	}
	for _, bad := range []AccountID{"", "junk", "003000000000000AAA", "00100000000000-AAA"} {
		if _, good := bad.Pack(); good {
			t.Errorf("%q was packed", bad)
		}
	}
	if _, good := PackedAccountID(bytes.Repeat([]byte{0xFF}, PackedLen)).AccountID(); good {
		t.Error("a value above all ids was unpacked")
	}
}

// TestParsePacked: what ParseAccountID takes, and nothing else.
func TestParsePacked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id, err := ParseAccountID(rapid.StringMatching("001[0-9A-Za-z]{12}").Draw(t, "id"))
		if err != nil {
			t.Fatal(err)
		}
		text := []byte(rapid.SampledFrom([]string{string(id), id.Short()}).Draw(t, "form"))
		if rapid.Bool().Draw(t, "spoil") {
			text[rapid.IntRange(0, len(text)-1).Draw(t, "at")] = byte(rapid.IntRange(0, 255).Draw(t, "byte"))
		}
		if rapid.IntRange(0, 9).Draw(t, "cut") == 0 {
			text = text[:rapid.IntRange(0, len(text)).Draw(t, "length")]
		}
		want, err := ParseAccountID(string(text))
		got, good := ParsePackedAccountID(text)
		if good != (err == nil) {
			t.Fatalf("%q: %t, ParseAccountID says %v", text, good, err)
		}
		if back, _ := got.AccountID(); good && back != want {
			t.Fatalf("%q: %s, want %s", text, back, want)
		}
	})
}
