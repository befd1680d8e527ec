package sandbox

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Bulk API 2.0 query jobs: DOC/atlas.en-us.api_asynch.meta/api_asynch,
// query_create_job and its neighbours; DOC is https://developer.salesforce.com/docs.

// States of a query job.
const (
	bulkUploaded   = "UploadComplete"
	bulkInProgress = "InProgress"
	bulkComplete   = "JobComplete"
	bulkFailed     = "Failed"
	bulkAborted    = "Aborted"
)

const (
	bulkOldestVersion = 47
	bulkPagesVersion  = 58    // resultPages
	bulkListPage      = 1_000 // jobs on a page of the list
	bulkResultLife    = 7 * 24 * time.Hour
	maxBulkJobs       = 20_000     // jobs remembered, finished and others; the oldest is forgotten first
	maxBulkPage       = 50_000_000 // rows
)

// BulkPace is how query jobs get on that are made from now on. A job is complete
// when it has been looked at Polls times and Duration has passed, and half-way
// there it is InProgress. What it saw is what the accounts were at that moment.
type BulkPace struct {
	Polls    int           // GETs of the job; the last of them shows JobComplete
	Duration time.Duration // by the sandbox's clock
	Fail     string        // not empty: the job ends as Failed, with this errorMessage
	PageRows int           // rows of a page for which no maxRecords is given; 0 = 250,000
}

var defaultBulkPace = BulkPace{Polls: 2, PageRows: 250_000}

func (p BulkPace) check() error {
	if p.Polls < 0 || p.Duration < 0 || p.PageRows < 0 || p.PageRows > maxBulkPage {
		return errors.New("sandbox: the pace of bulk jobs cannot be negative, nor a page longer than 50,000,000 rows")
	}
	return nil
}

// bulk is the org's query jobs.
type bulk struct {
	mu    sync.Mutex
	pace  BulkPace
	made  int
	byID  map[string]*bulkJob
	order []*bulkJob // as they were made
	open  map[*bulkJob]bool
	quota bulkQuota
}

func newBulk() *bulk {
	return &bulk{pace: defaultBulkPace, byID: map[string]*bulkJob{}, open: map[*bulkJob]bool{}}
}

// bulkJob is one query job; what may change is guarded by bulk.mu.
type bulkJob struct {
	id      string
	number  int // 1 = the first one
	all     bool
	version string
	query   *checked
	format  csvFormat
	created time.Time
	pace    BulkPace

	state  string
	moved  time.Time // of the last change of state
	polls  int
	result *bulkResult // when JobComplete
	gone   bool        // its results are
}

// SetBulkPace says how query jobs get on that are made from now on.
func (s *Sandbox) SetBulkPace(p BulkPace) error {
	if err := p.check(); err != nil {
		return err
	}
	p.PageRows = cmp.Or(p.PageRows, defaultBulkPace.PageRows)
	s.bulk.mu.Lock()
	defer s.bulk.mu.Unlock()
	s.bulk.pace = p
	return nil
}

// ExpireBulkResults takes away the results of all jobs that are complete, as
// after seven days.
func (s *Sandbox) ExpireBulkResults() {
	now := s.now()
	s.bulk.mu.Lock()
	defer s.bulk.mu.Unlock()
	for _, j := range s.bulk.order {
		s.advance(j, now)
		j.gone = j.gone || j.state == bulkComplete
	}
}

// advanceBulk brings open jobs up to date, ahead of each change of an account, so
// that a job that was due before does not see it.
func (s *Sandbox) advanceBulk() {
	now := s.now()
	s.bulk.mu.Lock()
	defer s.bulk.mu.Unlock()
	for j := range s.bulk.open {
		s.advance(j, now)
	}
}

// advance moves a job to the state in which it is by now. The caller holds
// bulk.mu.
func (s *Sandbox) advance(j *bulkJob, now time.Time) {
	if !s.bulk.open[j] {
		return
	}
	elapsed := now.Sub(j.created)
	switch p := j.pace; {
	case j.polls < p.Polls || elapsed < p.Duration:
		if j.state == bulkUploaded && 2*j.polls >= p.Polls && 2*elapsed >= p.Duration {
			j.state, j.moved = bulkInProgress, now
		}
	case p.Fail != "":
		s.bulk.end(j, bulkFailed, now)
	default:
		j.result = newBulkResult(s.accounts, j)
		s.bulk.end(j, bulkComplete, now)
	}
}

func (b *bulk) end(j *bulkJob, state string, now time.Time) {
	j.state, j.moved = state, now
	delete(b.open, j)
}

func (b *bulk) forget(j *bulkJob) {
	delete(b.byID, j.id)
	delete(b.open, j)
	b.order = slices.DeleteFunc(b.order, func(o *bulkJob) bool { return o == j })
}

// routeBulk finds the resource under jobs/query, and the method that it takes.
func (s *Sandbox) routeBulk(c *call, number float64, rest string) (string, func(*call) *answer) {
	id, part, _ := strings.Cut(rest, "/")
	get := http.MethodGet
	c.name = callBulkJob
	switch {
	case number < bulkOldestVersion:
	case rest == "" && c.r.Method == http.MethodPost:
		c.name = callBulkCreate
		return http.MethodPost, s.bulkCreate
	case rest == "":
		c.name = callBulkList
		return get, s.bulkList
	case part == "" && c.r.Method == http.MethodPatch:
		c.name = callBulkAbort
		return http.MethodPatch, s.withJob(id, s.bulkAbort)
	case part == "" && c.r.Method == http.MethodDelete:
		c.name = callBulkDelete
		return http.MethodDelete, s.withJob(id, s.bulkDelete)
	case part == "":
		return get, s.bulkShow(id)
	case part == "results":
		c.name = callBulkResults
		return get, s.bulkResults(id, s.bulkPage)
	case strings.EqualFold(part, "resultPages") && number >= bulkPagesVersion:
		// The official sample of the next link writes resultpages.
		c.name = callBulkPages
		return get, s.bulkResults(id, s.bulkPages)
	}
	return c.r.Method, func(*call) *answer { return sfNotFound() }
}

