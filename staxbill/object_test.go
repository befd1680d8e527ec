package staxbill

import (
	"encoding/base64"
	"testing"
	"testing/synctest"
)

// TestCustomerObject: the object is passed on as it came, and never where the
// key stands in it.
func TestCustomerObject(t *testing.T) {
	plain, err := base64.StdEncoding.DecodeString(plantedKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, body, want string
		status           int
		fails            bool
	}{
		{"whole", ` {"id":7, "salesforceId":null,"a":[1.10]} `, `{"id":7, "salesforceId":null,"a":[1.10]}`, 200, false},
		{"none", `{"ErrorId":0,"HttpStatusCode":404,"Errors":[]}`, "", 404, false},
		{"another's", `{"id":8,"salesforceId":null}`, "", 200, true},
		{"holds the key", `{"id":7,"salesforceId":null,"note":"` + plantedKey + `"}`, "", 200, false},
		{"holds a piece of the key", `{"id":7,"salesforceId":null,"note":"` + plantedKey[:16] + `"}`, "", 200, false},
		{"an array", `[]`, "", 200, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, _ := newClient(t, Options{Transport: inProcess(answerWith(tc.status, jsonType, tc.body))})
				got, err := c.CustomerObject(t.Context(), 7)
				if string(got) != tc.want || (err != nil) != tc.fails {
					t.Errorf("%q %v", got, err)
				}
			})
		})
	}
	c, _ := newClient(t, Options{})
	for body, want := range map[string]string{"null": "", "": "", "[]": "", `{"a":`: "", `{"a":1}`: `{"a":1}`, `{"a":"` + string(plain) + plantedKey + `"}`: ""} {
		if got := c.Shareable([]byte(body)); string(got) != want {
			t.Errorf("%q is passed on as %q", body, got)
		}
	}
}
