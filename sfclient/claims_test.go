package sfclient_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/sfclient"
)

const (
	asked = "stax_bill_customer__C" // names are found whatever their case
	spelt = sandbox.RequestField
)

// pullClaims gives what the field carries by index of the account.
func pullClaims(t *testing.T, box *sandbox.Sandbox, c *sfclient.Client) map[int]latch.Claim {
	t.Helper()
	index := map[latch.PackedAccountID]int{}
	for i := range 10 {
		p, _ := latch.AccountID(box.AccountID(i)).Pack()
		index[p] = i
	}
	got := map[int]latch.Claim{}
	_, err := c.PullClaims(t.Context(), spelt, 0, func(page []latch.Claim) error {
		for _, one := range page {
			got[index[one.Account]] = one
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func edit(t *testing.T, box *sandbox.Sandbox, i int, value string) {
	t.Helper()
	if err := box.EditAccount(box.AccountID(i), nil, &value); err != nil {
		t.Fatal(err)
	}
}

// TestClaims reads the field as text and as a number, all of it and with the
// accounts that changed.
func TestClaims(t *testing.T) {
	for _, kind := range []string{"text", "number"} {
		t.Run(kind, func(t *testing.T) {
			box, c := newBox(t, sandbox.Options{Accounts: 10, Customers: 5, Seed: 4}, nil)
			if err := box.SetVariant(sandbox.VariantRequestField, kind); err != nil {
				t.Fatal(err)
			}
			start := time.Now().Add(-time.Second)
			edit(t, box, 1, "1000001")
			edit(t, box, 2, "-5")
			edit(t, box, 3, "1000003")
			edit(t, box, 4, "1000004")
			if err := errors.Join(box.DeleteAccount(box.AccountID(3)), box.MergeAccount(box.AccountID(4), box.AccountID(5))); err != nil {
				t.Fatal(err)
			}
			got := pullClaims(t, box, c)
			if len(got) != 2 || got[1].Customer != 1000001 || got[2].Bad == "" {
				t.Errorf("all: %+v", got)
			}
			changed := map[latch.AccountID]latch.AccountChange{}
			before := c.Calls()
			_, err := c.PullChanges(t.Context(), start, spelt, func(page []latch.AccountChange) error {
				for _, one := range page {
					changed[one.Account] = one
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			var texts []string
			for i := range 10 {
				one, there := changed[latch.AccountID(box.AccountID(i))]
				if p, _ := one.Account.Pack(); there && one.Claim.Account != p {
					t.Errorf("the claim of %s is of another account", one.Account)
				}
				if there {
					texts = append(texts, fmt.Sprintf("%d:%s/%d/%t", i, one.State, one.Claim.Customer, one.Claim.Bad != ""))
				}
			}
			if want := "1:known/1000001/false 2:known/0/true 3:deleted/0/false 4:merged/0/false 5:known/0/false"; strings.Join(texts, " ") != want {
				t.Errorf("changes:\n%s, want\n%s", strings.Join(texts, " "), want)
			}
			if n := c.Calls()["queryAll"] - before["queryAll"]; n != 1 {
				t.Errorf("%d calls", n)
			}
		})
	}
}

// TestClaimField looks at the field once, and says of one that cannot be a source
// what is wrong with it.
func TestClaimField(t *testing.T) {
	for kind, want := range map[string]string{"text": "", "number": "", "formula": "leave no time stamp", "checkbox": "of type boolean", "missing": "is not shown"} {
		t.Run(kind, func(t *testing.T) {
			box, c := newBox(t, sandbox.Options{Accounts: 10, Customers: 5, Seed: 4}, nil)
			if err := box.SetVariant(sandbox.VariantRequestField, kind); err != nil {
				t.Fatal(err)
			}
			var last error
			for range 3 {
				name, err := c.ClaimField(t.Context(), asked)
				if want == "" && (err != nil || name != spelt) {
					t.Fatalf("%q, %v", name, err)
				}
				last = err
			}
			calls := c.Calls()["describe"]
			if want == "" {
				if calls != 1 {
					t.Errorf("it was described %d times", calls)
				}
				return
			}
			var refused *sfclient.FieldError
			if !errors.As(last, &refused) || !strings.Contains(last.Error(), want) || refused.Hint() == "" {
				t.Errorf("%v", last)
			}
		})
	}
}

// TestClaimFieldGone has the field looked at anew once a query did not find it.
func TestClaimFieldGone(t *testing.T) {
	box, c := newBox(t, sandbox.Options{Accounts: 10, Customers: 5, Seed: 4}, nil)
	if _, err := c.ClaimField(t.Context(), spelt); err != nil {
		t.Fatal(err)
	}
	if err := box.SetVariant(sandbox.VariantRequestField, "missing"); err != nil {
		t.Fatal(err)
	}
	_, err := c.PullClaims(t.Context(), spelt, 0, func([]latch.Claim) error { return nil })
	var own *sfclient.Error
	if !errors.As(err, &own) || own.Code != "INVALID_FIELD" || strings.Contains(err.Error(), "SELECT") {
		t.Fatalf("%v", err)
	}
	var refused *sfclient.FieldError
	if _, err := c.ClaimField(t.Context(), spelt); !errors.As(err, &refused) {
		t.Errorf("%v", err)
	}
}
