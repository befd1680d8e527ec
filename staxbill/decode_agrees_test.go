package staxbill

import (
	"encoding/json"
	"testing"

	"latchd/latch"
)

// FuzzDecodingAgrees holds the reader of customers against encoding/json: what
// that takes for an array of objects is read as the same customers, and what it
// takes for no JSON is refused.
func FuzzDecodingAgrees(f *testing.F) {
	for _, seed := range []string{
		`[{"id":7,"salesforceId":null}]`, `[{"ID":"7","SALESFORCEID":" 0014100000JJ3wt "}]`, `[{"i\u0064":7,"salesforceId":"a\tb"}]`,
		`[{"id":7,"salesforceId":"0014100000JJ3wtAAD","x":{"id":8,"salesforceId":"1"},"y":[{"id":9}]},{"id":8,"salesforceId":12}]`,
		`[{"id":7,"id":8,"salesforceId":null,"salesforceId":"x"}]`, `[null]`, `[{}]`, `[[]]`, `[{"id":7,"salesforceId":null},]`, `[{"id":7 "salesforceId":null}]`,
		`[{"id":7,"salesforceId":null}] x`, `[{"id":7,"salesforceId":null}`, `[{"id":92233720368547758070,"salesforceId":null}]`, `[{"id":007,"salesforceId":""}]`, `[]`, `[1]`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		a := &answer{body: []byte(body)}
		got, err := manyCustomers(a)
		var want []struct {
			ID      json.RawMessage `json:"id"`
			Account json.RawMessage `json:"salesforceId"`
		}
		werr := json.Unmarshal(trim(a.body), &want)
		if err != nil {
			return // more is refused than JSON alone would be
		}
		if werr != nil || len(want) != len(got) {
			t.Fatalf("%q was read as %+v; encoding/json reads %+v, %v", body, got, want, werr)
		}
		for i, w := range want {
			id, ierr := scalar(w.ID)
			account, aerr := scalar(w.Account)
			if ierr != nil || aerr != nil || w.Account == nil {
				t.Fatalf("%q was read as %+v; encoding/json reads %+v", body, got, want)
			}
			parsed, perr := latch.ParseCustomerID(id)
			if perr != nil || parsed != got[i].Customer || latch.ObservedAccountID(account) != got[i].Account {
				t.Errorf("%q was read as %+v; encoding/json reads %s %s", body, got[i], id, account)
			}
		}
	})
}

// FuzzCustomerTime holds the quick reader of timestamps against time.Parse.
func FuzzCustomerTime(f *testing.F) {
	for _, seed := range []string{
		"2023-04-13T17:41:39.7648223Z", "2023-03-22T19:21:24.857", "2019-11-06T14:19:01", "2019-11-06", "2019-02-29T00:00:00", "2019-11-06T24:00:00",
		"2019-11-06T14:19:01+02:00", "2019-11-06T14:19:60", "2019-11-06T14:19:01.", "2019-11-06T14:19:01.1234567890Z", "0000-00-00T00:00:00", "last week", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want, _ := parseTime(text, customerLayouts)
		if got := customerTime([]byte(text)); !got.Equal(want) {
			t.Errorf("%q was read as %s, time.Parse reads %s", text, got, want)
		}
	})
}
