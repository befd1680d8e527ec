package syncer

import (
	"strings"
	"testing"
)

func TestNDJSONLines(t *testing.T) {
	object := func(s string) string { return `{"fusebillId":1,"salesforceId":"` + idA + `"` + s + "}\n" }
	check(t, "a.txt", false, []fileCase{
		{"plain", object("") + `{"salesforceId":"001000000000002","fusebillId":"2","forceLatch":true}`, []string{"1 1 " + idA, "2 2 " + idB + " force"}},
		{"any case, blanks, CRLF, a mark", "\xef\xbb\xbf\r\n  { \"FUSEBILLID\" : \" 7 \", \"SalesforceID\" : \" " + idA + " \" }  \r\n\r\n" + object(""), []string{"2 7 " + idA, "4 1 " + idA}},
		{"null is absent", object(`,"forceLatch":null`) + `{"fusebillId":null,"salesforceId":"` + idA + `"}` + "\n" + `{"fusebillId":1,"salesforceId":null}`, []string{"1 1 " + idA, "2: fusebillId is missing", "3: salesforceId is missing"}},
		{"false", object(`,"forceLatch":false`), []string{"1 1 " + idA}},
		{"force as text", object(`,"forceLatch":"true"`), []string{`1: forceLatch: "true" is neither true nor false`}},
		{"force as a number", object(`,"forceLatch":1`), []string{`1: forceLatch: 1 is neither true nor false`}},
		{"double name", object(`,"fusebillId":1`), []string{`1: the name "fusebillId" is there twice`}},
		{"double name in another case", object(`,"FusebillID":1`), []string{`1: the name fusebillId is there twice`}},
		{"double name by an escape", object(`,"\u0066usebillId":1`), []string{`1: the name "fusebillId" is there twice`}},
		{"unknown name", object(`,"note":"x"`), []string{`1: the name "note" is not known: a line has fusebillId, salesforceId, forceLatch`}},
		{"misspelt name", object(`,"forceLach":true`), []string{`1: the name "forceLach" is not known: it may be meant as forceLatch`}},
		{"fraction", `{"fusebillId":1.0,"salesforceId":"` + idA + `"}`, []string{`1: fusebillId: "1.0" is no customer id: digits only, such as 93132`}},
		{"exponent", `{"fusebillId":1e5,"salesforceId":"` + idA + `"}`, []string{`1: fusebillId: "1e5" is no customer id: digits only, such as 93132; a spreadsheet shows long numbers so: format the column as text, or as a number without decimals`}},
		{"negative", `{"fusebillId":-1,"salesforceId":"` + idA + `"}`, []string{`1: fusebillId: "-1" is no customer id: digits only, such as 93132`}},
		{"nothing", `{"fusebillId":0,"salesforceId":"` + idA + `"}`, []string{`1: fusebillId: "0" is no customer id: they begin at 1`}},
		{"an object as customer", `{"fusebillId":{"a":1},"salesforceId":"` + idA + `"}`, []string{`1: fusebillId: {"a":1} is no text`}},
		{"a number as account", `{"fusebillId":1,"salesforceId":5}`, []string{`1: salesforceId: 5 is no text`}},
		{"lowered account", `{"fusebillId":1,"salesforceId":"` + idLowered + `"}`, []string{
			`1: salesforceId: "` + idLowered + `" is no Salesforce Account id: its last three characters do not fit the others, so its upper and lower case was changed or a character is wrong; by its last three characters it was 001D000000IqhSLIAZ`,
		}},
		{"an empty object", "{}", []string{"1: fusebillId is missing"}},
		{"cut off", object("") + `{"fusebillId":12`, []string{"1 1 " + idA, "2: it ends in the middle of the object"}},
		{"cut off in a name", object("") + `{"fuse`, []string{"1 1 " + idA, "2: it ends in the middle of the object"}},
		{"two on a line", strings.TrimSpace(object("")) + object(""), []string{"1: more follows after the object: one object on each line"}},
		{"a comma after it", strings.TrimSpace(object("")) + ",\n", []string{"1: more follows after the object: one object on each line"}},
		{"an array later", object("") + "[1]\n", []string{"1 1 " + idA, `2: it is no JSON object: write {"fusebillId": 93132, "salesforceId": "001…"}, one on each line`}},
		{"relaxed JSON", "{fusebillId:1}\n", []string{"1: it is no JSON object: invalid character 'u' in literal false (expecting 'a'), at byte 3 of the line"}},
		{"a line too long", object("") + `{"fusebillId":"` + strings.Repeat("1", maxLine) + "\"}\n" + object(""), []string{"1 1 " + idA, "2: it is longer than 65536 bytes", "3 1 " + idA}},
	})
}

func TestNDJSONByName(t *testing.T) {
	check(t, "a.JSONL", false, []fileCase{
		{"empty", "", nil},
		{"a CSV by mistake", "fusebillId,salesforceId\n", []string{`1: it is no JSON object: write {"fusebillId": 93132, "salesforceId": "001…"}, one on each line`}},
	})
}

func TestNDJSONForceOption(t *testing.T) {
	const a = `{"fusebillId":1,"salesforceId":"` + idA + `"}` + "\n"
	check(t, "a.ndjson", true, []fileCase{
		{"without the name", a, []string{"1 1 " + idA + " force"}},
		{"the file's own word", a + `{"fusebillId":2,"salesforceId":"` + idA + `","FORCELATCH":true}`, []string{"1 1 " + idA, "2 2 " + idA + " force"}},
	})
}

func FuzzNDJSON(f *testing.F) {
	for _, seed := range []string{
		`{"fusebillId":1,"salesforceId":"` + idA + `","forceLatch":true}`, "{", "{}\n{}", `{"a":[[[`, `{"fusebillId":1e999}`, "\xef\xbb\xbf{\"\\ud800\":1}",
	} {
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, text string, force bool) {
		fuzzLines(t, "x.ndjson", text, force)
	})
}
