package sfclient_test

import (
	"errors"
	"fmt"
	"maps"
	"testing"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/sfclient"
)

// bulkClaims pulls by a job, as account → claim.
func bulkClaims(t *testing.T, c *sfclient.Client) (map[latch.PackedAccountID]latch.Claim, error) {
	t.Helper()
	got := map[latch.PackedAccountID]latch.Claim{}
	pulled, err := c.PullClaimsBulk(t.Context(), spelt, func() error { return nil }, func(page []latch.Claim) error {
		for _, one := range page {
			got[one.Account] = one
		}
		return nil
	})
	if err == nil && (pulled.Rows != len(got) || pulled.Watermark.IsZero()) {
		t.Errorf("%+v, %d different accounts", pulled, len(got))
	}
	return got, err
}

// TestClaimsBulk has a job give what the pages of REST give, in every form in
// which Salesforce may give it.
func TestClaimsBulk(t *testing.T) {
	const n = 700
	for _, v := range []struct{ name, value string }{
		{sandbox.VariantBulkHeader, "every"},
		{sandbox.VariantBulkHeader, "first"},
		{sandbox.VariantBulkQuotes, "needed"},
		{sandbox.VariantBulkGzip, "always"},
		{sandbox.VariantBulkAPIVersion, "string"},
	} {
		for _, kind := range []string{"text", "number"} {
			t.Run(v.name+"="+v.value+"/"+kind, func(t *testing.T) {
				box, c := newBox(t, sandbox.Options{Accounts: 2 * n, Customers: 5, Seed: 4}, nil)
				err := errors.Join(box.SetVariants(map[string]string{v.name: v.value, sandbox.VariantRequestField: kind}), box.SetBulkPace(sandbox.BulkPace{PageRows: 250, Polls: 1}))
				if err != nil {
					t.Fatal(err)
				}
				for i := range n {
					edit(t, box, 2*i, fmt.Sprint(1_000_000+i))
				}
				edit(t, box, 4, "-7")
				want := map[latch.PackedAccountID]latch.Claim{}
				if _, err := c.PullClaims(t.Context(), spelt, 0, func(page []latch.Claim) error {
					for _, one := range page {
						want[one.Account] = one
					}
					return nil
				}); err != nil || len(want) != n {
					t.Fatalf("%d of %d by REST: %v", len(want), n, err)
				}
				got, err := bulkClaims(t, c)
				if err != nil || !maps.Equal(got, want) {
					t.Errorf("%d of %d, %v", len(got), len(want), err)
				}
				if left := box.Ledger().Count()["salesforce/bulkDelete"]; left != 1 {
					t.Errorf("%d jobs were deleted", left)
				}
			})
		}
	}
}

// TestClaimsBulkNone has no account carry anything, in each form of an empty result.
func TestClaimsBulkNone(t *testing.T) {
	for _, form := range []string{"header", "empty", "204"} {
		box, c := newBox(t, sandbox.Options{Accounts: 10, Customers: 5, Seed: 4}, nil)
		if err := box.SetVariant(sandbox.VariantBulkEmpty, form); err != nil {
			t.Fatal(err)
		}
		if got, err := bulkClaims(t, c); err != nil || len(got) != 0 {
			t.Errorf("%s: %v %v", form, got, err)
		}
	}
}

// TestClaimsBelow asks one call whether there are many.
func TestClaimsBelow(t *testing.T) {
	box, c := newBox(t, sandbox.Options{Accounts: 10, Customers: 5, Seed: 4}, nil)
	for i := range 5 {
		edit(t, box, i, "1000001")
	}
	for below, want := range map[int]error{5: sfclient.ErrManyAccounts, 6: nil, 0: nil} {
		rows := 0
		_, err := c.PullClaims(t.Context(), spelt, below, func(page []latch.Claim) error { rows += len(page); return nil })
		if !errors.Is(err, want) || (want == nil) != (rows == 5) {
			t.Errorf("below %d: %v, %d rows", below, err, rows)
		}
	}
}

// TestClaimsBulkBroken breaks a page off: it is read again, and one that stays
// broken is an error.
func TestClaimsBulkBroken(t *testing.T) {
	box, c := newBox(t, sandbox.Options{Accounts: 900, Customers: 5, Seed: 4}, nil)
	for i := range 900 {
		edit(t, box, i, fmt.Sprint(1_000_000+i))
	}
	if err := box.SetBulkPace(sandbox.BulkPace{PageRows: 400}); err != nil {
		t.Fatal(err)
	}
	_, err := box.AddFault(sandbox.Fault{Match: sandbox.FaultMatch{Call: "bulkResults", Nth: 2}, Do: sandbox.FaultAction{Cut: "after"}})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := bulkClaims(t, c); err != nil || len(got) != 900 {
		t.Errorf("%d, %v", len(got), err)
	}
	if err := box.SetFaults([]sandbox.Fault{{Match: sandbox.FaultMatch{Call: "bulkCreate"}, Do: sandbox.FaultAction{Status: 400}}}); err != nil {
		t.Fatal(err)
	}
	var own *sfclient.Error
	if _, err := bulkClaims(t, c); !errors.As(err, &own) || own.Kind != sfclient.KindBulkRefused && own.Kind != sfclient.KindMalformed {
		t.Errorf("%v", err)
	}
}
