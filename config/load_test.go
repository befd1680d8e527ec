package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// minimal is a configuration with nothing but what is required.
const minimal = `salesforce:
  login_url: https://example.my.salesforce.com
  auth: {client_id: id, client_secret: {env: SF_SECRET}}
staxbill:
  api_key: {env: SB_KEY}
`

var secrets = []string{"SF_SECRET=s3cr3t-of-salesforce", "SB_KEY=s3cr3t-of-staxbill"}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, text string, env ...string) (*Config, Problems) {
	t.Helper()
	c, err := Load(write(t, text), append(env, secrets...))
	var p Problems
	if err != nil && !errors.As(err, &p) {
		t.Fatal(err)
	}
	return c, p
}

func TestExampleLoads(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"salesforce-client-secret", "staxbill-api-key"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"+name+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Load("../config.example.yaml", []string{"CREDENTIALS_DIRECTORY=" + dir})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings()) > 0 {
		t.Error(c.Warnings())
	}
	if c.StaxBill.APIKey.Reveal() != "xstaxbill-api-key" {
		t.Error("the credential was not read whole and trimmed")
	}
	// The example shows the defaults.
	d := defaults()
	for i := range fields {
		f := &fields[i]
		if _, secret := f.at(c).(*Secret); secret || f.path == "salesforce.login_url" || f.path == "salesforce.auth.client_id" {
			continue
		}
		if got, want := fmt.Sprintf("%v", deref(f.at(c))), fmt.Sprintf("%v", deref(f.at(d))); got != want {
			t.Errorf("%s: the example has %s, the default is %s", f.path, got, want)
		}
	}
}

func deref(p any) any {
	switch p := p.(type) {
	case *string:
		return *p
	case *int:
		return *p
	case *bool:
		return *p
	case *time.Duration:
		return *p
	}
	return nil
}

func TestExampleNamesEverySetting(t *testing.T) {
	data, err := os.ReadFile("../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fields {
		name := f.path[strings.LastIndexByte(f.path, '.')+1:]
		if !strings.Contains(string(data), name+":") {
			t.Errorf("config.example.yaml does not show %s", f.path)
		}
	}
}

