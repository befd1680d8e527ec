package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"latchd/sandbox"
)

// The samples of Stax Bill's page (developer.staxbill.com/reference/latch-customer),
// with the address, the key and the ids filled in and nothing else changed.
const (
	curlSample = `curl -X POST "%s" \
	-H "Content-Type: application/json" \
	-H "Authorization: Basic %s" \
	-d "{fusebillId:%d,salesforceId:'%s'}"`
	pythonSample = `#Import library JSON
import json
#Import library Requests
import requests
#Pass in a dictionary to the Headers parameter
headers = {'Authorization' : 'Basic %[2]s', 'Content-Type' : 'application/json'}
#Pass in a dictionary to the Payload parameter
payload = {"fusebillId":%[3]d,"salesforceId":'%[4]s'}
#Pass in your URI, Payload and Headers
r = requests.post('%[1]s', data=json.dumps(payload), headers=headers)
print(r.status_code, r.text)
`
	csharpBody = `{fusebillId:%d,salesforceID:'%s','forceLatch': true}`
)

// TestStaxBillsSamples: the clients of Stax Bill's own page work against latchd.
func TestStaxBillsSamples(t *testing.T) {
	e := newEstate(t, sandbox.Options{Accounts: 400, Customers: 100, Seed: 4})
	at := e.api("LATCHD_SERVER_WAIT=1m") + "/v1/Salesforce/Latch"
	e.daemon()
	latched := func(t *testing.T, i, a int, out string) {
		t.Helper()
		if !strings.Contains(out, `"companyName"`) || string(e.at(i)) != e.box.AccountID(a) {
			t.Errorf("customer %d is at %s: %s", i, e.at(i), out)
		}
	}
	t.Run("curl", func(t *testing.T) {
		if _, err := exec.LookPath("curl"); err != nil {
			t.Skip("curl is not installed here")
		}
		out, err := exec.CommandContext(t.Context(), "sh", "-c", fmt.Sprintf(curlSample, at, crmKey, e.box.CustomerID(1), e.box.AccountID(200))).Output()
		if err != nil {
			t.Fatal(err)
		}
		latched(t, 1, 200, string(out))
	})
	t.Run("Python", func(t *testing.T) {
		if exec.CommandContext(t.Context(), "python3", "-c", "import requests").Run() != nil {
			t.Skip("python3 with its package requests is not installed here")
		}
		// The ids of the sample have 15 characters as well.
		short := e.box.AccountID(201)[:15]
		out, err := exec.CommandContext(t.Context(), "python3", "-c", fmt.Sprintf(pythonSample, at+"/", crmKey, e.box.CustomerID(2), short)).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		latched(t, 2, 201, string(out))
	})
	t.Run("C#", func(t *testing.T) {
		// .NET asks whether its body is wanted before it sends it.
		r, err := http.NewRequestWithContext(t.Context(), "POST", at, strings.NewReader(fmt.Sprintf(csharpBody, e.box.CustomerID(3), e.box.AccountID(202))))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Basic "+forceKey)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Expect", "100-continue")
		transport := &http.Transport{ExpectContinueTimeout: time.Minute}
		defer transport.CloseIdleConnections()
		res, err := (&http.Client{Transport: transport}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK || string(e.at(3)) != e.box.AccountID(202) {
			t.Errorf("%s, at %s", res.Status, e.at(3))
		}
	})
}

var example = regexp.MustCompile("(?s)```sh\n(.*?)```\n\n```http\n(.*?)```")

// TestLatchEndpointPage: the examples of docs/latch-endpoint.md do what it says.
func TestLatchEndpointPage(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed here")
	}
	page, err := os.ReadFile("../../docs/latch-endpoint.md")
	if err != nil {
		t.Fatal(err)
	}
	e := newEstate(t, sandbox.Options{Accounts: 400, Customers: 100, Seed: 4})
	root := e.api("LATCHD_SERVER_WAIT=1m")
	e.daemon()
	examples := example.FindAllStringSubmatch(string(page), -1)
	if len(examples) < 6 || len(examples) != strings.Count(string(page), "```sh\n") {
		t.Fatalf("%d examples with an answer", len(examples))
	}
	for _, x := range examples {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", x[1])
		cmd.Env = append(cleanEnv(), "LATCHD="+root, "KEY="+crmKey, "FORCE_KEY="+forceKey, fmt.Sprint("CUSTOMER=", e.box.CustomerID(1)),
			"ACCOUNT="+e.box.AccountID(200), "OTHER="+e.box.AccountID(201))
		out, err := cmd.Output()
		if err != nil {
			t.Errorf("%s: %v", x[1], err)
		}
		got := strings.ReplaceAll(string(out), "\r\n", "\n")
		at := 0
		for line := range strings.Lines(x[2]) {
			line = strings.TrimSpace(line)
			next := strings.Index(got[at:], line)
			if next < 0 {
				t.Errorf("%s\nanswered\n%s\nwithout %s", x[1], got, line)
				break
			}
			at += next
		}
	}
}
