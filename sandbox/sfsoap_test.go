package sandbox

import (
	"fmt"
	"testing"
)

func TestSOAPLogin(t *testing.T) {
	w := newWorld(t, Options{})
	envelope := func(user, password string) string {
		return fmt.Sprintf(`<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><login xmlns="urn:partner.soap.sforce.com"><username>%s</username><password>%s</password></login></e:Body></e:Envelope>`, user, password)
	}
	good := envelope(w.Username(), w.Password()+w.SecurityToken())
	wantStatus(t, w.send("POST", "/services/Soap/u/64.0", good, nil), 200, "<sessionId>", "<organizationId>"+w.OrgID())
	for body, want := range map[string]string{
		envelope(w.Username(), w.Password()):                            "INVALID_LOGIN",
		envelope("someone@example.com", w.Password()+w.SecurityToken()): "INVALID_LOGIN",
		"<Envelope/>": "UNKNOWN_EXCEPTION",
	} {
		wantStatus(t, w.send("POST", "/services/Soap/u/64.0", body, nil), 500, want)
	}
	wantStatus(t, w.send("POST", "/services/Soap/u/65.0", good, nil), 500, "INVALID_OPERATION")
	wantStatus(t, w.send("POST", "/services/Soap/u/30.0", good, nil), 500, "UNSUPPORTED_API_VERSION")
	must(t, w.SetVariant(VariantSOAPLogin, "disabled"))
	wantStatus(t, w.send("POST", "/services/Soap/u/64.0", good, nil), 500, "disabled by default")
}
