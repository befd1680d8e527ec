package sfclient

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"time"
)

// Look is what can be seen of Salesforce without signing in.
type Look struct {
	Versions []string  // of the REST API, such as "67.0", as the org lists them
	Now      time.Time // by its clock; zero where it tells none
	TLS      string    // such as "TLS 1.3"; empty on loopback without it
	CertEnds time.Time // of the first certificate
}

// Look asks the login URL for the versions of the REST API. It wants no session
// and counts against no limit
// (developer.salesforce.com, REST API, headers_api_usage).
func (c *Client) Look(ctx context.Context) (look Look, err error) {
	const op = "looking at the login URL"
	if e := c.retry(ctx, op, func() (e *Error) {
		look, e = c.lookOnce(ctx, op)
		return e
	}); e != nil {
		return look, e
	}
	return look, nil
}

func (c *Client) lookOnce(ctx context.Context, op string) (Look, *Error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.o.CallTimeout, errCallTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.o.LoginURL+"/services/data", nil)
	if err != nil {
		return Look{}, &Error{Kind: KindMalformed, Op: op, Message: "the login URL cannot be used"}
	}
	req.Header.Set("Accept", "application/json")
	c.userAgent(req)
	res, err := c.counted("versions", req, c.http.Do)
	if err != nil {
		return Look{}, networkError(ctx, op, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxTokenBody))
	if err != nil {
		return Look{}, networkError(ctx, op, err)
	}
	if res.StatusCode != http.StatusOK {
		return Look{}, typed(op, res, body)
	}
	var list []struct {
		Version string `json:"version"`
	}
	if err := json.Unmarshal(body, &list); err != nil || len(list) == 0 {
		return Look{}, malformed(op, "the answer is no list of versions")
	}
	look := Look{}
	for _, v := range list {
		if versionForm.MatchString(v.Version) {
			look.Versions = append(look.Versions, v.Version)
		}
	}
	look.Now, _ = http.ParseTime(res.Header.Get("Date")) // zero says it
	if res.TLS != nil {
		look.TLS = tls.VersionName(res.TLS.Version)
		if len(res.TLS.PeerCertificates) > 0 {
			look.CertEnds = res.TLS.PeerCertificates[0].NotAfter
		}
	}
	return look, nil
}
