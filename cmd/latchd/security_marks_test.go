package main

import (
	"encoding/base64"
	"encoding/json"
	"html"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// marks are secrets that must not come out anywhere, by name, and all that came
// out, by where.
type marks struct {
	t  *testing.T
	mu sync.Mutex

	planted map[string]string
	out     map[string]string
}

func newMarks(t *testing.T) *marks {
	return &marks{t: t, planted: map[string]string{}, out: map[string]string{}}
}

func (m *marks) plant(name, secret string) {
	m.t.Helper()
	if len(secret) < 12 {
		m.t.Fatalf("%s is no secret: %q", name, secret)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.planted[name] = secret
}

func (m *marks) came(where, text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.out[where] += text + "\n"
}

// files takes in every file below a folder, names and contents.
func (m *marks) files(dir string, but ...string) {
	m.t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		for _, b := range but {
			if path == b {
				return nil
			}
		}
		data, err := os.ReadFile(path)
		m.came("file "+path, path+"\n"+string(data))
		return err
	})
	if err != nil {
		m.t.Fatal(err)
	}
}

// shapes are the ways in which a secret may stand in an output: as it is, cut
// after 12 bytes, and encoded.
func shapes(secret string) map[string]string {
	quoted, err := json.Marshal(secret)
	if err != nil {
		panic(err)
	}
	return map[string]string{
		"as it is":           secret,
		"its beginning":      secret[:12],
		"its end":            secret[len(secret)-12:],
		"in a URL":           url.QueryEscape(secret),
		"in a path":          url.PathEscape(secret),
		"in JSON":            strings.Trim(string(quoted), `"`),
		"in HTML":            html.EscapeString(secret),
		"in base64":          strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(secret)), "="),
		"in base64 of URLs":  strings.TrimRight(base64.URLEncoding.EncodeToString([]byte(secret)), "="),
		"behind Basic":       strings.TrimRight(base64.StdEncoding.EncodeToString([]byte("Basic "+secret)), "="),
		"in hexadecimal":     hexOf(secret),
		"in Go's quotes":     strings.Trim(strings.ReplaceAll(string(quoted), `\u0026`, "&"), `"`),
		"as a list of bytes": bytesOf(secret),
	}
}

func hexOf(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteByte("0123456789abcdef"[s[i]>>4])
		b.WriteByte("0123456789abcdef"[s[i]&15])
	}
	return b.String()
}

// bytesOf is how %v prints a []byte.
func bytesOf(s string) string {
	out, err := json.Marshal(func() (n []int) {
		for i := range len(s) {
			n = append(n, int(s[i]))
		}
		return n
	}())
	if err != nil {
		panic(err)
	}
	return strings.ReplaceAll(strings.Trim(string(out), "[]"), ",", " ")
}

// found lists where which secret came out.
func (m *marks) found() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []string
	for name, secret := range m.planted {
		for how, shape := range shapes(secret) {
			for where, text := range m.out {
				if i := strings.Index(text, shape); i >= 0 {
					all = append(all, where+" holds "+name+" "+how+": …"+text[max(0, i-80):i]+"[here]")
				}
			}
		}
	}
	return all
}

// none fails where a secret came out. It first tries itself: each secret in
// each shape has to be found where it is put on purpose.
func (m *marks) none() {
	m.t.Helper()
	probe := newMarks(m.t)
	for name, secret := range m.planted {
		probe.planted = map[string]string{name: secret}
		for how, shape := range shapes(secret) {
			probe.out = map[string]string{"probe": "x " + shape + " y"}
			if len(probe.found()) == 0 {
				m.t.Errorf("%s %s would not be found", name, how)
			}
		}
	}
	if len(m.out) == 0 || len(m.planted) == 0 {
		m.t.Error("nothing was looked at")
	}
	for _, f := range m.found() {
		m.t.Error(f)
	}
}
