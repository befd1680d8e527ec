package server

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"latchd/latch"
)

func TestLatchBody(t *testing.T) {
	const id = "0014100000JJ3wt"
	for _, c := range []struct {
		body string
		want latchAsk
		err  string
	}{
		{`{"fusebillId":93132,"salesforceId":"` + id + `"}`, latchAsk{93132, id, false}, ""},
		{`{fusebillId:93132,salesforceId:'` + id + `'}`, latchAsk{93132, id, false}, ""},                     // the curl sample
		{`{fusebillId:93132,salesforceID:'` + id + `','forceLatch': true}`, latchAsk{93132, id, true}, ""},   // the C# sample
		{"\xef\xbb\xbf {\"FUSEBILLID\":1,\"SalesForceId\":\"x\"}\n", latchAsk{1, "x", false}, ""},            // a byte-order mark
		{`{"fusebillId":"12","salesforceId":1,"forceLatch":null}`, latchAsk{12, "1", false}, ""},             // in quotes; digits that are no id
		{`{"fusebillId":1,"salesforceId":"x","forceLatch":"True"}`, latchAsk{1, "x", true}, ""},              // in quotes
		{`{fusebillId:9223372036854775807,salesforceId:'x',}`, latchAsk{1<<63 - 1, "x", false}, ""},          // the largest, and a comma
		{`{fusebillId:1,salesforceId:'x',note:[1,{a:2}],note:2}`, latchAsk{1, "x", false}, ""},               // unknown names
		{`{"fusebillId":1,"salesforceId":"x","force_latch":true,"force":true}`, latchAsk{1, "x", false}, ""}, // not the name
		{`{"fusebillId":1,"\u0066orceLatch":true,"salesforceId":"\u0078"}`, latchAsk{1, "x", true}, ""},      // escapes
		{`{"fusebillId":1,"fusebillId":1,"salesforceId":"x"}`, latchAsk{}, "twice"},
		{`{"fusebillId":1,"FusebillID":2,"salesforceId":"x"}`, latchAsk{}, "twice"},  // by case
		{`{fusebillId:1,"fuse\u0062illId":2,salesforceId:'x'}`, latchAsk{}, "twice"}, // by escape, relaxed
		{`{fusebillId:1,salesforceId:'x',salesforceID:'x'}`, latchAsk{}, "twice"},
		{`{fusebillId:1,salesforceId:'x',forceLatch:false,forceLatch:true}`, latchAsk{}, "twice"},
		{`{"fusebillId":1.0,"salesforceId":"x"}`, latchAsk{}, `"1.0"`},
		{`{"fusebillId":1e3,"salesforceId":"x"}`, latchAsk{}, `"1e3"`},
		{`{fusebillId:0x10,salesforceId:'x'}`, latchAsk{}, `"0x10"`},
		{`{fusebillId:+5,salesforceId:'x'}`, latchAsk{}, `"+5"`},
		{`{fusebillId:'007',salesforceId:'x'}`, latchAsk{}, `"007"`},
		{`{"fusebillId":-1,"salesforceId":"x"}`, latchAsk{}, "begin at 1"},
		{`{"fusebillId":0,"salesforceId":"x"}`, latchAsk{}, "begin at 1"},
		{`{"fusebillId":9223372036854775808,"salesforceId":"x"}`, latchAsk{}, "2^63-1"},
		{`{"fusebillId":true,"salesforceId":"x"}`, latchAsk{}, "no whole number"},
		{`{"fusebillId":{},"salesforceId":"x"}`, latchAsk{}, "no whole number"},
		{`{"salesforceId":"x"}`, latchAsk{}, "fusebillId field is required"},
		{`{"fusebillId":null,"salesforceId":"x"}`, latchAsk{}, "fusebillId field is required"},
		{`{"fusebillId":1}`, latchAsk{}, "salesforceId field is required"},
		{`{"fusebillId":1,"salesforceId":null}`, latchAsk{}, "salesforceId field is required"},
		{`{"fusebillId":1,"salesforceId":" "}`, latchAsk{}, "no call unlatches"},
		{`{"fusebillId":1,"salesforceId":["x"]}`, latchAsk{}, "is no text"},
		{`{"fusebillId":1,"salesforceId":true}`, latchAsk{}, "is no text"},
		{`{"fusebillId":1,"salesforceId":"x","forceLatch":1}`, latchAsk{}, "neither true nor false"},
		{`{"fusebillId":1,"salesforceId":"x"} {}`, latchAsk{}, "after top-level value"},
		{`{fusebillId:1,salesforceId:'x'} x`, latchAsk{}, "after top-level value"},
		{`{"fusebillId":1,"salesforceId":"x"`, latchAsk{}, "no JSON"},
		{`fusebillId=1&salesforceId=x`, latchAsk{}, "no JSON object"},
		{`[]`, latchAsk{}, "no JSON object"},
		{``, latchAsk{}, "no JSON object"},
		{`{fusebillId:1,a:` + strings.Repeat("[", 60_000) + `}`, latchAsk{}, "no JSON"},                                                          // deep
		{`{"fusebillId":1,"a":` + strings.Repeat("[", 60_000) + strings.Repeat("]", 60_000) + `}`, latchAsk{}, "salesforceId field is required"}, // deep
	} {
		got, err := parseLatchBody([]byte(c.body))
		switch {
		case c.err == "" && (err != nil || got != c.want):
			t.Errorf("%.90s: %+v %v, want %+v", c.body, got, err, c.want)
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%.90s: %+v %v, want %s", c.body, got, err, c.err)
		}
	}
}