// TestProblems: each fault gives its message at its place, and all come at once.
func TestProblems(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"unknown name", minimal + "staet:\n  path: /x\n", "c.yaml:6:1: has an unknown name here; did you mean state?"},
		{"unknown name below", minimal + "state:\n  pth: /x\n", "c.yaml:7:3: state: has an unknown name here; did you mean path?"},
		{"nothing like it", minimal + "state:\n  zzzzzzzz: 1\n", "c.yaml:7:3: state: has an unknown name here; known are path, keep_history"},
		{"not a number", minimal + "guard:\n  max_latches: many\n", "c.yaml:7:16: guard.max_latches: wants a whole number"},
		{"too short a time", minimal + "health:\n  max_pending_age: 1s\n", "health.max_pending_age: must be from 1m to 720h"},
		{"too long a time", minimal + "server:\n  wait: 90m\n", "server.wait: must be from 0s to 5m"},
		{"too often", minimal + "schedule:\n  full: '@every 10s'\n", "schedule.full: is shorter than 1m"},
		{"out of range", minimal + "guard:\n  max_relatch_percent: 101\n", "c.yaml:7:24: guard.max_relatch_percent: must be from 0 to 100"},
		{"not a duration", minimal + "server:\n  wait: 10\n", "c.yaml:7:9: server.wait: wants a duration such as 90s, 10m or 24h"},
		{"not a bool", minimal + "requests:\n  follow_merges: yes\n", "c.yaml:7:18: requests.follow_merges: wants true or false"},
		{"no enum", minimal + "requests:\n  shared_account: maybe\n", "is none of allow, warn, refuse"},
		{"list for a scalar", minimal + "state:\n  path: [a]\n", "state.path: wants a text, not a list"},
		{"scalar for a section", minimal + "state: x\n", "c.yaml:6:8: state: wants settings below it"},
		{"relative path", minimal + "state:\n  path: latchd.db\n", "state.path: must be a path from the root"},
		{"plain http", strings.Replace(minimal, "https://", "http://", 1), "must begin with https://"},
		{"login domain", strings.Replace(minimal, "example.my", "login", 1), "salesforce.login_url: refuses the client credentials flow"},
		{"lightning", strings.Replace(minimal, "example.my.salesforce.com", "x.lightning.force.com", 1), "page of the user interface"},
		{"missing key", "salesforce:\n  login_url: https://e.my.salesforce.com\n", "staxbill.api_key: is missing"},
		{"schedule", minimal + "schedule:\n  sync: \"0 0 30 2 *\"\n", "schedule.sync: never comes"},
		{"schedule zone", minimal + "schedule:\n  sync: \"TZ=UTC 0 0 * * *\"\n", "set schedule.timezone instead"},
		{"schedule too often", minimal + "schedule:\n  sync: \"@every 30s\"\n", "shorter than 1m"},
		{"sunday", minimal + "schedule:\n  sync: \"0 3 * * 7\"\n", "0 (Sunday) to 6"},
		{"time zone", minimal + "schedule:\n  timezone: Mars/Base\n", "is no time zone"},
		{"two of a secret", strings.Replace(minimal, "{env: SB_KEY}", "{env: A, file: B}", 1), "one of them"},
		{"secret not set", strings.Replace(minimal, "SB_KEY", "NOWHERE", 1), "not set, or empty"},
		{"secret file missing", strings.Replace(minimal, "{env: SB_KEY}", "{file: /nowhere/key}", 1), "its file cannot be read: no such file"},
		{"credential outside systemd", strings.Replace(minimal, "{env: SB_KEY}", "{credential: k}", 1), "systemd passes no credentials here"},
		{"twice", minimal + "log:\n  level: info\n  level: debug\n", "twice"},
		{"second document", minimal + "---\nlog:\n  level: info\n", "second document"},
		{"anchor", "x: &a {}\n" + minimal, "c.yaml:1:4: uses an anchor, alias or tag"},
		{"cron without quotes", minimal + "schedule:\n  sync: */15 * * * *\n", "c.yaml:7:9: uses an anchor, alias or tag: write the settings out, and put a value that begins with *, & or ! in quotes"},
		{"merge", minimal + "state:\n  <<: {path: /x}\n", "c.yaml:7:3: merges in another mapping"},
		{"directive", "%YAML 1.2\n---\n" + minimal, "c.yaml:1:1: has a directive"},
		{"question mark", minimal + "? log\n: {level: info}\n", "c.yaml:6:1: begins a name with a question mark"},
		{"octal", minimal + "guard:\n  max_latches: 0600\n", "guard.max_latches: wants a whole number"},
		{"path of two lines", minimal + "state:\n  path: |\n    /x\n", "state.path: has a line break"},
		{"port", minimal + "notify:\n  webhook_url: https://h:70000/\n", "notify.webhook_url: must be an address"},
		{"full domain name", strings.Replace(minimal, "example.my.salesforce.com", "login.salesforce.com.", 1), "refuses the client credentials flow"},
		{"long socket", minimal + "server:\n  socket: /" + strings.Repeat("s", 107) + "\n", "server.socket: must be a path of at most 107 bytes"},
		{"carriage returns", strings.ReplaceAll(minimal+"log:\n  level: loud\n", "\n", "\r"), "c.yaml:7:10: log.level: is none of"},
		{"one key, two names", minimal + "server:\n  api_keys: [{name: a, key: {env: SB_KEY}}, {name: b, key: {env: SB_KEY}}]\n", "the same key under two names"},
		{"name twice in a key", minimal + "server:\n  api_keys: [{name: a, name: b, key: {env: SB_KEY}}]\n", "c.yaml:7:24: server.api_keys: has the same name twice here"},
		{"key with a space", minimal + "server:\n  api_keys: [{name: a, key: s3cr3t 1}]\n", "which no header carries"},
		{"tab", "salesforce:\n\tlogin_url: x\n", "is not YAML"},
		{"open quote", minimal + "log:\n  level: \"info\n", "is not YAML"},
		{"listen without keys", minimal + "server:\n  listen: 127.0.0.1:8711\n", "wants server.api_keys"},
		{"open without TLS", minimal + "server:\n  listen: 0.0.0.0:8711\n  api_keys: [{name: a, key: {env: SB_KEY}}]\n", "c.yaml:7:3: server.listen: can be reached from other machines and wants server.tls.cert_file and key_file"},
		{"all addresses without TLS", minimal + "server:\n  listen: \":8711\"\n  api_keys: [{name: a, key: {env: SB_KEY}}]\n", "set server.plain_http to true"},
		{"plain without keys", minimal + "server:\n  listen: 10.0.0.1:8711\n  plain_http: true\n", "wants server.api_keys"},
		{"certificate missing", minimal + "server:\n  tls: {cert_file: /nowhere/c.pem, key_file: /nowhere/k.pem}\n", "server.tls.cert_file: and key_file are no certificate and its key that can be read: no such file"},
		{"jwt without key", strings.Replace(minimal, "{client_id:", "{flow: jwt_bearer, client_id:", 1), "salesforce.auth.private_key: is missing"},
		{"utf-16", "\xff\xfes\x00", "is UTF-16"},
		{"latin-1", minimal + "# caf\xe9\n", "c.yaml:6:6: is not UTF-8"},
		{"empty", "", "c.yaml:1:1: salesforce.login_url: is missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, p := load(t, c.text)
			if !strings.Contains(p.Error(), c.want) {
				t.Errorf("got\n%s\nwant %s", p, c.want)
			}
			if strings.Contains(p.Error(), "s3cr3t") {
				t.Error("a secret shows")
			}
		})
	}
	_, p := load(t, minimal+"staet: 1\nguard:\n  max_latches: x\nlog:\n  level: loud\n")
	if _, p := load(t, "x: 1\n"); len(p) != 5 {
		t.Errorf("what is missing beside an unknown name is not said: %v", p)
	}
	if len(p) != 3 {
		t.Errorf("not all at once: %v", p)
	}
}

