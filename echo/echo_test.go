package echo

import (
	"encoding/base64"
	"encoding/json"
	"html"
	"net/url"
	"strings"
	"testing"
)

const secret = `MDpzZWNy/ZXQ+b2Yg"dGhl&QXBw==`

func TestOf(t *testing.T) {
	quoted, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"as it is":                secret,
		"within words":            "you sent Basic " + secret + ", which is wrong",
		"cut":                     "key " + secret[:14] + "…",
		"cut in front":            "…" + secret[len(secret)-13:],
		"in a query":              "?key=" + url.QueryEscape(secret),
		"in a path":               "/" + url.PathEscape(secret),
		"in a query, small":       strings.ReplaceAll(url.QueryEscape(secret), "%2B", "%2b"),
		"in JSON":                 string(quoted),
		"in JSON, every slash":    strings.ReplaceAll(secret, "/", `\/`),
		"in HTML":                 html.EscapeString(secret),
		"in base64":               base64.StdEncoding.EncodeToString([]byte(secret)),
		"a header in base64":      base64.StdEncoding.EncodeToString([]byte("Basic " + secret)),
		"a token in base64":       base64.URLEncoding.EncodeToString([]byte("Bearer " + secret)),
		"beside a stray per cent": "100 % of " + url.QueryEscape(secret),
	} {
		if !Of(text, "another secret", secret) {
			t.Errorf("%s: %s is not seen", name, text)
		}
	}
	const coded = "MDpwbGFudGVkLXNlY3JldA=="
	if !Of("unknown account 0:planted-secret", coded) {
		t.Error("what the key stands for is not seen")
	}
	for _, text := range []string{"", "invalid client credentials", secret[:11], "%", `\u12`, `\`, "%zz", strings.Repeat("a", 1000)} {
		if Of(text, secret, "", "abc") {
			t.Errorf("%q is taken for the secret", text)
		}
	}
}

// FuzzOf: whatever stands around a secret, in whichever form, it is found; and
// in a text that shares no piece of it, it is not.
func FuzzOf(f *testing.F) {
	for form := byte(0); form < 6; form++ {
		f.Add("before ", " after", form)
		f.Add("%", "2", form)
		f.Add(`\`, `\u00`, form)
		f.Add("&", "amp;", form)
		f.Add("", "\xff", form)
	}
	f.Fuzz(func(t *testing.T, before, after string, form byte) {
		quoted, err := json.Marshal(secret)
		if err != nil {
			t.Fatal(err)
		}
		shown := []string{
			secret, url.QueryEscape(secret), html.EscapeString(secret), string(quoted),
			base64.StdEncoding.EncodeToString([]byte(secret)), secret[3:17],
		}[form%6]
		if !Of(before+shown+after, secret) {
			t.Fatalf("%q is not seen", before+shown+after)
		}
		if around := before + "\n" + after; !strings.ContainsAny(around, `MDpz/+"&=%\`) && Of(around, "//++//++//++//") {
			t.Fatalf("%q is taken for the secret", around)
		}
	})
}
