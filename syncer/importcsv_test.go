package syncer

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

const (
	idA = "001000000000001AAA"
	idB = "001000000000002AAA"
	// What a spreadsheet's lower-casing does to 001D000000IqhSLIAZ.
	idLowered = "001d000000iqhsliaz"
)

// render writes what a file asks for as lines that a table can hold.
func render(t testing.TB, name, text string, force bool) []string {
	t.Helper()
	lines, err := fileLines(name, []byte(text), force)
	if err != nil {
		return []string{"file: " + err.Error()}
	}
	var out []string
	for l := range lines {
		switch {
		case l.Err != nil:
			out = append(out, fmt.Sprintf("%d: %v", l.Number, l.Err))
		case l.Skip:
			out = append(out, fmt.Sprintf("%d skipped", l.Number))
		default:
			s := fmt.Sprintf("%d %s %s", l.Number, l.Filing.Customer, l.Filing.Account)
			if l.Filing.Force {
				s += " force"
			}
			if l.Filing.OnlyFrom != "" {
				s += " from " + string(l.Filing.OnlyFrom)
			}
			out = append(out, s)
		}
	}
	return out
}

type fileCase struct {
	name string
	text string
	want []string
}

func check(t *testing.T, file string, force bool, cases []fileCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := render(t, file, c.text, force); !slices.Equal(got, c.want) {
				t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(c.want, "\n  "))
			}
		})
	}
}

func TestCSVLines(t *testing.T) {
	const head = "fusebillId,salesforceId\n"
	const forced = "fusebillId,salesforceId,forceLatch\n"
	check(t, "a.csv", false, []fileCase{
		{"plain", head + "1," + idA + "\n2,001000000000002\n", []string{"2 1 " + idA, "3 2 " + idB}},
		{"any order, any case, blanks", " SALESFORCEID , Note, fuseBILLid \n " + idA + " ,x, 7 \n", []string{"2 7 " + idA}},
		{"force in any case", forced + "1," + idA + ",TRUE\n2," + idA + ",False\n3," + idA + ",\n", []string{"2 1 " + idA + " force", "3 2 " + idA, "4 3 " + idA}},
		{"force that is neither", forced + "1," + idA + ",yes\n", []string{`2: forceLatch: "yes" is neither true nor false`}},
		{"semicolon", "fusebillId;salesforceId\n1;" + idA + "\n", []string{"2 1 " + idA}},
		{"tab", "fusebillId\tsalesforceId\tNote\n1\t" + idA + "\ta, b; c\n", []string{"2 1 " + idA}},
		{"byte-order mark", "\xef\xbb\xbf" + head + "1," + idA + "\n", []string{"2 1 " + idA}},
		{"CRLF", "fusebillId,salesforceId\r\n1," + idA + "\r\n\r\n2," + idB + "\r\n", []string{"2 1 " + idA, "4 2 " + idB}},
		{"lone CR", "fusebillId,salesforceId\r1," + idA + "\r2," + idB + "\r", []string{"2 1 " + idA, "3 2 " + idB}},
		{"quotes", "\"fusebillId\",\"salesforceId\",\"Note\"\n\"1\",\"" + idA + "\",\"he said \"\"so\"\", twice\"\n", []string{"2 1 " + idA}},
		{"Latin-1 in a column that is not read", "fusebillId,salesforceId,Name\n1," + idA + ",Caf\xe9\n", []string{"2 1 " + idA}},
		{"blank lines, and rows of nothing but separators", "\n  \n" + head + "\n1," + idA + "\n,\n\"\",\n \n2," + idB + "\n,\n", []string{"5 1 " + idA, "9 2 " + idB}},
		{"header only", head, nil},
		{
			"too few, too many fields", head + "1\n1," + idA + ",true\n2," + idB + "\n",
			[]string{
				"2: it has 1 field, the header has 2 (a separator inside a value needs quotes around the value)",
				"3: it has 3 fields, the header has 2 (a separator inside a value needs quotes around the value)",
				"4 2 " + idB,
			},
		},
		{
			"unterminated last line", head + "1," + idA + "\n123," + idA,
			[]string{"2 1 " + idA, "3: the file may have been cut off here: end it with a newline"},
		},
		{
			"damage by a spreadsheet", head + "1.23E+06," + idA + "\n5," + idLowered + "\n6,\n,\n,001\n",
			[]string{
				`2: fusebillId: "1.23E+06" is no customer id: digits only, such as 93132; a spreadsheet shows long numbers so: format the column as text, or as a number without decimals`,
				`3: salesforceId: "` + idLowered + `" is no Salesforce Account id: its last three characters do not fit the others, so its upper and lower case was changed or a character is wrong; by its last three characters it was 001D000000IqhSLIAZ`,
				`4: salesforceId: "" is no Salesforce Account id: it is empty`,
				`6: fusebillId: the customer id is empty`,
			},
		},
		{
			"ids that are none", head + "0," + idA + "\n-1," + idA + "\n99999999999999999999," + idA + "\n1,003000000000001AAA\n1,00100000000000\n",
			[]string{
				`2: fusebillId: "0" is no customer id: they begin at 1`,
				`3: fusebillId: "-1" is no customer id: digits only, such as 93132`,
				`4: fusebillId: "99999999999999999999" is no customer id: it is larger than any that Stax Bill gives`,
				`5: salesforceId: "003000000000001AAA" is no Salesforce Account id: an Account id begins with 001`,
				`6: salesforceId: "00100000000000" is no Salesforce Account id: it has 14 characters, not 15 or 18`,
			},
		},
		{"a line too long", head + "1," + strings.Repeat("x", maxLine) + "\n2," + idB + "\n", []string{"2: it is longer than 65536 bytes", "3 2 " + idB}},
	})
}