func TestEnvironment(t *testing.T) {
	c, p := load(t, minimal+"state:\n  path: /from/file\n", "LATCHD_STATE_PATH=/from/env", "LATCHD_GUARD_MAX_LATCHES=7", "LATCHD_CONFIG=/x", "LATCHD_TEST_ANY=1")
	if p != nil || c.State.Path != "/from/env" || c.Guard.MaxLatches != 7 {
		t.Errorf("%v %+v", p, c)
	}
	if _, p := load(t, minimal, "LATCHD_STATE_PAHT=/x"); !strings.Contains(p.Error(), "LATCHD_STATE_PAHT: is no setting") {
		t.Error(p)
	}
	if _, p := load(t, minimal, "LATCHD_GUARD_MAX_LATCHES=many"); !strings.Contains(p.Error(), "LATCHD_GUARD_MAX_LATCHES: wants a whole number") {
		t.Error(p)
	}
	// The environment replaces a source in the file that does not exist here.
	c, p = load(t, strings.Replace(minimal, "{env: SB_KEY}", "{credential: k}", 1), "LATCHD_STAXBILL_API_KEY=k1")
	if p != nil || c.StaxBill.APIKey.Reveal() != "k1" {
		t.Error(p)
	}
	file := write(t, "k2\n")
	c, err := Load("", append([]string{
		"LATCHD_SALESFORCE_LOGIN_URL=http://127.0.0.1:1", "LATCHD_SALESFORCE_AUTH_CLIENT_ID=i", "LATCHD_SALESFORCE_AUTH_CLIENT_SECRET=s",
		"LATCHD_STAXBILL_API_KEY_FILE=" + file,
	}, secrets...))
	if err != nil || c.StaxBill.APIKey.Reveal() != "k2" {
		t.Errorf("without a file: %v", err)
	}
}

