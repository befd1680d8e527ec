package sandbox

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// soap serves login() of the partner API, the one SOAP call that there is here.
// Its namespaces are looked at: what a client sends has to be the real thing.
func (s *Sandbox) soap(c *call) *answer {
	version, err := strconv.ParseFloat(strings.TrimPrefix(strings.TrimSuffix(c.r.URL.Path, "/"), "/services/Soap/u/"), 64)
	if err != nil || version < oldestVersion || version > newestVersion {
		return soapFault("UNSUPPORTED_API_VERSION", "Invalid Api version specified on URL")
	}
	var call struct {
		XMLName xml.Name `xml:"http://schemas.xmlsoap.org/soap/envelope/ Envelope"`
		Body    struct {
			Login *struct {
				Username string `xml:"urn:partner.soap.sforce.com username"`
				Password string `xml:"urn:partner.soap.sforce.com password"`
			} `xml:"urn:partner.soap.sforce.com login"`
		} `xml:"http://schemas.xmlsoap.org/soap/envelope/ Body"`
	}
	switch err := xml.Unmarshal(c.body, &call); {
	case c.r.Method != http.MethodPost, err != nil, call.Body.Login == nil:
		return soapFault("UNKNOWN_EXCEPTION", "the body is no call of login")
	case version >= 65:
		return soapFault("INVALID_OPERATION", "SOAP API login() is not available in API version 65.0 and later")
	case s.variants.get(VariantSOAPLogin) == "disabled":
		return soapFault("INVALID_OPERATION", "SOAP API login() is disabled by default in this org.")
	case call.Body.Login.Username != s.org.username, call.Body.Login.Password != s.Password()+s.SecurityToken():
		return soapFault("INVALID_LOGIN", "Invalid username, password, security token; or user locked out.")
	}
	base := baseURL(c.r)
	return newAnswer(http.StatusOK, "text/xml; charset=utf-8", fmt.Appendf(nil, `<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns="urn:partner.soap.sforce.com" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><loginResponse><result><metadataServerUrl>%[1]s/services/Soap/m/%[2]s/%[3]s</metadataServerUrl><passwordExpired>false</passwordExpired><sandbox>false</sandbox><serverUrl>%[1]s/services/Soap/u/%[2]s/%[3]s</serverUrl><sessionId>%[4]s</sessionId><userId>%[5]s</userId><userInfo><organizationId>%[3]s</organizationId><userFullName>Integration User</userFullName><userName>%[6]s</userName></userInfo></result></loginResponse></soapenv:Body></soapenv:Envelope>`,
		base, strconv.FormatFloat(version, 'f', 1, 64), s.org.id, s.sessions.grant(s.org.id, s.now(), s.seed.secret), s.org.userID, xmlText(s.org.username)))
}

// soapFault is how SOAP refuses, with 500 whatever the cause.
func soapFault(code, text string) *answer {
	return newAnswer(http.StatusInternalServerError, "text/xml; charset=utf-8", fmt.Appendf(nil, `<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:sf="urn:fault.partner.soap.sforce.com"><soapenv:Body><soapenv:Fault><faultcode>sf:%[1]s</faultcode><faultstring>%[1]s: %[2]s</faultstring></soapenv:Fault></soapenv:Body></soapenv:Envelope>`, code, xmlText(text)))
}

func xmlText(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}
