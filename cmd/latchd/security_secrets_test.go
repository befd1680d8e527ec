package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"latchd/latch"
	"latchd/sandbox"
)

// tap stands between latchd and the sandbox. It learns the tokens that are
// issued, and can answer in the sandbox's place, echoing what it was sent.
type tap struct {
	*httptest.Server
	mu     sync.Mutex
	echo   func(w http.ResponseWriter, sent string) // nil = the sandbox answers
	at     string                                   // the beginning of the paths that are answered so
	echoed int
	tokens []string
}

func newTap(t *testing.T, sandboxURL string) *tap {
	t.Helper()
	to, err := url.Parse(sandboxURL)
	if err != nil {
		t.Fatal(err)
	}
	x := &tap{}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host
		},
		ModifyResponse: func(res *http.Response) error {
			if res.Request.URL.Path != "/services/oauth2/token" {
				return nil
			}
			body, err := io.ReadAll(res.Body)
			var token struct {
				Access string `json:"access_token"`
			}
			if json.Unmarshal(body, &token) == nil && token.Access != "" {
				x.mu.Lock()
				x.tokens = append(x.tokens, token.Access)
				x.mu.Unlock()
			}
			res.Body = io.NopCloser(bytes.NewReader(body))
			return err
		},
	}
	x.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		x.mu.Lock()
		echo := x.echo
		if echo != nil && strings.HasPrefix(r.URL.Path, x.at) {
			x.echoed++
		} else {
			echo = nil
		}
		x.mu.Unlock()
		if echo != nil {
			form, _ := url.ParseQuery(string(body))
			echo(w, r.Header.Get("Authorization")+" "+form.Get("client_secret")+form.Get("assertion")+" "+string(body))
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(x.Close)
	return x
}

func (x *tap) answer(at string, echo func(http.ResponseWriter, string)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.at, x.echo, x.echoed = at, echo, 0
}

// learnt gives how many answers were made in the sandbox's place, and the tokens
// that it issued. Handlers may still run when a process that called is gone.
func (x *tap) learnt() (echoed int, tokens []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.echoed, slices.Clone(x.tokens)
}

// guardedEstate is an estate whose every secret is planted: those that the
// sandbox gives, and those that this version only reads.
func guardedEstate(t *testing.T) (*estate, *tap, *marks) {
	t.Helper()
	e := newEstate(t, sandbox.Options{Accounts: 200, Customers: 40, Seed: 11})
	x := newTap(t, e.url)
	m := newMarks(t)
	given := map[string]string{}
	for _, s := range e.box.Settings(x.URL) {
		given[s.Name] = s.Value
	}
	m.plant("the client secret", given["LATCHD_SALESFORCE_AUTH_CLIENT_SECRET"])
	m.plant("the API key", given["LATCHD_STAXBILL_API_KEY"])
	m.plant("what the API key stands for", decoded(t, given["LATCHD_STAXBILL_API_KEY"]))
	m.plant("a caller's key", "qKEYq-of-a-caller+/=")
	m.plant("the webhook's token", "qHOOKq-token-of-the-webhook")
	m.plant("the heartbeat's token", "qBEATq-token-of-the-heartbeat")
	m.plant("the password", "qPASSq word & more")
	m.plant("the security token", "qSECTOKq-0123456789")
	m.plant("the private key", "qPRIVq-and-the-rest-of-a-key")
	m.plant("the proxy's password", "qPROXYq-pass-word")
	config := e.write("secret.yaml", fmt.Sprintf(`salesforce:
  login_url: %s
  auth:
    client_id: %s
    client_secret: %s
    private_key: "%s"
    password: "%s"
    security_token: %s
staxbill: {base_url: "%s", api_key: "%s"}
schedule: {sync: "0 0 1 1 *"}
requests: {drop_folder: %s}
server:
  listen: %s
  api_keys: [{name: crm, key: "%s", role: latch}]
notify:
  webhook_url: https://hooks.example/%s
  heartbeat_url: https://beats.example/ping?token=%s
log: {level: debug, format: json}
`, x.URL, given["LATCHD_SALESFORCE_AUTH_CLIENT_ID"], given["LATCHD_SALESFORCE_AUTH_CLIENT_SECRET"], m.planted["the private key"],
		m.planted["the password"], m.planted["the security token"], given["LATCHD_STAXBILL_BASE_URL"], given["LATCHD_STAXBILL_API_KEY"],
		e.folder("drop"), freeAddress(t), m.planted["a caller's key"], m.planted["the webhook's token"], m.planted["the heartbeat's token"]))
	e.env = append(cleanEnv(), asLatchd+"=1", "LATCHD_CONFIG="+config,
		"LATCHD_STATE_PATH="+filepath.Join(e.folder("state"), "latchd.db"), "LATCHD_SERVER_SOCKET="+filepath.Join(e.dir, "s"),
		// Loopback addresses never go through a proxy, and whoever reads it has its password.
		"HTTPS_PROXY=http://user:"+url.QueryEscape(m.planted["the proxy's password"])+"@127.0.0.1:1")
	return e, x, m
}

