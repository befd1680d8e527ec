package latch

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The pairs of 15 and 18 characters stand in public documentation: the first in
// Stax Bill's own (developer.staxbill.com/reference/activate-sync and
// netsuite-latch-customer), the others in Salesforce's REST guide.
func TestParseAccountIDDocumented(t *testing.T) {
	for short, full := range map[string]AccountID{
		"0014100000JJ3wt": "0014100000JJ3wtAAD",
		"001D000000IRFma": "001D000000IRFmaIAH",
		"001D000000IqhSL": "001D000000IqhSLIAZ",
	} {
		for _, in := range []string{short, string(full)} {
			got, err := ParseAccountID(in)
			if err != nil || got != full {
				t.Errorf("ParseAccountID(%q) = %q, %v; want %q", in, got, err, full)
			}
		}
		if full.Short() != short {
			t.Errorf("%q.Short() = %q", full, full.Short())
		}
	}
}

func TestParseAccountIDRefused(t *testing.T) {
	for in, want := range map[string]struct {
		reason   string
		repaired AccountID
	}{
		"":                      {"empty", ""},
		"0014100000JJ3w":        {"14 characters", ""},
		"0014100000JJ3wtAA":     {"17 characters", ""},
		"0034100000JJ3wt":       {"begins with 001", ""},
		"0014100000JJ3-t":       {"character 14", ""},
		"0014100000jj3wtaad":    {"do not fit", "0014100000JJ3wtAAD"},
		"0014100000JJ3WTAAD":    {"do not fit", "0014100000JJ3wtAAD"},
		"0014100000113wtAAD":    {"do not fit", ""}, // digits where the suffix says capitals
		"0014100000JJ3wtAA9":    {"do not fit", ""}, // 9 is in no suffix
		"001é100000JJ3":         {"not a letter or digit", ""},
		strings.Repeat("0", 99): {"99 characters", ""},
	} {
		_, err := ParseAccountID(in)
		var idErr *AccountIDError
		if !errors.As(err, &idErr) {
			t.Errorf("ParseAccountID(%q): %v, want an *AccountIDError", in, err)
			continue
		}
		if !strings.Contains(err.Error(), want.reason) && !strings.Contains(err.Error(), "characters") {
			t.Errorf("ParseAccountID(%q): %v, want %q", in, err, want.reason)
		}
		if idErr.Repaired != want.repaired {
			t.Errorf("ParseAccountID(%q) offers %q, want %q", in, idErr.Repaired, want.repaired)
		}
	}
}

func anyShortID(t *rapid.T) string {
	return "001" + string(rapid.SliceOfN(rapid.SampledFrom([]byte(base62)), 12, 12).Draw(t, "body"))
}

func TestAccountIDProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		short := anyShortID(t)
		id, err := ParseAccountID(short)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ParseAccountID(string(id)); err != nil || again != id || !id.Valid() || id.Short() != short {
			t.Fatalf("%q does not come back: %q %v", id, again, err)
		}
		// An id whose case a spreadsheet has lost is refused, and offered whole.
		lower := strings.ToLower(string(id))
		if lower != string(id) {
			var idErr *AccountIDError
			if _, err := ParseAccountID(lower); !errors.As(err, &idErr) || idErr.Repaired != id {
				t.Fatalf("%q: %v, want the offer %q", lower, err, id)
			}
		}
	})
}

func TestObservedAccountID(t *testing.T) {
	for in, want := range map[string]AccountID{
		"":                     "",
		"  ":                   "",
		"0014100000JJ3wt":      "0014100000JJ3wtAAD",
		" 0014100000JJ3wtAAD ": "0014100000JJ3wtAAD",
		"003D000000IRFma":      "003D000000IRFma",
		"clear":                "clear",
	} {
		if got := ObservedAccountID(in); got != want {
			t.Errorf("ObservedAccountID(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestParseCustomerID(t *testing.T) {
	for in, want := range map[string]CustomerID{"1": 1, "93132": 93132, "007": 7, "9223372036854775807": 1<<63 - 1} {
		if got, err := ParseCustomerID(in); err != nil || got != want {
			t.Errorf("ParseCustomerID(%q) = %d, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "0", "000", "-1", "+1", "1.0", "1e6", "9223372036854775808", "12 ", "١٢", "abc"} {
		if got, err := ParseCustomerID(in); err == nil {
			t.Errorf("ParseCustomerID(%q) = %d, want an error", in, got)
		}
	}
}

func FuzzParseAccountID(f *testing.F) {
	for _, s := range []string{"", "0014100000JJ3wt", "0014100000JJ3wtAAD", "0014100000jj3wtaad", "001é100000JJ3wt"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseAccountID(s)
		if err == nil && (!id.Valid() || !strings.HasPrefix(s, id.Short())) {
			t.Fatalf("%q gave %q", s, id)
		}
		var idErr *AccountIDError
		if errors.As(err, &idErr) && idErr.Repaired != "" && !idErr.Repaired.Valid() {
			t.Fatalf("%q is offered %q, which is no id", s, idErr.Repaired)
		}
	})
}
