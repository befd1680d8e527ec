package staxbill_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/staxbill"
)

// box is a sandbox without a network, and a client of it.
type box struct {
	*sandbox.Sandbox
	*staxbill.Client
}

func newBox(t *testing.T, o sandbox.Options, variants map[string]string, c staxbill.Options) box {
	t.Helper()
	// Virtual time begins in 2000, before the customers were made; so the
	// service's clock is decades ahead of ours, which must not matter.
	o.Now = func() time.Time { return time.Now().AddDate(27, 0, 0) }
	s, err := sandbox.New(o)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range variants {
		if err := s.SetVariant(name, value); err != nil {
			t.Fatal(err)
		}
	}
	c.BaseURL, c.APIKey = "http://127.0.0.1:1/v1", s.APIKeys()[0].Key
	c.Transport = direct{s.Handler()}
	client, err := staxbill.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return box{s, client}
}

// direct serves calls in the process.
type direct struct{ h http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	rec := httptest.NewRecorder()
	d.h.ServeHTTP(rec, r)
	return rec.Result(), nil
}

func (b box) customer(i int) latch.CustomerID { return latch.CustomerID(b.CustomerID(i)) }

func (b box) truth(t *testing.T, id latch.CustomerID) latch.AccountID {
	t.Helper()
	c, ok := b.Sandbox.Customer(int64(id))
	if !ok {
		t.Fatalf("the sandbox has no customer %d", id)
	}
	return latch.ObservedAccountID(c.SalesforceID)
}

// everyVariant runs f as the sandbox is by default, and once for every other
// answer to each of the questions.
func everyVariant(t *testing.T, names []string, f func(t *testing.T, variants map[string]string)) {
	t.Run("default", func(t *testing.T) { f(t, nil) })
	for _, v := range sandbox.Variants() {
		for _, name := range names {
			if v.Name != name {
				continue
			}
			for _, value := range v.Values[1:] {
				t.Run(name+"="+value, func(t *testing.T) { f(t, map[string]string{name: value}) })
			}
		}
	}
}

func TestSandboxLatch(t *testing.T) {
	names := []string{sandbox.VariantLatchBody, sandbox.VariantLatchIDForm, sandbox.VariantLatchLinked, sandbox.VariantTimestamps, sandbox.VariantNumbers, sandbox.VariantNullLink}
	everyVariant(t, names, func(t *testing.T, variants map[string]string) {
		synctest.Test(t, func(t *testing.T) {
			b := newBox(t, sandbox.Options{Accounts: 20, Customers: 20}, variants, staxbill.Options{})
			id, to := b.customer(1), latch.AccountID(b.AccountID(5))
			got, err := b.Latch(t.Context(), id, to, false)
			if err != nil || got.Account != "" && got.Account != to || b.truth(t, id) != to {
				t.Fatalf("got %+v, %v; the customer has %s", got, err, b.truth(t, id))
			}
			r, err := b.Client.Customer(t.Context(), id)
			if err != nil || r.Account != to || r.Created.IsZero() {
				t.Errorf("read back %+v, %v", r, err)
			}
			other := latch.AccountID(b.AccountID(6))
			_, err = b.Latch(t.Context(), id, other, false)
			e, ok := staxbill.As(err)
			if !ok || e.Kind != staxbill.KindRefused || e.Fate != staxbill.FateRefused || b.truth(t, id) != to {
				t.Errorf("latched elsewhere, not forced: %v", err)
			}
			if _, err := b.Latch(t.Context(), id, other, true); err != nil || b.truth(t, id) != other {
				t.Errorf("forced: %v", err)
			}
			_, err = b.Latch(t.Context(), b.customer(2), latch.AccountID(b.MissingAccountID(1)), false)
			missing, _ := staxbill.As(err)
			_, err = b.Latch(t.Context(), b.customer(3), latch.AccountID(b.MissingAccountID(2)), false)
			if again, ok := staxbill.As(err); !ok || !again.Same(missing) || again.Same(e) {
				t.Errorf("two accounts that do not exist: %v, %v", missing, err)
			}
		})
	})
}

func TestSandboxCustomers(t *testing.T) {
	names := []string{sandbox.VariantIDSets, sandbox.VariantTimestamps, sandbox.VariantNumbers, sandbox.VariantDefaultOrder, sandbox.VariantPageHeaders}
	everyVariant(t, names, func(t *testing.T, variants map[string]string) {
		synctest.Test(t, func(t *testing.T) {
			b := newBox(t, sandbox.Options{Accounts: 300, Customers: 300}, variants, staxbill.Options{})
			ids := []latch.CustomerID{99}
			for i := range 150 {
				ids = append(ids, b.customer(2*i))
			}
			got, err := b.Client.Customers(t.Context(), ids)
			if err != nil || len(got) != 151 || got[99].Found {
				t.Fatalf("%d readings, %v", len(got), err)
			}
			for _, id := range ids[1:] {
				if r := got[id]; !r.Found || r.Account != b.truth(t, id) {
					t.Errorf("got %+v, the truth is %s", r, b.truth(t, id))
				}
			}
			if calls := b.Calls(); variants[sandbox.VariantIDSets] == "" && calls["customers"]+calls["customer"] != 3 {
				t.Errorf("calls: %v", calls)
			}
		})
	})
}

