package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"latchd/latch"
	"latchd/sandbox"
)

// TestExampleConfiguration: config.example.yaml with nothing but addresses and
// secrets changed latches a CSV of 1,000, within the calls that it may cost; a
// second run makes no latch call.
func TestExampleConfiguration(t *testing.T) {
	const n, base = 1000, 2000
	e := newEstate(t, sandbox.Options{Accounts: 4000, Customers: 2000, Seed: 6})
	example, err := os.ReadFile("../../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{}
	for _, s := range e.box.Settings(e.url) {
		settings[s.Name] = s.Value
	}
	text := string(example)
	for old, now := range map[string]string{
		"https://example.my.salesforce.com":      settings["LATCHD_SALESFORCE_LOGIN_URL"],
		"3MVG9_the_consumer_key":                 settings["LATCHD_SALESFORCE_AUTH_CLIENT_ID"],
		"{credential: salesforce-client-secret}": "{file: " + e.write("secret", settings["LATCHD_SALESFORCE_AUTH_CLIENT_SECRET"]) + "}",
		"https://secure.fusebill.com/v1":         settings["LATCHD_STAXBILL_BASE_URL"],
		"{credential: staxbill-api-key}":         "{file: " + e.write("key", settings["LATCHD_STAXBILL_API_KEY"]) + "}",
	} {
		if !strings.Contains(text, old) {
			t.Fatalf("the example lacks %s", old)
		}
		text = strings.Replace(text, old, now, 1)
	}
	config := e.write("config.yaml", text)
	// The folders of a service are not here.
	e.env = append(cleanEnv(), asLatchd+"=1", "LATCHD_STATE_PATH="+e.dir+"/latchd.db", "LATCHD_SERVER_SOCKET="+e.dir+"/s", "LATCHD_CONFIG="+config)
	path, free := e.csv(n, base)
	e.must(exitDone, "request", "import", path)
	e.must(exitDone, "--once")
	counts := e.box.Ledger().Count()
	other := counts["salesforce/token"] + counts["salesforce/query"] + counts["salesforce/queryMore"] + counts["salesforce/queryAll"] + 2 // the survey's pages
	sum := 0
	for _, c := range counts {
		sum += c
	}
	if limit := n + n/100 + n/1000 + 5; sum-other > limit {
		t.Errorf("%d calls beside sign-in, pull and survey, at most %d: %v", sum-other, limit, counts)
	}
	t.Logf("%d calls beside sign-in, pull and survey", sum-other)
	e.finish(n, base, free)
}

// TestGuardFromOutside: a CSV that would relatch 300 of 2,000 mappings.
func TestGuardFromOutside(t *testing.T) {
	e := newEstate(t, sandbox.Options{Accounts: 9000, Customers: 8000, Seed: 6})
	var csv strings.Builder
	csv.WriteString("fusebillId,salesforceId,forceLatch\n")
	for k := range 300 {
		fmt.Fprintf(&csv, "%d,%s,true\n", e.box.CustomerID(4*k), e.box.AccountID(8000+k))
	}
	for k := range 20 {
		fmt.Fprintf(&csv, "%d,%s,false\n", e.box.CustomerID(4*k+1), e.box.AccountID(8500+k))
	}
	e.must(exitDone, "request", "import", e.write("r.csv", csv.String()))
	out := e.must(exitHeld, "--once")
	for _, want := range []string{"20 latched", "held       300 requests", "300 relatches planned and 0 made", "latchd approve "} {
		if !strings.Contains(out, want) {
			t.Errorf("lacks %q:\n%s", want, out)
		}
	}
	_, rest, _ := strings.Cut(out, "latchd approve ")
	digest := strings.Fields(rest)[0]
	if plan := e.must(exitDone, "plan"); !strings.Contains(plan, "300 held") || !strings.Contains(plan, digest) {
		t.Error(plan)
	}
	if err := e.box.SetCustomerAccount(e.box.CustomerID(8), e.box.AccountID(8900)); err != nil {
		t.Fatal(err)
	}
	e.must(exitDone, "approve", digest)
	out = e.must(exitHeld, "--once")
	if !strings.Contains(out, "299 relatched") || !strings.Contains(out, "held       1 request") {
		t.Error(out)
	}
	if e.at(8) != latch.ObservedAccountID(e.box.AccountID(8900)) {
		t.Error("the one that changed was relatched")
	}
}

// TestSightFromOutside: View All taken away, and the key of another account.
func TestSightFromOutside(t *testing.T) {
	e := newEstate(t, sandbox.Options{Accounts: 3000, Customers: 200, Seed: 6})
	e.must(exitDone, "--once")
	path, _ := e.csv(30, 1000)
	e.must(exitDone, "request", "import", path)
	if err := e.box.HideAccounts(80); err != nil {
		t.Fatal(err)
	}
	if out := e.must(exitFailed, "--once"); !strings.Contains(out, "View All") {
		t.Error(out)
	}
	if out := e.must(exitDone, "--output", "json", "request", "list", "--outcome", "no-account"); strings.TrimSpace(out) != "[]" {
		t.Error(out)
	}
	if out, _, _ := e.latchd("status"); !strings.Contains(out, "3000 known") {
		t.Error(out)
	}
	if err := e.box.HideAccounts(0); err != nil {
		t.Fatal(err)
	}
	other, url := serveSandbox(t, sandbox.Options{Accounts: 10, Customers: 200, Seed: 7})
	e.env = append(e.env, "LATCHD_STAXBILL_BASE_URL="+url+"/v1", "LATCHD_STAXBILL_API_KEY="+other.APIKeys()[0].Key)
	if out := e.must(exitFailed, "--once"); !strings.Contains(out, "another Stax Bill account than before") {
		t.Error(out)
	}
	if n := other.Ledger().Count()["staxbill/latch"]; n != 0 {
		t.Errorf("%d latch calls to another account", n)
	}
}
