package main

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"latchd/config"
)

// allSettings is a configuration in which each setting may be changed alone.
const allSettings = `salesforce:
  login_url: https://example.my.salesforce.com
  auth: {client_id: id, client_secret: s1, username: u, private_key: k1, password: p1, security_token: t1}
staxbill: {api_key: k2}
server:
  listen: 127.0.0.1:8711
  api_keys: [{name: a, key: "0123456789abcdef0123456789abcdef", role: latch}]
  tls: {cert_file: DIR/tls.pem, key_file: DIR/tls.key}
`

// otherValues has, for settings whose other value does not follow from their
// kind, one that is right.
var otherValues = map[string]string{
	"salesforce.login_url": "https://other.my.salesforce.com", "salesforce.api_version": "66.0", "salesforce.auth.flow": "password",
	"salesforce.auth.audience": "https://test.salesforce.com", "salesforce.request_field": "Other__c",
	"staxbill.base_url": "https://stg-secure.fusebill.com/v1",
	"schedule.sync":     "@every 20m", "schedule.full": "0 4 * * 0", "schedule.timezone": "Europe/Berlin",
	"requests.drop_folder": "/drop", "requests.shared_account": "refuse",
	"state.path": "/other.db", "state.keep_history": "25h", "server.socket": "/other.sock", "server.listen": "127.0.0.1:8712",
	"server.tls.cert_file": "DIR/again.pem", "server.tls.key_file": "DIR/again.key",
	"notify.heartbeat_url": "https://example.org/h", "notify.webhook_url": "https://example.org/w",
	"log.level": "debug", "log.format": "json",
}

func otherValue(path, kind string) string {
	if v, ok := otherValues[path]; ok {
		return v
	}
	switch {
	case strings.HasPrefix(kind, "duration"):
		return "4m"
	case strings.HasPrefix(kind, "whole number"):
		return "7"
	case kind == "true or false":
		return "true"
	}
	return "another"
}

// TestEverySettingIsTakenOver: of each setting that docs/configuration.md has,
// changed alone, what the page says is so: either a reload takes it over, or it is
// told as needing a restart.
func TestEverySettingIsTakenOver(t *testing.T) {
	e := &estate{t: t, dir: t.TempDir()}
	certFile, keyFile, _ := e.ownCertificate("127.0.0.1")
	for from, to := range map[string]string{certFile: "again.pem", keyFile: "again.key"} {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		e.write(to, string(data))
	}
	load := func(text string, env ...string) *config.Config {
		t.Helper()
		for i := range env {
			env[i] = strings.ReplaceAll(env[i], "DIR", e.dir)
		}
		c, err := config.Load(e.write("c.yaml", strings.ReplaceAll(text, "DIR", e.dir)), env)
		if err != nil {
			t.Fatal(env, err)
		}
		return c
	}
	began := load(allSettings)
	rows := regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\| `([A-Z_]+)` \\| ([^|]+) \\| [^|]+ \\| on (SIGHUP|restart) \\|").FindAllStringSubmatch(config.Reference(), -1)
	if len(rows) < 48 { // the page must not go blind
		t.Fatalf("only %d settings were found", len(rows))
	}
	for _, row := range rows {
		name, onReload := row[1], row[4] == "SIGHUP"
		now := load(allSettings, row[2]+"="+otherValue(name, row[3]))
		if reflect.DeepEqual(began, now) {
			t.Errorf("%s was not changed", name)
		}
		told := config.NeedRestart(began, now)
		switch {
		case onReload && len(told) > 0:
			t.Errorf("%s is taken over, and a restart is wanted for %v", name, told)
		case !onReload && !slices.Equal(told, []string{name}):
			t.Errorf("%s wants a restart, and told is %v", name, told)
		case onReload && name != "server.plain_http" && reflect.DeepEqual(liveOf(began), liveOf(now)): // that one only lets others be
			t.Errorf("%s is to be taken over on SIGHUP and is not", name)
		case !onReload && name != "staxbill.concurrency" && !reflect.DeepEqual(liveOf(began), liveOf(now)): // runs take that over, the client does not
			t.Errorf("%s is to wait for a restart and is taken over", name)
		}
	}
	if told := config.NeedRestart(began, began); told != nil {
		t.Errorf("nothing was changed, and a restart is wanted for %v", told)
	}

	// What stands in the file alone, and the end of TLS.
	for text, want := range map[string][]string{
		strings.Replace(allSettings, "name: a", "name: b", 1):                                           nil,
		strings.Replace(allSettings, "  tls: {cert_file: DIR/tls.pem, key_file: DIR/tls.key}\n", "", 1): {"server.tls"},
		strings.Replace(allSettings, "client_id: id", "client_id: other, audience: https://o.x", 1):     {"salesforce.auth.client_id", "salesforce.auth.audience"},
	} {
		now := load(text)
		if told := config.NeedRestart(began, now); !slices.Equal(told, want) {
			t.Errorf("told is %v, want %v, of\n%s", told, want, text)
		}
		if want == nil && reflect.DeepEqual(liveOf(began), liveOf(now)) {
			t.Errorf("the keys are not taken over of\n%s", text)
		}
	}
}
