package staxbill

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"latchd/latch"
)

const routing404 = `{"Message":"No HTTP resource was found that matches the request URI 'https://stax.test/customers/7'.","MessageDetail":"No type was found that matches the controller named 'customers'."}`

func TestCustomer404(t *testing.T) {
	for _, tc := range []struct {
		name, typ, body string
		kind            Kind // 0 = no such customer
	}{
		{"documented", jsonType, `{"ErrorId":0,"HttpStatusCode":404,"Errors":[{"Key":"Api Error","Value":"Customer 7 was not found."}]}`, 0},
		{"without errors", jsonType, `{"ErrorId":12,"HttpStatusCode":404}`, 0},
		{"message", jsonType, `{"Message":"Customer 7 was not found."}`, 0},
		{"routing", jsonType, routing404, KindNotFound},
		{"routing, short", jsonType, `{"Message":"No HTTP resource was found that matches the request URI '/x'."}`, KindNotFound},
		{"empty", "", ``, KindNotFound},
		{"empty object", jsonType, `{}`, KindNotFound},
		{"array", jsonType, `[]`, KindNotFound},
		{"truncated", jsonType, `{"ErrorId":0,"HttpSta`, KindNotFound},
		{"html", "text/html", `<html>404</html>`, KindMalformed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, _ := newClient(t, Options{Transport: inProcess(answerWith(404, tc.typ, tc.body))})
				r, err := c.Customer(t.Context(), 7)
				if tc.kind == 0 {
					if want := (latch.CustomerReading{Customer: 7, At: time.Now()}); err != nil || r != want {
						t.Errorf("got %+v, %v", r, err)
					}
					return
				}
				if e := asError(t, err); e.Kind != tc.kind || e.Status != 404 {
					t.Errorf("got %v: %v", e.Kind, e)
				}
			})
		})
	}
}

func TestCustomerDecoding(t *testing.T) {
	created := time.Date(2023, 3, 22, 19, 21, 24, 857_000_000, time.UTC)
	for body, want := range map[string]latch.CustomerReading{
		`{"id":7,"salesforceId":null,"createdTimestamp":"2023-03-22T19:21:24.857"}`:                                   {Created: created},
		`{"ID":"7","SALESFORCEID":"0014100000JJ3wt","CreatedTimestamp":"2023-03-22T19:21:24.857Z"}`:                   {Created: created, Account: accountA},
		`{"id":7,"salesforceId":"0014100000JJ3wtAAD","createdTimestamp":"2023-03-22T19:21:24.8570000Z"}`:              {Created: created, Account: accountA},
		`{"salesforceId":"  ","createdTimestamp":"last week","id":7,"reference":12,"companyName":5,"primaryPhone":6}`: {},
		`{"id":7,"salesforceId":12345}`:                                           {Account: "12345"},
		"\ufeff{\"id\":7,\"salesforceId\":\"\",\"customerReference\":{\"id\":9}}": {},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, _ := newClient(t, Options{Transport: inProcess(answerWith(200, jsonType, body))})
			want.Customer, want.Found, want.At = 7, true, time.Now()
			if r, err := c.Customer(t.Context(), 7); err != nil || r != want {
				t.Errorf("%s: got %+v, %v", body, r, err)
			}
		})
	}
	for _, body := range []string{
		``, `null`, `[]`, `7`, `"x"`, `{}`, `{"id":7}`, `{"salesforceId":null}`, `{"id":0,"salesforceId":null}`, `{"id":-7,"salesforceId":null}`,
		`{"id":7.5,"salesforceId":null}`, `{"id":8,"salesforceId":null}`, `{"id":7,"salesforceId":{}}`, `{"id":7,"salesforceId":true}`,
		`{"id":7,"salesforceId":null`, `{"id":null,"salesforceId":null}`, `{"id":99999999999999999999,"salesforceId":null}`, `<html>`,
	} {
		synctest.Test(t, func(t *testing.T) {
			c, _ := newClient(t, Options{Transport: inProcess(answerWith(200, jsonType, body))})
			_, err := c.Customer(t.Context(), 7)
			want := KindMalformed
			if body == `<html>` {
				want = KindTransient
			}
			if e := asError(t, err); e.Kind != want {
				t.Errorf("%s: got %v", body, e)
			}
		})
	}
}

