package staxbill

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"unicode"
)

const (
	apiError      = "Api Error" // the Key of most of the service's errors
	maxDetails    = 50
	maxDetailText = 500
)

// wireRefusal is an error body: the documented shape (dev/errors), and that of
// ASP.NET, which some 404s have. Any field may be missing or of another type.
type wireRefusal struct {
	ErrorID        json.RawMessage `json:"ErrorId"`
	HTTPStatusCode json.RawMessage `json:"HttpStatusCode"`
	Errors         json.RawMessage `json:"Errors"`
	Message        json.RawMessage `json:"Message"`
	MessageDetail  json.RawMessage `json:"MessageDetail"`
}

// explained is what an error body says.
type explained struct {
	documented bool // it has the service's own shape, or a message
	routing    bool // it speaks of the address, not of a record
	details    []Detail
}

func explain(body []byte, hide func(string) string) explained {
	var e explained
	var w wireRefusal
	body = trim(body)
	if len(body) == 0 || body[0] != '{' || json.Unmarshal(body, &w) != nil {
		return e
	}
	add := func(key, value string) {
		if key+value != "" && len(e.details) < maxDetails {
			e.details = append(e.details, Detail{Key: cutText(hide(key)), Value: cutText(hide(value))})
		}
	}
	var list []json.RawMessage
	isList := json.Unmarshal(w.Errors, &list) == nil && w.Errors != nil
	for _, raw := range list {
		var d struct{ Key, Value json.RawMessage }
		if json.Unmarshal(raw, &d) == nil {
			key, _ := scalar(d.Key)
			value, _ := scalar(d.Value)
			add(key, value)
		} else if text, err := scalar(raw); err == nil {
			add("", text)
		}
	}
	if text, err := scalar(w.Errors); err == nil && !isList {
		add("", text)
	}
	message, _ := scalar(w.Message)
	add("", message)
	detail, _ := scalar(w.MessageDetail)
	status, _ := scalar(w.HTTPStatusCode)
	e.documented = isList || message != "" || status != "" && w.ErrorID != nil
	e.routing = detail != ""
	for _, d := range e.details {
		text := strings.ToLower(d.Value)
		if strings.Contains(text, "no http resource") || strings.Contains(text, "request uri") {
			e.routing = true
		}
	}
	return e
}

// cutText makes a text of the service fit for one line of a log.
func cutText(s string) string {
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "�"), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r)
	}), " ")
	if len(s) <= maxDetailText {
		return s
	}
	return strings.ToValidUTF8(s[:maxDetailText], "") + "…"
}

// refusal makes the error of a 4xx or 5xx.
func (c *Client) refusal(k call, a *answer) *Error {
	said := explain(a.body, c.hide)
	failed := k.fail(KindRefused, nil)
	failed.Status, failed.Errors, failed.Fate = a.status, said.details, FateRefused
	html := isHTML(a)
	switch {
	case a.status >= 500:
		failed.Kind, failed.Fate = KindTransient, FateUnknown
	case a.status == http.StatusUnauthorized, a.status == http.StatusBadRequest && aboutKey(said.details):
		failed.Kind, failed.Fate = KindAuth, FateNotSent
	case a.status == http.StatusTooManyRequests:
		failed.Kind, failed.Fate = KindRateLimited, FateNotSent
	case html:
		failed.Kind = KindMalformed
	case a.status == http.StatusNotFound:
		failed.Kind = KindNotFound
	}
	switch {
	case html:
		failed.err = errHTML
	case len(said.details) == 0:
		failed.err = errors.New("without a reason that can be read")
	}
	return failed
}

// errHTML is the page of an outage, or of something in between.
var errHTML = errors.New("an HTML page, which the service itself does not send")

// aboutKey recognises the documented answer to a key of a wrong format: a 400
// with "Authorization key is not in the correct format." (dev/errors).
func aboutKey(details []Detail) bool {
	for _, d := range details {
		if strings.Contains(strings.ToLower(d.Value), "authorization key") {
			return true
		}
	}
	return false
}

func isHTML(a *answer) bool {
	body := trim(a.body)
	return len(body) > 0 && body[0] == '<' ||
		strings.Contains(strings.ToLower(a.header.Get("Content-Type")), "html") && (len(body) == 0 || body[0] != '{')
}