func TestSandboxSurvey(t *testing.T) {
	names := []string{
		sandbox.VariantPageHeaders, sandbox.VariantMaxPageIndex, sandbox.VariantLastNextPage, sandbox.VariantDefaultOrder,
		sandbox.VariantDefaultPageSize, sandbox.VariantTimestamps, sandbox.VariantNumbers, sandbox.VariantNullLink, sandbox.VariantResetHeader,
	}
	everyVariant(t, names, func(t *testing.T, variants map[string]string) {
		synctest.Test(t, func(t *testing.T) {
			b := newBox(t, sandbox.Options{Accounts: 50, Customers: 2500, Limits: sandbox.LimitsTest}, variants, staxbill.Options{})
			survey := func(since time.Time) (map[latch.CustomerID]latch.AccountID, staxbill.Surveyed, error) {
				seen := map[latch.CustomerID]latch.AccountID{}
				sum, err := b.Survey(t.Context(), since, func(rs []latch.CustomerReading) error {
					for _, r := range rs {
						seen[r.Customer] = r.Account
					}
					return nil
				})
				return seen, sum, err
			}
			seen, sum, err := survey(time.Time{})
			if variants[sandbox.VariantNullLink] == "absent" {
				if e, ok := staxbill.As(err); !ok || e.Kind != staxbill.KindMalformed {
					t.Errorf("a survey without links was taken: %v", err)
				}
				return
			}
			if err != nil || sum.Seen != 2500 || len(seen) != 2500 || b.Calls()["survey"] != 3 {
				t.Fatalf("seen %d of 2500 in %v, %v", sum.Seen, b.Calls(), err)
			}
			for i := range 2500 {
				if id := b.customer(i); seen[id] != b.truth(t, id) {
					t.Fatalf("customer %d: got %q, the truth is %q", id, seen[id], b.truth(t, id))
				}
			}
			time.Sleep(time.Hour)
			if _, err := b.Latch(t.Context(), b.customer(1), latch.AccountID(b.AccountID(5)), false); err != nil {
				t.Fatal(err)
			}
			changed, _, err := survey(sum.Watermark)
			if err != nil || len(changed) != 1 || changed[b.customer(1)] != latch.AccountID(b.AccountID(5)) {
				t.Errorf("%d customers changed, %v", len(changed), err)
			}
		})
	})
}

func TestSandboxNeverAnswers429(t *testing.T) {
	everyVariant(t, []string{sandbox.VariantResetHeader}, func(t *testing.T, variants map[string]string) {
		synctest.Test(t, func(t *testing.T) {
			b := newBox(t, sandbox.Options{Accounts: 100, Customers: 100, Limits: sandbox.LimitsTest}, variants, staxbill.Options{})
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			var wg sync.WaitGroup
			for g := range 30 {
				wg.Go(func() {
					for ctx.Err() == nil {
						if _, err := b.Client.Customer(ctx, b.customer(g)); err != nil && ctx.Err() == nil {
							t.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			perMinute := map[time.Time]int{}
			for _, c := range b.Ledger().Calls {
				if c.Status == http.StatusTooManyRequests {
					t.Error("the sandbox answered 429")
				}
				perMinute[c.Time.Truncate(time.Minute)]++
			}
			full := 0
			for _, n := range perMinute {
				if n >= 49 { // 97 % of 50
					full++
				}
			}
			if full < 9 {
				t.Errorf("only %d of ten windows were used: %v", full, perMinute)
			}
		})
	})
}

func TestSandboxFateOnTheWire(t *testing.T) {
	s, err := sandbox.New(sandbox.Options{Accounts: 20, Customers: 20})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.Handler())
	defer server.Close()
	c, err := staxbill.New(staxbill.Options{BaseURL: server.URL + "/v1", APIKey: s.APIKeys()[0].Key})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i, tc := range []struct {
		do     sandbox.FaultAction
		fate   staxbill.Fate
		effect bool
	}{
		{sandbox.FaultAction{Cut: "before"}, staxbill.FateUnknown, false},
		{sandbox.FaultAction{Cut: "after"}, staxbill.FateUnknown, true},
		{sandbox.FaultAction{Status: 500, Effect: true}, staxbill.FateUnknown, true},
		{sandbox.FaultAction{Status: 401}, staxbill.FateNotSent, false}, // an answer, so the breaker stays closed
		{sandbox.FaultAction{Body: sandbox.BodyTruncated}, staxbill.FateUnknown, true},
		{sandbox.FaultAction{Body: sandbox.BodyMalformed}, staxbill.FateUnknown, false},
		{sandbox.FaultAction{Status: 409}, staxbill.FateRefused, false},
	} {
		id, to := s.CustomerID(4*(i%4)+1+i/4), latch.AccountID(s.AccountID(i))
		remove, err := s.AddFault(sandbox.Fault{Match: sandbox.FaultMatch{Service: "staxbill", Call: "latch"}, Do: tc.do})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Latch(t.Context(), latch.CustomerID(id), to, false)
		remove()
		of := s.Ledger().Of(id)
		e, ok := staxbill.As(err)
		if !ok || e.Fate != tc.fate || len(of.Calls) != 1 || len(of.Effects) == 1 != tc.effect {
			t.Errorf("%+v: got %v, %d calls, %d effects", tc.do, err, len(of.Calls), len(of.Effects))
		}
		r, err := c.Customer(t.Context(), latch.CustomerID(id))
		if err != nil || (r.Account == to) != tc.effect {
			t.Errorf("%+v: read back %+v, %v", tc.do, r, err)
		}
	}
}