func TestCSVBrokenQuotes(t *testing.T) {
	const head = "fusebillId,salesforceId,Note\n"
	const notClosed = "a quote on it has no partner: close it, or write a quote inside a value as two, within quotes"
	closedOn := func(n int) string {
		return fmt.Sprintf("a quote on it has its partner only on line %d, which cannot be meant: close it, or write a quote inside a value as two, within quotes", n)
	}
	check(t, "a.csv", false, []fileCase{
		{
			"a record counts from its first line", head + "1," + idA + ",\"two\r\nlines\"\n2," + idB + ",\"\"\n",
			[]string{"2 1 " + idA, "4 2 " + idB},
		},
		{
			"in the middle of a value", head + "1," + idA + ",5\" disk \"\n2," + idB + ",\n",
			[]string{"2: a quote stands in the middle of a value: put the value within quotes and write the quote inside as two", "3 2 " + idB},
		},
		{
			"text after a closing quote", head + "1,\"" + idA + "\"x,\n2," + idB + ",\n",
			[]string{"2: a closing quote is followed by more text: write a quote inside a value as two", "3 2 " + idB},
		},
		{
			"never closed", head + "1," + idA + ",\"x\n2," + idB + ",\n3," + idA + ",\n",
			[]string{"2: " + notClosed, "3 2 " + idB, "4 3 " + idA},
		},
		{
			"closed by a later broken quote", head + "1,\"" + idA + ",\n2," + idB + ",\n3,\"" + idA + ",\n4," + idB + ",\n",
			[]string{"2: " + closedOn(4), "3 2 " + idB, "4: " + notClosed, "5 4 " + idB},
		},
		{
			"a note that takes in records", head + "1," + idA + ",\"x\n2," + idB + ",\n3," + idA + ",\"\n4," + idB + ",\n",
			[]string{"2: " + closedOn(4), "3 2 " + idB, "4: " + notClosed, "5 4 " + idB},
		},
		{
			"an id over two lines", head + "1,\"001000000\n000001AAA\",x\n2," + idB + ",\n",
			[]string{
				"2: " + closedOn(3),
				"3: " + notClosed,
				"4 2 " + idB,
			},
		},
		{
			"closed too far away", head + "1," + idA + ",\"x\n" + strings.Repeat("2,"+idB+",y\n", 3) + strings.Repeat("\n", maxLine) + "3," + idA + ",\"\n",
			[]string{"2: " + notClosed, "3 2 " + idB, "4 2 " + idB, "5 2 " + idB, fmt.Sprintf("%d: %s", 6+maxLine, notClosed)},
		},
		{"in the header", "fusebillId,\"salesforceId\n1," + idA + "\n", []string{"file: its header (line 1) cannot be read: a quote is opened and not closed"}},
		{"in the header, even", "fusebillId,sales\"force\"Id\n1," + idA + "\n", []string{"file: its header (line 1) cannot be read: its quotes are broken"}},
		{"a header over two lines", "fusebillId,\"Company\nName\",salesforceId\n1,x," + idA + "\n", []string{"3 1 " + idA}},
	})
}

