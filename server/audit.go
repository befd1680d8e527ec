package server

import (
	"encoding/json"
	"net/http"
	"time"

	"latchd/syncer"
)

// AuditLine is one line of the answer of POST /audit, which is NDJSON: progress
// and findings while it goes on, at last its report, or an error when there was
// no audit.
type AuditLine struct {
	Progress *syncer.Progress    `json:"progress,omitempty"`
	Finding  *syncer.Finding     `json:"finding,omitempty"`
	Report   *syncer.AuditReport `json:"report,omitempty"`
	Error    *Error              `json:"error,omitempty"`
}

// findingTime is how long a line of findings may take to be read: a person may
// page through them. Nobody but this call waits for it.
const findingTime = 10 * time.Minute

func (s *Server) audit(w http.ResponseWriter, r *http.Request) (any, error) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := json.NewEncoder(w)
	line := func(l AuditLine) error {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(findingTime)) // in process there is none to set
		if err := out.Encode(l); err != nil {
			return err
		}
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
		return nil
	}
	rep, err := s.sync.Audit(r.Context(), func(p syncer.Progress) {
		_ = line(AuditLine{Progress: &p}) // a caller that is gone shows with the next finding
	}, func(f syncer.Finding) error { return line(AuditLine{Finding: &f}) })
	last := AuditLine{Report: &rep}
	if err != nil {
		e, _ := asError(err)
		last = AuditLine{Error: e}
	}
	_ = line(last) // as above
	return nil, nil
}
