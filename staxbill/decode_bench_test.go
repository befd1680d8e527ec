package staxbill

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"latchd/sandbox"
)

// realPage is a page of 1,000 customers as the sandbox serves it, every fourth
// of them latched.
func realPage(tb testing.TB) []byte {
	tb.Helper()
	box, err := sandbox.New(sandbox.Options{Accounts: 5000, Customers: 1000, Seed: 7})
	if err != nil {
		tb.Fatal(err)
	}
	req := httptest.NewRequestWithContext(tb.Context(), http.MethodGet, "http://127.0.0.1:1/v1/customers?pageSize=1000&pageNumber=0"+byID, nil)
	req.Header.Set("Authorization", "Basic "+box.APIKeys()[0].Key)
	rec := httptest.NewRecorder()
	box.Handler().ServeHTTP(rec, req)
	if rec.Code != http.StatusOK {
		tb.Fatalf("the sandbox answered %d: %.200s", rec.Code, rec.Body.String())
	}
	return rec.Body.Bytes()
}

// BenchmarkDecodePage reads a page of 1,000 customers of 60 fields.
func BenchmarkDecodePage(b *testing.B) {
	a := &answer{body: realPage(b), asked: time.Now()}
	page, err := manyCustomers(a)
	if err != nil || len(page) != 1000 {
		b.Fatalf("%d customers, %v", len(page), err)
	}
	b.SetBytes(int64(len(a.body)))
	b.ReportAllocs()
	for b.Loop() {
		if page, err = appendCustomers(page[:0], a); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "rows/s")
}

// TestSkippedFieldsCostNothing holds that a page costs a bounded number of
// allocations for each latched customer, whatever fields the customers have.
func TestSkippedFieldsCostNothing(t *testing.T) {
	var rows []string
	for id := 1; id <= 1000; id++ {
		rows = append(rows, fmt.Sprintf(`{"salesforceId":null,"id":%d,"createdTimestamp":"2023-03-22T19:21:24.857","modifiedTimestamp":"2023-04-13T17:41:39.7648223Z","customerReference":{"salesTrackingCodes":[1,"two",{"x":[null]}],"id":9},"companyName":"a \"quoted\" name","monthlyRecurringRevenue":12.5}`, id))
	}
	a := &answer{body: []byte("[" + strings.Join(rows, ",") + "]")}
	page, err := manyCustomers(a)
	if err != nil || len(page) != 1000 {
		t.Fatalf("%d customers, %v", len(page), err)
	}
	made := testing.AllocsPerRun(10, func() { page, _ = appendCustomers(page[:0], a) })
	if made > 20 {
		t.Errorf("%.0f allocations for 1,000 customers that are not latched", made)
	}
}