// freeAddress is one of loopback that nobody listened on a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func decoded(t *testing.T, key string) string {
	t.Helper()
	plain, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		t.Fatalf("the sandbox's key is not base64, as Stax Bill's is: %v", err)
	}
	return string(plain)
}

func (e *estate) folder(name string) string {
	e.t.Helper()
	path := filepath.Join(e.dir, name)
	if err := os.MkdirAll(path, 0o700); err != nil {
		e.t.Fatal(err)
	}
	return path
}

// TestSecretsStayInside: with every kind of secret set, nothing that latchd
// writes holds one: not the log at its most talkative, not the output of any
// command, not the state, a copy of it, a side file or a report, not an answer
// on the socket, not what /proc shows, and not the dump of a process that is
// made to crash.
func TestSecretsStayInside(t *testing.T) {
	e, x, m := guardedEstate(t)
	try := func(args ...string) {
		t.Helper()
		out, errs, code := e.latchd(args...)
		m.came("latchd "+strings.Join(args, " "), fmt.Sprint(out, errs, code))
	}
	try("config", "check")
	try("--once", "--dry-run")
	d := e.daemon()
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", d.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	m.came("/proc/PID/cmdline", string(cmdline))
	d.waitFor(latch.EventRunFinished)
	id := strings.TrimSpace(e.must(exitDone, "request", "add", "1000002", e.box.AccountID(100)))
	d.waitFor(latch.EventRequestDone, id)
	var listening struct{ Address string }
	if err := json.Unmarshal([]byte(d.waitFor(latch.EventListening)), &listening); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{m.planted["a caller's key"], m.planted["a caller's key"] + "x", m.planted["a caller's key"] + " x", m.planted["the API key"]} {
		for _, body := range []string{"{", fmt.Sprintf(`{"fusebillId":1000002,"salesforceId":"%s"}`, e.box.AccountID(100))} {
			got := e.call("POST", "http://"+listening.Address+"/v1/Salesforce/Latch", key, body)
			m.came("the Latch endpoint", fmt.Sprint(got))
		}
	}
	// The session ends, and a new one is asked for.
	e.box.ExpireSessions()
	for _, args := range [][]string{
		{"--once"},
		{"--once", "--output", "json"},
		{"status", "--output", "json"},
		{"request", "show", id, "--output", "json"},
		{"request", "list"},
		{"request", "import", e.write("r.csv", "fusebillId,salesforceId\n1000003,"+e.box.AccountID(101)+"\nx,y\n")},
		{"mapping", "list"},
		{"mapping", "show", "1000002"},
		{"history"},
		{"runs"},
		{"plan"},
		{"approve", "nothing"},
		{"config", "check"},
		{"version"},
		{"backup", filepath.Join(e.folder("copies"), "copy.db")},
		{"--help"},
		{"config", "check", "--help"},
		{"sandbox", "--help"},
		{"nonsense"},
		{"--output", "x"},
	} {
		try(args...)
	}
	for _, path := range []string{"/metrics", "/-/healthy", "/-/ready"} {
		got := e.call("GET", "http://"+listening.Address+path, m.planted["a caller's key"], "")
		m.came("GET "+path, fmt.Sprint(got.status, got.header, got.body))
	}
	m.came("the metrics", e.scrape(e.onSocket(), "http://latchd/metrics", "").text)
	if err := d.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	d.waitFor(latch.EventReloaded)
	// SIGQUIT is how a Go process is made to crash with the stacks of all
	// goroutines, as a panic would.
	if err := d.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	if d.end() == 0 {
		t.Error("it did not crash")
	}
	log := strings.Join(d.logs, "\n")
	if !strings.Contains(log, "goroutine ") {
		t.Error("there is no dump to look at")
	}
	m.came("the daemon's log and its dump", log)
	_, tokens := x.learnt()
	for i, token := range tokens {
		_, secret, _ := strings.Cut(token, "!")
		m.plant(fmt.Sprint("access token ", i), secret)
	}
	if len(tokens) < 3 {
		t.Errorf("%d tokens were issued", len(tokens))
	}
	m.files(e.dir, filepath.Join(e.dir, "secret.yaml"))
	m.none()
}

