package sfclient

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"latchd/latch"
)

// readCSV reads a whole page, a few ids at a time.
func readCSV(in io.Reader) (all []latch.PackedAccountID, err error) {
	page := newIDCSV(make([]byte, 64))
	page.reset(in)
	ids := make([]latch.PackedAccountID, 3)
	for {
		n, err := page.read(ids)
		all = append(all, ids[:n]...)
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
	}
}

// someIDs gives n ids whose letters differ in case and place.
func someIDs(n int) []latch.AccountID {
	ids := make([]latch.AccountID, n)
	for i := range ids {
		text := fmt.Sprintf("001%012s", strings.ToUpper(fmt.Sprintf("%x", i*7919)))
		if i%2 == 1 {
			text = strings.ToLower(text)
		}
		ids[i] = latch.ObservedAccountID(strings.ReplaceAll(text, " ", "0"))
	}
	return ids
}

func pageOf(ids []latch.AccountID, header, quote, end, last string) string {
	var b strings.Builder
	b.WriteString(header)
	for i, id := range ids {
		b.WriteString(quote + string(id) + quote)
		if i < len(ids)-1 {
			b.WriteString(end)
		}
	}
	return b.String() + last
}

func TestBulkCSVForms(t *testing.T) {
	ids := someIDs(50)
	for _, header := range []string{"", "Id\n", "\"Id\"\r\n", "id\n"} {
		for _, quote := range []string{"", `"`} {
			for _, end := range []string{"\n", "\r\n"} {
				for _, last := range []string{"", end} {
					text := pageOf(ids, header, quote, end, last)
					for name, in := range map[string]io.Reader{
						"whole": strings.NewReader(text), "byte by byte": iotest.OneByteReader(strings.NewReader(text)),
						"the end with the last bytes": iotest.DataErrReader(strings.NewReader(text)),
					} {
						got, err := readCSV(in)
						if err != nil || len(got) != len(ids) {
							t.Fatalf("%q %q %q %q %s: %d ids, %v", header, quote, end, last, name, len(got), err)
						}
						for i, p := range got {
							if id, _ := p.AccountID(); id != ids[i] {
								t.Fatalf("%q %q %q: id %d is %s, want %s", header, quote, end, i, id, ids[i])
							}
						}
					}
				}
			}
		}
	}
	for _, empty := range []string{"", "Id\n", "\"Id\""} {
		if got, err := readCSV(strings.NewReader(empty)); err != nil || len(got) != 0 {
			t.Errorf("%q: %d ids, %v", empty, len(got), err)
		}
	}
}

func TestBulkCSVStrict(t *testing.T) {
	ids := someIDs(4)
	good := pageOf(ids, "Id\n", `"`, "\n", "\n")
	second := int64(len("Id\n") + 21)
	line := func(s string) string { return good[:second] + s + "\n" + good[second:] }
	for name, c := range map[string]struct {
		text string
		at   int64
	}{
		"an empty line":                {line(""), second},
		"a header in the middle":       {line("Id"), second},
		"a wrong checksum":             {line(`"` + string(ids[1][:17]) + `5"`), second},
		"another object's":             {line(`"003000000000001AAA"`), second},
		"15 characters":                {line(string(ids[1][:15])), second},
		"two columns":                  {line(`"` + string(ids[1]) + `",""`), second},
		"half a pair of quotes":        {line(`"` + string(ids[1])), second},
		"a CR without its LF":          {line(string(ids[1]) + "\r" + string(ids[2])), second},
		"a space":                      {line(" " + string(ids[1])), second},
		"a page of HTML":               {"<html><head><title>Down</title></head>\n", 0},
		"another column":               {"Name\n" + good, 0},
		"cut in an id":                 {good[:second+9], second},
		"cut behind an id, a CR there": {string(ids[0]) + "\r", 0},
	} {
		_, err := readCSV(strings.NewReader(c.text))
		var bad *errCSV
		if !errors.As(err, &bad) || bad.offset != c.at {
			t.Errorf("%s: %v, want an error at byte %d", name, err, c.at)
		}
	}
	broken := errors.New("broken")
	if _, err := readCSV(io.MultiReader(strings.NewReader(good[:second]), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("a connection that breaks gives %v", err)
	}
}

// FuzzBulkCSV holds the reader against encoding/csv: what it reads, that reads
// too, as the same ids; and where it gives no error, no line was left out.
func FuzzBulkCSV(f *testing.F) {
	ids := someIDs(5)
	for _, quote := range []string{"", `"`} {
		for _, end := range []string{"\n", "\r\n"} {
			f.Add([]byte(pageOf(ids, "Id"+end, quote, end, end)), uint8(7))
			f.Add([]byte(pageOf(ids, "", quote, end, "")), uint8(0))
		}
	}
	f.Add([]byte("Id\n\n"), uint8(1))
	f.Add([]byte("<html>"), uint8(1))
	f.Fuzz(func(t *testing.T, text []byte, cut uint8) {
		got, err := readCSV(bytes.NewReader(text))
		// Where the reads end makes no difference.
		at := min(int(cut), len(text))
		again, err2 := readCSV(io.MultiReader(bytes.NewReader(text[:at]), iotest.HalfReader(bytes.NewReader(text[at:]))))
		if len(got) != len(again) || (err == nil) != (err2 == nil) || err != nil && err.Error() != err2.Error() {
			t.Fatalf("%d ids and %v, in other pieces %d and %v", len(got), err, len(again), err2)
		}
		if err != nil {
			return
		}
		rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
		if err != nil {
			t.Fatalf("encoding/csv does not read it: %v", err)
		}
		if len(rows) > 0 && strings.EqualFold(rows[0][0], "Id") {
			rows = rows[1:]
		}
		if len(rows) != len(got) {
			t.Fatalf("%d ids of %d rows", len(got), len(rows))
		}
		for i, p := range got {
			if id, ok := p.AccountID(); !ok || rows[i][0] != string(id) {
				t.Fatalf("row %d: %q became %q", i, rows[i][0], id)
			}
		}
	})
}

func BenchmarkBulkCSV(b *testing.B) {
	const rows = 100_000
	for _, c := range []struct{ name, quote, end string }{{"quoted", `"`, "\n"}, {"bare", "", "\n"}, {"quoted-crlf", `"`, "\r\n"}} {
		text := []byte(pageOf(someIDs(rows), "Id"+c.end, c.quote, c.end, c.end))
		b.Run(c.name, func(b *testing.B) {
			page, ids, in := newIDCSV(make([]byte, csvBuffer)), make([]latch.PackedAccountID, 8192), bytes.NewReader(nil)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				in.Reset(text)
				page.reset(in)
				n := 0
				for {
					got, err := page.read(ids)
					n += got
					if err == io.EOF {
						break
					}
					if err != nil {
						b.Fatal(err)
					}
				}
				if n != rows {
					b.Fatal(n)
				}
			}
			b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
