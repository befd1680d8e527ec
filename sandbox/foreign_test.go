package sandbox

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"
)

// jsforce, a Salesforce client that shares nothing with latchd, must get along
// with the sandbox: what only our own client understands would prove little.
// The pinned version runs on Node.js from 18 on. It needs npm and a package
// registry, so it is asked for by LATCHD_TEST_JSFORCE=1.
func TestForeignClient(t *testing.T) {
	if os.Getenv("LATCHD_TEST_JSFORCE") != "1" {
		t.Skip("set LATCHD_TEST_JSFORCE=1 to drive the sandbox with jsforce; it is installed by npm")
	}
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	dir := filepath.Join("testdata", "jsforce")
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "jsforce")); err != nil {
		install := exec.CommandContext(t.Context(), "npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts")
		install.Dir = dir
		if out, err := install.CombinedOutput(); err != nil {
			t.Fatalf("installing jsforce: %v\n%s", err, out)
		}
	}
	w := newWorld(t, Options{Accounts: 3_500})
	for i := range 5 {
		must(t, w.DeleteAccount(w.AccountID(i)))
	}
	check := exec.CommandContext(t.Context(), "node", "check.mjs", w.AccountID(10), w.AccountID(0), w.MissingAccountID(0))
	check.Dir = dir
	check.Env = append(os.Environ(), "SANDBOX_URL="+w.url, "CLIENT_ID="+w.org.clientID, "CLIENT_SECRET="+w.org.clientSecret)
	var stderr bytes.Buffer
	check.Stderr = &stderr
	out, err := check.Output()
	if err != nil {
		t.Fatalf("jsforce: %v\n%s", err, stderr.Bytes())
	}
	var got map[string]any
	must(t, json.Unmarshal(out, &got))
	want := map[string]any{
		"firstPage": 2_000.0, "totalSize": 3_495.0, "secondPage": 1_495.0, "done": true, "all": 3_500.0, "deleted": 5.0,
		"named": []any{w.AccountID(10)}, "retrieved": []any{w.AccountID(10), nil, nil}, "described": true,
		"unknownField": "INVALID_FIELD", "organization": w.OrgID(), "maxRequests": 100_000.0,
	}
	usage, _ := got["apiUsage"].(map[string]any)
	if usage["limit"] != 100_000.0 {
		t.Errorf("jsforce read the API usage as %v", got["apiUsage"])
	}
	delete(got, "apiUsage")
	for name, v := range want {
		if !reflect.DeepEqual(got[name], v) {
			t.Errorf("%s is %v, want %v", name, got[name], v)
		}
	}
}