// TestEchoesStayInside: a service, or something in between, answers with what it
// was sent, in every form and with every status, at each call that latchd makes.
func TestEchoesStayInside(t *testing.T) {
	echoes := map[string]func(http.ResponseWriter, string){
		"an OAuth error": func(w http.ResponseWriter, sent string) {
			say(w, 400, "application/json", map[string]string{"error": "invalid_client", "error_description": "you sent " + sent})
		},
		"an OAuth code": func(w http.ResponseWriter, sent string) {
			say(w, 400, "application/json", map[string]string{"error": strings.Fields(sent)[len(strings.Fields(sent))-1]})
		},
		"Salesforce's errors": func(w http.ResponseWriter, sent string) {
			say(w, 403, "application/json", []map[string]string{{"errorCode": "INSUFFICIENT_ACCESS", "message": "session " + sent[:min(len(sent), 60)] + "…"}})
		},
		"Stax Bill's errors": func(w http.ResponseWriter, sent string) {
			say(w, 400, "application/json", map[string]any{"ErrorId": 0, "HttpStatusCode": 400, "Errors": []map[string]string{{"Key": sent, "Value": url.QueryEscape(sent)}}})
		},
		"a customer": func(w http.ResponseWriter, sent string) {
			say(w, 200, "application/json", map[string]any{"id": sent, "salesforceId": sent})
		},
		"a token": func(w http.ResponseWriter, sent string) {
			say(w, 200, "application/json", map[string]any{"access_token": "x", "instance_url": "https://" + url.PathEscape(sent), "id": sent})
		},
		"cut in the key": func(w http.ResponseWriter, sent string) {
			say(w, 401, "application/json", map[string]any{"Errors": []map[string]string{{"Key": "Api Error", "Value": "unknown key " + sent[:min(len(sent), 26)]}}})
		},
		"a page": func(w http.ResponseWriter, sent string) {
			say(w, 502, "text/html", "<html><h1>Bad Gateway</h1><pre>Authorization: "+html.EscapeString(sent)+"</pre></html>")
		},
		"base64": func(w http.ResponseWriter, sent string) {
			say(w, 401, "application/json", map[string]string{"Message": base64.StdEncoding.EncodeToString([]byte(sent))})
		},
		"a redirect": func(w http.ResponseWriter, sent string) {
			w.Header().Set("Location", "http://127.0.0.1:1/?"+url.QueryEscape(sent))
			w.WriteHeader(http.StatusFound)
		},
		"a broken answer": func(w http.ResponseWriter, sent string) {
			w.Header().Set("Content-Length", "100000")
			fmt.Fprint(w, "{\"error\":\""+sent)
			panic(http.ErrAbortHandler)
		},
		"a broken header": func(w http.ResponseWriter, sent string) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				fmt.Fprintf(conn, "%s\r\n\r\n", sent) // net/http quotes such a line
				conn.Close()
			}
		},
	}
	for name, echo := range echoes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, x, m := guardedEstate(t)
			e.must(exitDone, "request", "add", "1000002", e.box.AccountID(100))
			for _, at := range []string{"/services/oauth2", "/services/data", "/v1/customers", "/v1/Salesforce"} {
				x.answer(at, echo)
				out, errs, code := e.latchd("--once")
				if n, _ := x.learnt(); n == 0 || code == exitDone && name != "a customer" {
					t.Errorf("%s: %d answers, and it ended with %d: %s%s", at, n, code, out, errs)
				}
				m.came("latchd --once, answered so at "+at, out+errs)
			}
			x.answer("", nil)
			for _, args := range [][]string{{"runs"}, {"history"}, {"request", "list", "--output", "json"}, {"status"}} {
				out, errs, _ := e.latchd(args...)
				m.came("latchd "+strings.Join(args, " "), out+errs)
			}
			_, tokens := x.learnt()
			for i, token := range tokens {
				_, secret, _ := strings.Cut(token, "!")
				m.plant(fmt.Sprint("access token ", i), secret)
			}
			m.files(e.dir, filepath.Join(e.dir, "secret.yaml"))
			m.none()
		})
	}
}

func say(w http.ResponseWriter, status int, kind string, body any) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Date", "Tue, 24 Nov 2026 09:00:00 GMT")
	w.WriteHeader(status)
	if text, ok := body.(string); ok {
		fmt.Fprint(w, text)
		return
	}
	_ = json.NewEncoder(w).Encode(body) // a caller that is gone needs no answer
}
