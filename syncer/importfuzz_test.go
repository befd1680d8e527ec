package syncer

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode"

	"latchd/latch"
)

// FuzzHeader: a CSV header of any names in any order over one row. The header
// is refused in words that show no more than twenty names, or every column that
// says something has its meaning, whatever stands beside it.
func FuzzHeader(f *testing.F) {
	for _, names := range []string{
		"fusebillId,salesforceId", "SALESFORCEID;fusebillid;ForceLatch", "salesforceId\tx\tfusebillId", "fusebillId,fusebillId,salesforceId",
		"fusebill_id,salesforceId", "\"fusebillId\",\"salesforceId\"", "fusebillId,salesforceId,forceLatches", "Fusebill ID,SalesforceID,TargetSalesforceID",
		"1,0014100000JJ3wt", ",,,", "fusebillId,salesforceId,\"a\nb\"", strings.Repeat("x,", 100) + "fusebillId", "\ufefffusebillId,salesforceId", "a,b\x1b[31m",
	} {
		f.Add(names, "7,"+idA, true)
		f.Add(names, idA+";7;true", false)
	}
	f.Fuzz(func(t *testing.T, names, row string, force bool) {
		fuzzLines(t, "x.csv", names+"\n"+row+"\n", force)
	})
}

// FuzzSheet: the rows of Stax Bill's own sheet. A row that asks for something
// forces exactly where it names the account that it may take away, and --force
// changes nothing.
func FuzzSheet(f *testing.F) {
	for _, row := range []string{
		"7," + idA + "," + idB, "7,," + idB, "7," + idA + ",", "7," + idA + "," + idA, "7," + idA + ",clear", "x,y,z", "7,\"" + idA + "\"," + idB, ",,", "7",
	} {
		f.Add("Fusebill ID,SalesforceID,TargetSalesforceID", row)
		f.Add("Name,TargetSalesforceID,SalesforceID,stax bill id", "x,"+row)
	}
	f.Fuzz(func(t *testing.T, names, row string) {
		text := names + "\n" + row + "\n"
		fuzzLines(t, "x.csv", text, false)
		if !strings.HasPrefix(names, "Fusebill ID,SalesforceID,TargetSalesforceID") || strings.ContainsAny(names, "\"\r\n;\t") {
			return // not surely a sheet
		}
		if plain, forced := readAs(text, false), readAs(text, true); plain != forced {
			t.Fatalf("%q asks for\n%s\nand with --force for\n%s", text, plain, forced)
		}
		if lines, err := fileLines("x.csv", []byte(text), false); err == nil {
			for l := range lines {
				if l.Err == nil && !l.Skip && l.Filing.Force != (l.Filing.OnlyFrom != "") {
					t.Fatalf("%q asks for %+v", text, l.Filing)
				}
			}
		}
	})
}

// fuzzLines holds what every file promises: lines come in order, each at most
// once; one that asks for something can be worked with by the rules and reads as
// the same from a file that latchd would write of it; one that is refused says
// why in a short line.
func fuzzLines(t *testing.T, name, text string, force bool) {
	lines, err := fileLines(name, []byte(text), force)
	if err != nil {
		var refused *FileRefusedError
		if !errors.As(err, &refused) {
			t.Fatalf("%T: %v", err, err)
		}
		short(t, refused.Reason, 4000) // twenty names of a hundred bytes and their quotes
		return
	}
	last, physical := 0, 1+strings.Count(text, "\n")+strings.Count(text, "\r")
	if strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") {
		physical = len(text)
	}
	for l := range lines {
		if l.Number <= last || l.Number > physical {
			t.Fatalf("line %d after line %d of %d", l.Number, last, physical)
		}
		last = l.Number
		switch f := l.Filing; {
		case l.Err != nil:
			short(t, l.Err.Error(), 1000)
		case l.Skip:
		case f.Customer <= 0 || !f.Account.Valid() || f.OnlyFrom != "" && (!f.OnlyFrom.Valid() || !f.Force || f.OnlyFrom == f.Account):
			t.Fatalf("line %d asks for %+v", l.Number, f)
		case f.OnlyFrom == "":
			readsAgain(t, f)
		}
	}
}

func short(t *testing.T, s string, most int) {
	t.Helper()
	if s == "" || len(s) > most || strings.ContainsFunc(s, unicode.IsControl) {
		t.Fatalf("not one short line: %q", s)
	}
}

// readsAgain writes what a line asks for in both forms, and reads it.
func readsAgain(t *testing.T, f latch.Filing) {
	t.Helper()
	for name, text := range map[string]string{
		"x.csv":    fmt.Sprintf("salesforceId,forceLatch,fusebillId\n%s,%t,%s\n", f.Account, f.Force, f.Customer),
		"x.ndjson": fmt.Sprintf(`{"forceLatch":%t,"fusebillId":%s,"salesforceId":%q}`, f.Force, f.Customer, f.Account.Short()),
	} {
		lines, err := fileLines(name, []byte(text), false)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		n := 0
		for l := range lines {
			if n++; l.Err != nil || l.Skip || l.Filing != f {
				t.Fatalf("%s reads as %+v, want %+v", text, l, f)
			}
		}
		if n != 1 {
			t.Fatalf("%s reads as %d lines", text, n)
		}
	}
}

// readAs gives all that a text asks for, as a text.
func readAs(text string, force bool) string {
	lines, err := fileLines("x.csv", []byte(text), force)
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for l := range lines {
		fmt.Fprintln(&b, l.Number, l.Filing, l.Skip, l.Err)
	}
	return b.String()
}
