package sandbox

import (
	"net/http"
	"time"
)

// replicationMax is how many ids getUpdated and getDeleted give.
const replicationMax = 600_000

func tooManyIDs() *answer {
	return sfError(http.StatusBadRequest, "EXCEEDED_ID_LIMIT", "the window holds more than 600,000 ids; ask for a shorter one")
}

// window reads start and end of getUpdated and getDeleted; seconds are ignored.
func window(c *call) (from, to int64, problem *answer) {
	start, err1 := time.Parse(time.RFC3339, c.query.Get("start"))
	end, err2 := time.Parse(time.RFC3339, c.query.Get("end"))
	if err1 != nil || err2 != nil {
		return 0, 0, sfError(http.StatusBadRequest, "INVALID_FIELD", "start and end must be dateTimes with a zone")
	}
	from, to = start.Unix()/60*60, end.Unix()/60*60
	if to-from < 60 {
		return 0, 0, sfError(http.StatusBadRequest, "INVALID_REPLICATION_DATE", "startDate before endDate by more than one minute")
	}
	return from, to, nil
}

// updated serves getUpdated: ids changed in a window of the last 30 days.
func (s *Sandbox) updated(c *call) *answer {
	from, to, problem := window(c)
	if problem != nil {
		return problem
	}
	if s.now().Sub(time.Unix(from, 0)) > 30*24*time.Hour {
		return sfError(http.StatusBadRequest, "INVALID_REPLICATION_DATE", "start date is more than 30 days ago")
	}
	ids := []string{}
	for _, i := range s.accounts.changed(func(st *accountState) bool {
		return !st.deleted && !st.purged && st.modified >= from && st.modified < to
	}) {
		ids = append(ids, s.seed.accountID(i))
	}
	if len(ids) > replicationMax {
		return tooManyIDs()
	}
	return jsonAnswer(http.StatusOK, map[string]any{"ids": ids, "latestDateCovered": s.covered(to)})
}

// deleted serves getDeleted: ids deleted in a window of the last 15 days. Purged
// ones stay in its log, which the Recycle Bin does not bound.
func (s *Sandbox) deleted(c *call) *answer {
	from, to, problem := window(c)
	if problem != nil {
		return problem
	}
	earliest := s.now().Add(-15 * 24 * time.Hour)
	if time.Unix(from, 0).Before(earliest) {
		return sfError(http.StatusBadRequest, "INVALID_REPLICATION_DATE", "start date is before the earliest date available")
	}
	type record struct {
		ID   string `json:"id"`
		Date string `json:"deletedDate"`
	}
	records := []record{}
	for _, i := range s.accounts.changed(func(st *accountState) bool {
		return st.deleted && st.deletedAt >= from && st.deletedAt < to
	}) {
		s.accounts.mu.RLock()
		st, _ := s.accounts.stateAt(i, s.accounts.changes)
		s.accounts.mu.RUnlock()
		records = append(records, record{s.seed.accountID(i), sfTime(st.deletedAt)})
	}
	if len(records) > replicationMax {
		return tooManyIDs()
	}
	return jsonAnswer(http.StatusOK, map[string]any{
		"deletedRecords": records, "earliestDateAvailable": sfTime(earliest.Unix()), "latestDateCovered": s.covered(to),
	})
}

// covered is latestDateCovered: a window that ends in the future is covered up to
// now.
func (s *Sandbox) covered(to int64) string { return sfTime(min(to, s.now().Unix())) }