func TestWarnings(t *testing.T) {
	c, p := load(t, strings.Replace(minimal, "{env: SB_KEY}", "s3cr3t-plain", 1))
	if p != nil {
		t.Fatal(p)
	}
	if text := c.Warnings().Error(); !strings.Contains(text, "plain text") || strings.Contains(text, "s3cr3t") {
		t.Error(text)
	}
	loose := write(t, "key")
	if err := os.Chmod(loose, 0o644); err != nil {
		t.Fatal(err)
	}
	c, p = load(t, strings.Replace(minimal, "{env: SB_KEY}", "{file: "+loose+"}", 1))
	if p != nil || !strings.Contains(c.Warnings().Error(), "mode 0644") {
		t.Error(p, c.Warnings())
	}
}

// TestListeningOpenly: on the network with keys alone only where that is asked
// for in so many words, and then it is warned of; on this machine it is fine.
func TestListeningOpenly(t *testing.T) {
	const keys = "  api_keys: [{name: a, key: {env: SB_KEY}}]\n"
	for listen, warned := range map[string]bool{"10.0.0.1:8711": true, "[::]:1": true, "127.0.0.1:8711": false, "localhost:1": false, "[::1]:1": false} {
		c, p := load(t, minimal+"server:\n  plain_http: true\n  listen: \""+listen+"\"\n"+keys)
		if p != nil || strings.Contains(c.Warnings().Error(), "without TLS") != warned {
			t.Errorf("%s: %v %v", listen, p, c.Warnings())
		}
	}
}

// TestShortKey: a key that can be guessed is warned of, by its name.
func TestShortKey(t *testing.T) {
	for key, warned := range map[string]bool{"zqsecret0123456789a": true, "zqsecret0123456789ab": false} {
		c, p := load(t, minimal+"server:\n  listen: 127.0.0.1:8711\n  api_keys: [{name: crm, key: "+key+"}]\n")
		text := c.Warnings().Error()
		if p != nil || strings.Contains(text, `the key "crm" has 19 characters`) != warned || strings.Contains(text, "zqsecret") {
			t.Errorf("%s: %v %v", key, p, text)
		}
	}
}

// TestOpenDropFolder: a folder to which everybody may write is warned of.
func TestOpenDropFolder(t *testing.T) {
	for mode, warned := range map[os.FileMode]bool{0o770: false, 0o775: false, 0o777: true, 0o707: true} {
		dir := t.TempDir()
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		c, p := load(t, minimal+"requests: {drop_folder: "+dir+"}\n")
		if p != nil || strings.Contains(c.Warnings().Error(), "every user of this machine") != warned {
			t.Errorf("%04o: %v %v", mode, p, c.Warnings())
		}
	}
}

// FuzzLoad: no input makes it panic, and no message quotes a line that holds a
// secret.
func FuzzLoad(f *testing.F) {
	example, err := os.ReadFile("../config.example.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(example), uint16(0))
	f.Add(minimal, uint16(40))
	f.Add("a: [1, {b: *c}]\n? x\n: y\n<<: *z\n!!binary a: b", uint16(3))
	f.Add("state:\n  path: |\n    a\n", uint16(9))
	f.Fuzz(func(t *testing.T, text string, at uint16) {
		const marker = "zqSECRETqz"
		i := min(int(at), len(text))
		l := newLoader("c.yaml", secrets)
		l.file([]byte(text[:i] + marker + text[i:]))
		l.cfg.whole(l.judge())
		if out := strings.ToLower(l.problems.Error() + l.warnings.Error()); strings.Contains(out, "zqsecret") {
			t.Fatalf("the message quotes the file: %s", out)
		}
	})
}