// FuzzLatchBody: no body makes it panic, what it takes for an id is one, what
// strict JSON says is what it says, and its words are for one line.
func FuzzLatchBody(f *testing.F) {
	for _, seed := range []string{
		`{"fusebillId":93132,"salesforceId":"0014100000JJ3wt","forceLatch":true}`,
		`{fusebillId:93132,salesforceID:'0014100000JJ3wtAAD','forceLatch': true}`,
		`{fusebillId:1,"fuse\u0062illId":2}`, `// x
{fusebillId:/**/1,salesforceId:"\x41",}`, `{fusebillId:+0x1,salesforceId:NaN}`, "{'fu\\\nsebillId':1}", "\xef\xbb\xbf{}", `{"fusebillId":1,"salesforceId":"\ud800"}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		got, err := parseLatchBody([]byte(body))
		if err != nil {
			if err.Error() == "" || len(err.Error()) > 10*maxMessage || !utf8.ValidString(oneLine(err.Error())) {
				t.Errorf("%q: %+v %v", body, got, err)
			}
			return
		}
		if got.customer <= 0 || strings.TrimSpace(got.account) == "" {
			t.Fatalf("%q was taken: %+v", body, got)
		}
		// A strict reader that knows the exact names alone may not see another
		// request.
		var exact map[string]json.RawMessage
		if json.Unmarshal([]byte(body), &exact) != nil {
			return
		}
		if raw, ok := exact["fusebillId"]; ok && string(raw) != got.customer.String() && string(raw) != `"`+got.customer.String()+`"` {
			var text string
			if json.Unmarshal(raw, &text) != nil || text != got.customer.String() {
				t.Errorf("%q: customer %s, a strict reader has %s", body, got.customer, raw)
			}
		}
		if raw, ok := exact["forceLatch"]; ok && got.force != strings.EqualFold(strings.Trim(string(raw), `"`), "true") {
			var text string
			if json.Unmarshal(raw, &text) != nil || got.force != strings.EqualFold(text, "true") {
				t.Errorf("%q: force %t, a strict reader has %s", body, got.force, raw)
			}
		}
		if _, err := latch.ParseCustomerID(got.customer.String()); err != nil {
			t.Error(err)
		}
	})
}
