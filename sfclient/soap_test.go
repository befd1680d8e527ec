package sfclient

import (
	"encoding/xml"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
)

// TestPasswordAnswers: what comes back from something other than a login that
// works, and that no secret is told.
func TestPasswordAnswers(t *testing.T) {
	success := func(result string) string {
		return `<Envelope><Body><loginResponse><result>` + result + `</result></loginResponse></Body></Envelope>`
	}
	whole := `<serverUrl>https://x.my.salesforce.com/services/Soap/u/64.0/00D000000000001</serverUrl><sessionId>00D!x</sessionId><userInfo><organizationId>00D000000000001</organizationId></userInfo>`
	for _, c := range []struct {
		name, body string
		status     int
		want       Kind
	}{
		{"a fault that echoes", `<Envelope><Body><Fault><faultcode>sf:INVALID_LOGIN</faultcode><faultstring>no ` + xmlOf(secret) + `</faultstring></Fault></Body></Envelope>`, 500, KindAuth},
		{"out of order", `<Envelope><Body><Fault><faultcode>sf:SERVER_UNAVAILABLE</faultcode><faultstring>later</faultstring></Fault></Body></Envelope>`, 500, KindTransient},
		{"a page of the edge", `<html><body>maintenance`, 503, KindTransient},
		{"a page with 200", `<html><body>sign in to the hotel<br></body></html>`, 200, KindTransient},
		{"no answer at all", ``, 200, KindMalformed},
		{"not found", `{"error":"x"}`, 404, KindAuth},
		{"expired", success(`<passwordExpired>true</passwordExpired>` + whole), 200, KindAuth},
		{"no session", success(`<userInfo><organizationId>00D000000000001</organizationId></userInfo>`), 200, KindMalformed},
		{"no org", success(strings.Replace(whole, "00D000000000001</o", "x</o", 1)), 200, KindMalformed},
		{"instance elsewhere", success(strings.Replace(whole, "https://x", "http://x", 1)), 200, KindMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := soapAnswer(t, c.status, c.body)
			if e == nil || e.Kind != c.want {
				t.Errorf("%v", e)
			}
		})
	}
}

const (
	soapUser     = "a&b</n1:username><n1:username>c@x"
	soapToken    = "t<o>k&n"
	soapPassword = secret + "&<'\">"
)

// soapAnswer has a client sign in by password, and get this answer.
func soapAnswer(t *testing.T, status int, body string) (e *Error) {
	synctest.Test(t, func(t *testing.T) {
		carry := carrier(func(r *http.Request) (*http.Response, error) {
			var got struct {
				Username string `xml:"Body>login>username"`
				Password string `xml:"Body>login>password"`
			}
			sent, err := io.ReadAll(r.Body)
			if err == nil {
				err = xml.Unmarshal(sent, &got)
			}
			if err != nil || r.URL.Path != "/services/Soap/u/64.0" || got.Username != soapUser || got.Password != soapPassword+soapToken {
				t.Errorf("%s: it sent %q, %v", r.URL.Path, got, err)
			}
			return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
		})
		client, err := New(Options{
			LoginURL: "http://127.0.0.1", APIVersion: "67.0", Transport: carry,
			Auth: Auth{Flow: FlowPassword, Username: soapUser, Password: soapPassword, SecurityToken: soapToken},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = client.Org(t.Context()); err != nil {
			e = asError(t, err)
			decent(t, e)
		}
	})
	return e
}

type carrier func(*http.Request) (*http.Response, error)

func (c carrier) RoundTrip(r *http.Request) (*http.Response, error) { return c(r) }

// FuzzSOAPLogin: what a login gives is a session or a decent error.
func FuzzSOAPLogin(f *testing.F) {
	f.Add(200, `<Envelope><Body><loginResponse><result><serverUrl>https://x/y</serverUrl><sessionId>00D!x</sessionId><userInfo><organizationId>00D000000000001</organizationId></userInfo></result></loginResponse></Body></Envelope>`)
	f.Add(500, `<Envelope><Body><Fault><faultcode>sf:INVALID_LOGIN</faultcode><faultstring>INVALID_LOGIN: no</faultstring></Fault></Body></Envelope>`)
	f.Add(200, `<html>`)
	f.Add(302, ``)
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 {
			t.Skip("no status of an answer")
		}
		soapAnswer(t, status, body)
	})
}

func xmlOf(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}
