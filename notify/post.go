package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"latchd/network"
)

// The settings that messages about receivers name.
const (
	settingHeartbeat = "notify.heartbeat_url"
	settingWebhook   = "notify.webhook_url"
)

// maxAnswer bounds what is read of an answer, in bytes; nobody looks at it.
const maxAnswer = 64 << 10

var errAddress = errors.New("it is no address that can be called")

// post makes one call. Its error never holds the address.
func (n *Notifier) post(ctx context.Context, address, kind string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return errAddress
	}
	req.Header.Set("Content-Type", kind)
	if n.agent != "" {
		req.Header.Set("User-Agent", n.agent)
	}
	res, err := n.http.Do(req)
	if err != nil {
		if t := net.Error(nil); errors.As(err, &t) && t.Timeout() {
			return fmt.Errorf("it gave no answer within %s", callTimeout)
		}
		return errors.New(network.Words(err))
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, maxAnswer) // so that the connection can serve again
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("it answered %d", res.StatusCode)
	}
	return nil
}
