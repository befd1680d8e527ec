package server

import (
	"encoding/json"
	"net/http"
	"time"
)

// staxError is the shape of Stax Bill's errors (dev/errors), so that a client of
// its endpoint reads ours.
type staxError struct {
	ErrorID        int              `json:"ErrorId"`
	HTTPStatusCode int              `json:"HttpStatusCode"`
	Errors         []staxErrorEntry `json:"Errors"`
}

type staxErrorEntry struct {
	Key   string `json:"Key"`
	Value string `json:"Value"`
}

// writeStaxError refuses a call of the Latch endpoint: what is wrong, and, as
// entries of their own, what may be known beside.
func writeStaxError(w http.ResponseWriter, status int, messages ...string) {
	e := staxError{HTTPStatusCode: status, Errors: []staxErrorEntry{}}
	for _, m := range messages {
		e.Errors = append(e.Errors, staxErrorEntry{"Api Error", oneLine(m)})
	}
	writeStax(w, status, e)
}

func writeStax(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // of our own types alone
		panic(err)
	}
	writeStaxBody(w, status, body)
}

func writeStaxBody(w http.ResponseWriter, status int, body []byte) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(lineTime)) // in process there is none to set
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a caller that is gone needs no answer
}
