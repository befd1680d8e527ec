// Package echo finds a secret in words that came from outside: a service, or
// something between it and here, may quote back what it was sent. It is pure, and
// knows nothing of who sends what.
package echo

import (
	"encoding/base64"
	"html"
	"net/url"
	"strconv"
	"strings"
)

// least is the length, in bytes, from which a piece of a secret counts as the
// secret: services cut what they quote. A shorter piece is as likely an accident.
const least = 12

// Of reports whether text shows one of the secrets or a piece of it, as it is or
// as it looks in a URL, in JSON, in HTML, or in base64 by itself or behind the
// word of an Authorization header. Secrets shorter than 4 bytes are none.
func Of(text string, secrets ...string) bool {
	var looks []string
	for _, secret := range secrets {
		if len(secret) < 4 {
			continue
		}
		if looks == nil {
			looks = readings(text)
		}
		for _, form := range forms(secret) {
			for _, look := range looks {
				if holds(look, form) {
					return true
				}
			}
		}
	}
	return false
}

// readings are a text as it is and with the escapes of others taken off.
func readings(text string) []string {
	out := []string{text}
	add := func(s string) {
		if s != text {
			out = append(out, s)
		}
	}
	for _, part := range []string{text, strings.ReplaceAll(text, "+", "%2B")} {
		add(unescapeURL(part))
	}
	add(html.UnescapeString(text))
	add(unescapeJSON(text))
	return out
}

// unescapeURL takes off every %xx that is one, and leaves what is none.
func unescapeURL(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+3 <= len(s) {
			if one, err := url.PathUnescape(s[i : i+3]); err == nil {
				b.WriteString(one)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// unescapeJSON takes off every backslash and \uXXXX of JSON.
func unescapeJSON(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		if i++; s[i] == 'u' && i+5 <= len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+5], 16, 16); err == nil {
				b.WriteRune(rune(n))
				i += 4
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// forms are the ways in which a secret is written. What is base64 already is
// also shown by what it stands for.
func forms(secret string) []string {
	out := []string{secret}
	for _, what := range []string{secret, "Basic " + secret, "Bearer " + secret} {
		out = append(out,
			base64.RawStdEncoding.EncodeToString([]byte(what)), base64.RawURLEncoding.EncodeToString([]byte(what)))
	}
	if plain, err := base64.StdEncoding.DecodeString(secret); err == nil && len(plain) >= 8 {
		out = append(out, string(plain))
	}
	return out
}

// holds reports whether text has the secret, or a piece of it of at least the
// length that counts.
func holds(text, secret string) bool {
	if len(secret) <= least {
		return strings.Contains(text, secret)
	}
	for i := 0; i+least <= len(secret); i++ {
		if strings.Contains(text, secret[i:i+least]) {
			return true
		}
	}
	return false
}
