package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestManPages: each command has a page, which says what --help says, and man
// finds nothing to complain about.
func TestManPages(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "on the way")
	var out, errs bytes.Buffer
	if code := run([]string{"man", dir}, strings.NewReader(""), &out, &errs); code != exitDone {
		t.Fatal(code, errs.String())
	}
	for page, says := range map[string]string{
		"latchd-history.1": "dismissed",
		"latchd.1":         "undo", "latchd-undo.1": "unlatch", "latchd-request-retry.1": "gave", "latchd-request-dismiss.1": "stands in the", "latchd-request-list.1": "for-person", "latchd-pause.1": "outlives a restart", "latchd-why.1": "plain words",
	} {
		data, err := os.ReadFile(filepath.Join(dir, page))
		if err != nil || !bytes.Contains(data, []byte(says)) {
			t.Errorf("%s lacks %q: %v", page, says, err)
		}
	}
	pages, err := filepath.Glob(filepath.Join(dir, "*.1"))
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%s: %d manual pages\n", dir, len(pages)); out.String() != want || len(pages) < 20 {
		t.Errorf("said %q, want %q", out.String(), want)
	}
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Skip("groff is not here, so the form of the pages is not looked at")
	}
	for _, page := range pages {
		if out, err := exec.Command(groff, "-Kutf8", "-man", "-Tutf8", "-ww", "-z", page).CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
			t.Errorf("%s: %v %s", page, err, out)
		}
	}
}

// TestCompletion: the scripts of the shells are there, and know the words that a
// flag takes.
func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		var out, errs bytes.Buffer
		if code := run([]string{"completion", shell}, strings.NewReader(""), &out, &errs); code != exitDone || !strings.Contains(out.String(), "latchd") || errs.Len() > 0 {
			t.Errorf("%s: %d %.80s %s", shell, code, out.String(), errs.String())
		}
	}
	for _, c := range []struct {
		words []string
		want  string
	}{
		{[]string{"request", "list", "--state", ""}, "waiting"},
		{[]string{"request", "retry", "--outcome", "no-"}, "no-account"},
		{[]string{"--output", ""}, "ndjson"},
		{[]string{"history", "--kind", "dis"}, "dismissed"},
		{[]string{"pa"}, "pause"},
	} {
		var out, errs bytes.Buffer
		run(append([]string{"__complete"}, c.words...), strings.NewReader(""), &out, &errs)
		if !strings.Contains(out.String(), c.want) || strings.Contains(out.String(), ":0\n") {
			t.Errorf("%v: %s%s", c.words, out.String(), errs.String())
		}
	}
}