// withJob runs serve on a job that is up to date, under bulk.mu. The only answer
// of its own is that there is no such job.
func (s *Sandbox) withJob(id string, serve func(*call, *bulkJob) *answer) func(*call) *answer {
	return func(c *call) *answer {
		s.bulk.mu.Lock()
		defer s.bulk.mu.Unlock()
		id18, _ := to18(id)
		j, ok := s.bulk.byID[id18]
		if !ok {
			return sfNotFound()
		}
		s.advance(j, c.at)
		return serve(c, j)
	}
}

// bulkCreate serves POST jobs/query.
func (s *Sandbox) bulkCreate(c *call) *answer {
	query, format, all, refused := s.bulkOrder(c.body)
	if refused != nil {
		return refused
	}
	b := s.bulk
	b.mu.Lock()
	defer b.mu.Unlock()
	if refused = b.quota.take(c.at); refused != nil {
		return refused
	}
	b.made++
	id15 := "750" + s.seed.codes[0] + base62(uint64(b.made), 9)
	j := &bulkJob{
		id: id15 + suffixOf(id15), number: b.made, all: all, version: c.version, query: query, format: format,
		created: c.at, moved: c.at, pace: b.pace, state: bulkUploaded,
	}
	b.byID[j.id], b.open[j] = j, true
	b.order = append(b.order, j)
	if len(b.order) > maxBulkJobs {
		b.forget(b.order[0])
	}
	info := s.bulkInfo(j)
	info.formatOf(j)
	return jsonAnswer(http.StatusOK, info)
}

// bulkShow serves GET of one job; this is what counts as a poll. Rows are counted
// without the lock, as the first count walks all accounts.
func (s *Sandbox) bulkShow(id string) func(*call) *answer {
	return func(c *call) *answer {
		var info bulkInfo
		var result *bulkResult
		missing := s.withJob(id, func(c *call, j *bulkJob) *answer {
			j.polls++
			s.advance(j, c.at)
			info, result = s.bulkInfo(j), j.result
			info.formatOf(j)
			info.JobType, info.bulkProgress = "V2Query", &bulkProgress{PKChunking: true}
			if j.state == bulkComplete {
				info.Millis = j.moved.Sub(j.created).Milliseconds()
			}
			if j.state == bulkFailed && s.variants.get(VariantBulkErrorMessage) == "present" {
				info.ErrorMessage = j.pace.Fail
			}
			return nil
		})(c)
		if missing != nil {
			return missing
		}
		if result != nil {
			info.Records = result.rows()
		}
		return jsonAnswer(http.StatusOK, info)
	}
}

// bulkAbort serves PATCH {"state":"Aborted"} (query_abort_job).
func (s *Sandbox) bulkAbort(c *call, j *bulkJob) *answer {
	var body struct {
		State string `json:"state"`
	}
	if err := json.Unmarshal(c.body, &body); err != nil || body.State != bulkAborted {
		return (&sfProblem{"API_ERROR", "A query job can only be updated to the state Aborted"}).answer()
	}
	if !s.bulk.open[j] {
		return (&sfProblem{"API_ERROR", "Aborting already " + j.state + " Job not allowed"}).answer()
	}
	s.bulk.end(j, bulkAborted, c.at)
	return jsonAnswer(http.StatusOK, s.bulkInfo(j))
}

// bulkDelete serves DELETE of a job that has ended (query_delete_job).
func (s *Sandbox) bulkDelete(_ *call, j *bulkJob) *answer {
	if s.bulk.open[j] {
		return (&sfProblem{"API_ERROR", "Error encountered when deleting the job because the job is not terminated"}).answer()
	}
	s.bulk.forget(j)
	return newAnswer(http.StatusNoContent, "", nil)
}

// bulkList serves GET jobs/query (query_get_all_jobs).
func (s *Sandbox) bulkList(c *call) *answer {
	var out struct {
		Done    bool       `json:"done"`
		Records []bulkInfo `json:"records"`
		Next    *string    `json:"nextRecordsUrl"`
	}
	out.Done, out.Records = true, []bulkInfo{}
	kind, after := c.query.Get("jobType"), 0
	if locator := c.query.Get("queryLocator"); locator != "" {
		if _, err := fmt.Sscanf(locator, "750-%d", &after); err != nil {
			return (&sfProblem{"INVALID_QUERY_LOCATOR", "invalid query locator"}).answer()
		}
	}
	s.bulk.mu.Lock()
	defer s.bulk.mu.Unlock()
	for _, j := range s.bulk.order {
		if j.number <= after || kind != "" && kind != "V2Query" {
			continue
		}
		if len(out.Records) == bulkListPage {
			next := fmt.Sprintf("/services/data/v%s/jobs/query?queryLocator=750-%d", c.version, after)
			out.Done, out.Next = false, &next
			break
		}
		s.advance(j, c.at)
		info := s.bulkInfo(j)
		info.formatOf(j)
		info.JobType = "V2Query"
		out.Records, after = append(out.Records, info), j.number
	}
	return jsonAnswer(http.StatusOK, out)
}