// book answers for customers 1 to n, of which those divisible by 10 are missing.
type book struct {
	n    int
	sets string // honoured, ignored, 400, drops

	mu   sync.Mutex
	sent []string
}

func (b *book) has(id int) bool { return id >= 1 && id <= b.n && id%10 != 0 }

func (b *book) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	b.sent = append(b.sent, r.URL.RawQuery)
	b.mu.Unlock()
	object := func(id int) string { return fmt.Sprintf(`{"id":%d,"salesforceId":null}`, id) }
	if one, ok := strings.CutPrefix(r.URL.Path, "/v1/customers/"); ok {
		id, _ := strconv.Atoi(one)
		if !b.has(id) {
			w.WriteHeader(404)
			_, _ = fmt.Fprint(w, `{"ErrorId":0,"HttpStatusCode":404,"Errors":[]}`)
			return
		}
		_, _ = fmt.Fprint(w, object(id))
		return
	}
	var rows []string
	list, _ := strings.CutPrefix(r.URL.Query().Get("query"), "id:")
	switch b.sets {
	case "400":
		w.WriteHeader(400)
		_, _ = fmt.Fprint(w, `{"ErrorId":0,"HttpStatusCode":400,"Errors":[{"Key":"Api Error","Value":"bad filter"}]}`)
		return
	case "ignored":
		for id := 1; id <= b.n && len(rows) < 1000; id++ {
			if b.has(id) {
				rows = append(rows, object(id))
			}
		}
	default:
		for i, text := range strings.Split(list, ",") {
			if id, _ := strconv.Atoi(text); b.has(id) && (b.sets != "drops" || i == 0) {
				rows = append(rows, object(id))
			}
		}
	}
	_, _ = fmt.Fprint(w, "["+strings.Join(rows, ",")+"]")
}

func TestCustomersInSets(t *testing.T) {
	var ids []latch.CustomerID
	for id := 250; id >= 1; id-- {
		ids = append(ids, latch.CustomerID(id), latch.CustomerID(id))
	}
	for sets, want := range map[string]struct{ sets, ones, said int }{
		"honoured": {3, 25, 0},
		"ignored":  {3, 250, 1},
		"400":      {3, 250, 1},
		"drops":    {3, 247, 1},
	} {
		t.Run(sets, func(t *testing.T) {
			b := &book{n: 400, sets: sets}
			synctest.Test(t, func(t *testing.T) {
				c, logs := newClient(t, Options{Transport: inProcess(b.ServeHTTP)})
				got, err := c.Customers(t.Context(), ids)
				if err != nil || len(got) != 250 {
					t.Fatalf("%d readings, %v", len(got), err)
				}
				for id, r := range got {
					if r.Customer != id || r.Found != b.has(int(id)) {
						t.Errorf("%d: %+v", id, r)
					}
				}
				calls := c.Calls()
				if calls[opCustomers] > want.sets || calls[opCustomer] != want.ones {
					t.Errorf("calls: %v", calls)
				}
				if n := logs.FilterField(eventField(latch.EventSetsNotHonoured)).Len(); n != want.said {
					t.Errorf("said %d times", n)
				}
				if want.said == 1 {
					before := c.Calls()[opCustomers]
					if _, err := c.Customers(t.Context(), ids[:6]); err != nil || c.Calls()[opCustomers] != before {
						t.Errorf("sets were asked for again: %v, %v", err, c.Calls())
					}
				}
			})
			if sent := strings.Join(b.sent, "\n"); !strings.Contains(sent, "01,102,103,104") && !strings.Contains(sent, ":1,2,3,4") && !strings.Contains(sent, "01,202,203,204") {
				t.Error("the ids were not asked for in order, or encoded otherwise")
			}
		})
	}
}

func TestCustomersOfNothingMakesNoCall(t *testing.T) {
	c, _ := newClient(t, Options{Transport: roundTrip(nil)})
	if got, err := c.Customers(t.Context(), nil); err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestSetWithoutLinkIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newClient(t, Options{Transport: inProcess(answerWith(200, jsonType, `[{"id":1,"salesforceId":null},{"id":2}]`))})
		_, err := c.Customers(t.Context(), []latch.CustomerID{1, 2})
		if e := asError(t, err); e.Kind != KindMalformed || !strings.Contains(e.Error(), "absent is not null") {
			t.Errorf("got %v", e)
		}
	})
}