func TestCSVRefusedFiles(t *testing.T) {
	refused := func(s string) []string { return []string{"file: " + s} }
	misspelt := func(column, known string) []string {
		return refused("the column \"" + column + "\" is not known, it may be meant as " + known + ": rename it, or give it a name that cannot be confused")
	}
	check(t, "a.csv", false, []fileCase{
		{"empty", "", refused("it is empty: begin it with the line fusebillId,salesforceId")},
		{"blank", "\n \n,,\n", refused("it is empty: begin it with the line fusebillId,salesforceId")},
		{"no header", "1," + idA + "\n", refused("it has no header: line 1 is data already; begin it with the line fusebillId,salesforceId")},
		{"no header, semicolons", "\n" + idA + ";1\n", refused("it has no header: line 2 is data already; begin it with the line fusebillId,salesforceId")},
		{"missing column", "fusebillId,Name\n", refused(`its columns are "fusebillId", "Name"; it needs fusebillId and salesforceId`)},
		{"other columns", "a|b\n", refused(`its columns are "a|b"; it needs fusebillId and salesforceId`)},
		{"double column", "fusebillId,salesforceId,FUSEBILLID\n", refused("the column fusebillId is there twice, as columns 1 and 3: remove one")},
		{"double force", "forceLatch,fusebillId,salesforceId,forcelatch\n", refused("the column forceLatch is there twice, as columns 1 and 4: remove one")},
		{"misspelt force", "fusebillId,salesforceId,forcelach\n", misspelt("forcelach", "forceLatch")},
		{"force by another name", "fusebillId,salesforceId,Force\n", misspelt("Force", "forceLatch")},
		{"force in words", "fusebillId,salesforceId,force_latch\n", misspelt("force_latch", "forceLatch")},
		{"misspelt id", "fusebillId,salesforceld\n", misspelt("salesforceld", "salesforceId")},
		{"an id in words", "Fusebill ID,salesforceId\n", misspelt("Fusebill ID", "fusebillId")},
		{"misspelt target", "fusebillId,salesforceId,TargetSalesforce_ID\n", misspelt("TargetSalesforce_ID", "TargetSalesforceID")},
		{"cut off in the header", "fusebillId,salesforceId", refused("it ends within its header, so it may have been cut off: end it with a newline")},
		{"a header too long", strings.Repeat("x", maxLine+1) + "\n", refused("its header (line 1) is longer than 65536 bytes")},
		{"a spreadsheet", "PK\x03\x04rest", refused("it is a spreadsheet or another archive, not text: save it as CSV (UTF-8)")},
		{"compressed", "\x1f\x8brest", refused("it is compressed: unpack it first")},
		{"zero bytes", "f\x00u\x00", refused("it holds zero bytes, so it is no text or is UTF-16 without a byte-order mark: save it as CSV (UTF-8)")},
		{"half a character", "\xff\xfef\x00u", refused("it is UTF-16 with half a character at its end, so it was cut off: write it again, as CSV (UTF-8)")},
		{"a JSON array", "[{}]", refused("it is a JSON array: write one object on each line, without brackets and commas around them")},
	})
}

func TestFileTooLarge(t *testing.T) {
	if _, err := fileLines("a.csv", make([]byte, maxFile+1), false); err == nil || err.Error() != "it is larger than 64 MiB: split it into smaller files, each with the header" {
		t.Errorf("got %v", err)
	}
}

func TestCSVForceOption(t *testing.T) {
	check(t, "a.csv", true, []fileCase{
		{"without the column", "fusebillId,salesforceId\n1," + idA + "\n", []string{"2 1 " + idA + " force"}},
		{"the file's own word", "fusebillId,salesforceId,forceLatch\n1," + idA + ",\n", []string{"2 1 " + idA}},
	})
}

func TestUTF16(t *testing.T) {
	const text = "fusebillId\tsalesforceId\tName\r\n1\t" + idA + "\tČeské 😀 dráhy\r\n"
	for name, order := range map[string]binary.AppendByteOrder{"little": binary.LittleEndian, "big": binary.BigEndian} {
		t.Run(name, func(t *testing.T) {
			body := order.AppendUint16(nil, 0xfeff)
			for _, u := range utf16.Encode([]rune(text)) {
				body = order.AppendUint16(body, u)
			}
			plain, err := plainText(body)
			if err != nil || string(plain) != text {
				t.Fatalf("got %q, %v", plain, err)
			}
			if got, want := render(t, "a.txt", string(body), false), []string{"2 1 " + idA}; !slices.Equal(got, want) {
				t.Errorf("got %q", got)
			}
		})
	}
	if got, err := plainText([]byte("\xff\xfe\x00\xd8a\x00\x00\xdc")); err != nil || string(got) != "\ufffda\ufffd" {
		t.Errorf("lone surrogates: %q, %v", got, err)
	}
}

func TestShown(t *testing.T) {
	if got := shown("a\nb\x1b[1m\xff"); got != "a?b?[1m?" {
		t.Errorf("got %q", got)
	}
	if got := shown(strings.Repeat("ö", 60)); got != strings.Repeat("ö", 50)+"…" {
		t.Errorf("got %q", got)
	}
}

// A line of a CSV either asks for something that the rules can work with or
// says why not; lines come in order, each at most once.
func FuzzCSV(f *testing.F) {
	for _, seed := range []string{
		"fusebillId,salesforceId,forceLatch\n1," + idA + ",true\n",
		"fusebillId;salesforceId;x\r\n\"1\";" + idA + ";\"a\nb\"\r\n2;\"" + idB + "\n",
		"Fusebill ID\tSalesforceID\tTargetSalesforceID\r1\t" + idA + "\t" + idB + "\r",
		"\xff\xfef\x00", "\"\n\"", "[", "1," + idA, "fusebillId,salesforceId\n\"\"\"\n\"\"\"\n",
	} {
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, text string, force bool) {
		fuzzLines(t, "x.csv", text, force)
	})
}
