package sandbox

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
)

// org is who the Salesforce side is.
type org struct {
	id, userID             string
	name, username         string
	clientID, clientSecret string
}

func newOrg(seed seeding) org {
	id := seed.record("00D", 0)
	return org{
		id:           id,
		userID:       seed.record("005", 1),
		name:         "Sandbox Org " + id[10:15],
		username:     "integration@" + fmt.Sprintf("%x", seed.hash(domainOrg, 7)>>40) + ".example.com",
		clientID:     "3MVG9" + seed.secret(1, 80),
		clientSecret: seed.secret(2, 64),
	}
}

// Username is the integration user's name, the subject of a JWT assertion.
func (s *Sandbox) Username() string { return s.org.username }

// Password is what the legacy username-password flow asks for, together with
// SecurityToken, where the variant salesforce.password-flow allows it.
func (s *Sandbox) Password() string { return s.seed.secret(3, 16) }

// SecurityToken is appended to Password by the legacy flow.
func (s *Sandbox) SecurityToken() string { return s.seed.secret(4, 24) }

// allocation is the org's allowance of API calls in 24 hours.
type allocation struct {
	mu        sync.Mutex
	max, used int
}

func newAllocation() *allocation { return &allocation{max: 100_000} }

// SetDailyAllocation sets how many API calls the org may make in 24 hours, and
// how many of them are spent. Beyond it every call is refused with
// REQUEST_LIMIT_EXCEEDED. The sandbox never gives calls back by itself.
func (s *Sandbox) SetDailyAllocation(max, used int) error {
	if max < 0 || used < 0 {
		return fmt.Errorf("sandbox: a daily allocation of %d calls with %d spent is none; give numbers from 0 on", max, used)
	}
	s.allocation.mu.Lock()
	defer s.allocation.mu.Unlock()
	s.allocation.max, s.allocation.used = max, used
	return nil
}

// spend takes one call, and says whether there was one left.
func (a *allocation) spend() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.used >= a.max {
		return false
	}
	a.used++
	return true
}

func (a *allocation) left() (max, used int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.max, a.used
}

// header is Sforce-Limit-Info (DOC headers_api_usage).
func (a *allocation) header(h http.Header) {
	max, used := a.left()
	h.Set("Sforce-Limit-Info", "api-usage="+strconv.Itoa(used)+"/"+strconv.Itoa(max))
}

// limits serves GET /limits.
func (s *Sandbox) limits(c *call) *answer {
	type limit struct{ Max, Remaining int }
	max, used := s.allocation.left()
	jobs, storageMB := s.bulk.left(c.at)
	return jsonAnswer(http.StatusOK, map[string]limit{
		"DailyApiRequests":                  {max, max - used},
		"DailyBulkV2QueryJobs":              {bulkJobsPerDay, jobs},
		"DailyBulkV2QueryFileStorageMB":     {bulkKBPerDay / 1024, storageMB},
		"DailyBulkApiBatches":               {15_000, 15_000},
		"DataStorageMB":                     {1_024, 900},
		"FileStorageMB":                     {1_024, 1_024},
		"ConcurrentAsyncGetReportInstances": {200, 200},
	})
}
