package sandbox

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Token response: no expires_in, issued_at in milliseconds as a text, and an
// identity URL with org and user id (help.salesforce.com, OAuth client credentials).
func TestTokenResponse(t *testing.T) {
	w := newWorld(t, Options{})
	r := w.send("POST", "/services/oauth2/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {w.org.clientID}, "client_secret": {w.org.clientSecret},
	}.Encode(), nil)
	wantStatus(t, r, 200)
	var out map[string]any
	r.decode(t, &out)
	if _, ok := out["expires_in"]; ok {
		t.Error("Salesforce sends no expires_in")
	}
	equal(t, "token_type", out["token_type"], any("Bearer"))
	equal(t, "issued_at", out["issued_at"], any("1772600767000"))
	equal(t, "instance_url", out["instance_url"], any(w.url))
	equal(t, "id", out["id"], any(w.url+"/id/"+w.OrgID()+"/"+w.org.userID))
	for _, name := range []string{"access_token", "signature", "scope", "api_instance_url"} {
		if text, _ := out[name].(string); text == "" {
			t.Errorf("%s is missing", name)
		}
	}
}

// OAuth errors are an object with error and error_description, and 400
// (help.salesforce.com, OAuth flow errors).
func TestTokenErrors(t *testing.T) {
	w := newWorld(t, Options{})
	id, secret := w.org.clientID, w.org.clientSecret
	for _, one := range []struct {
		form url.Values
		code string
	}{
		{url.Values{"grant_type": {"client_credentials"}, "client_id": {"x"}, "client_secret": {secret}}, "invalid_client_id"},
		{url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {"x"}}, "invalid_client"},
		{url.Values{"grant_type": {"magic"}, "client_id": {id}}, "unsupported_grant_type"},
		{url.Values{}, "invalid_request"},
		// Blocked by default in orgs made since Summer '23.
		{url.Values{"grant_type": {"password"}, "client_id": {id}, "client_secret": {secret}, "username": {w.Username()}, "password": {w.Password() + w.SecurityToken()}}, "invalid_grant"},
	} {
		r := w.send("POST", "/services/oauth2/token", one.form.Encode(), nil)
		var out struct {
			Error       string `json:"error"`
			Description string `json:"error_description"`
		}
		r.decode(t, &out)
		if r.status != 400 || out.Error != one.code || out.Description == "" {
			t.Errorf("%v: %d %s, want 400 %s", one.form.Get("grant_type"), r.status, r.body, one.code)
		}
	}
}

// Grants in a row give the same token until it has expired; the session slides
// with use.
func TestSameTokenUntilItExpires(t *testing.T) {
	w := newWorld(t, Options{})
	first := w.signIn()
	w.pass(time.Hour)
	equal(t, "second token", w.signIn(), first)
	w.pass(sessionIdle - time.Minute)
	wantStatus(t, w.send("GET", dataRoot+"/limits", "", map[string]string{"Authorization": "Bearer " + first}), 200)
	w.pass(sessionIdle)
	wantStatus(t, w.send("GET", dataRoot+"/limits", "", map[string]string{"Authorization": "Bearer " + first}), 401)
	if w.signIn() == first {
		t.Error("an expired token was given again")
	}
}

// An expired session is 401 with an array body (REST API, session expiry).
func TestExpiredSession(t *testing.T) {
	w := newWorld(t, Options{})
	old := w.signIn()
	w.ExpireSessions()
	for _, header := range []string{"Bearer " + old, "Bearer x", "", "Basic " + old} {
		r := w.send("GET", dataRoot+"/query?q=SELECT+Id+FROM+Account", "", map[string]string{"Authorization": header})
		wantStatus(t, r, 401)
		equal(t, "body", r.body, `[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]`)
	}
}

// JWT bearer: RS256, iss, sub, aud; an exp in milliseconds and one as a text pass,
// as clients in the field send them.
func TestJWTBearer(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	must(t, err)
	w := newWorld(t, Options{JWTPublicKey: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))})
	exp := testNow.Add(3 * time.Minute).Unix()
	good := func() jwt.MapClaims {
		return jwt.MapClaims{"iss": w.org.clientID, "sub": w.Username(), "aud": "https://login.salesforce.com", "exp": exp}
	}
	with := func(name string, v any) jwt.MapClaims {
		c := good()
		c[name] = v
		return c
	}
	for name, one := range map[string]struct {
		claims jwt.MapClaims
		key    *rsa.PrivateKey
		answer string
	}{
		"good":            {good(), key, "access_token"},
		"exp in ms":       {with("exp", testNow.UnixMilli()+300), key, "access_token"},
		"exp as text":     {with("exp", "1772600947"), key, "access_token"},
		"own address":     {with("aud", w.url), key, "access_token"},
		"expired":         {with("exp", testNow.Unix()-1), key, "expired authorization code"},
		"no exp":          {with("exp", nil), key, "expired authorization code"},
		"other audience":  {with("aud", "https://example.com"), key, "audience is invalid"},
		"other user":      {with("sub", "x@example.com"), key, "user hasn't approved this consumer"},
		"other app":       {with("iss", "x"), key, "invalid_client_id"},
		"other signature": {good(), other, "invalid_grant"},
	} {
		text, err := jwt.NewWithClaims(jwt.SigningMethodRS256, one.claims).SignedString(one.key)
		must(t, err)
		r := w.send("POST", "/services/oauth2/token", url.Values{"grant_type": {grantJWT}, "assertion": {text}}.Encode(), nil)
		if !strings.Contains(r.body, one.answer) {
			t.Errorf("%s: %d %s, want %s", name, r.status, r.body, one.answer)
		}
	}
}

func TestIdentity(t *testing.T) {
	w := newWorld(t, Options{})
	for _, path := range []string{"/services/oauth2/userinfo", "/id/" + w.OrgID() + "/" + w.org.userID} {
		wantStatus(t, w.sf("GET", path, ""), 200, `"organization_id":"`+w.OrgID()+`"`, w.org.userID)
	}
}

// The legacy username-password flow, where an admin has allowed it again.
func TestPasswordFlow(t *testing.T) {
	w := newWorld(t, Options{})
	must(t, w.SetVariant(VariantPasswordFlow, "allowed"))
	form := url.Values{"grant_type": {"password"}, "client_id": {w.org.clientID}, "client_secret": {w.org.clientSecret}, "username": {w.Username()}, "password": {w.Password() + w.SecurityToken()}}
	wantStatus(t, w.send("POST", "/services/oauth2/token", form.Encode(), nil), 200, "access_token")
	form.Set("password", w.Password())
	wantStatus(t, w.send("POST", "/services/oauth2/token", form.Encode(), nil), 400, "authentication failure")
}
