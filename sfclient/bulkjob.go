package sfclient

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"go.uber.org/zap"

	"latchd/latch"
)

// Kinds of calls of the Bulk API, for the count.
const (
	callBulkJob     = "bulkJob"
	callBulkResults = "bulkResults"
)

const (
	makingJob  = "asking for a bulk query job"
	pollingJob = "waiting for a bulk query job"
	endingJob  = "deleting a bulk query job"
)

// States of a query job
// (developer.salesforce.com, Bulk API 2.0, query_get_one_job).
const (
	jobUploaded   = "UploadComplete"
	jobInProgress = "InProgress"
	jobComplete   = "JobComplete"
	jobAborted    = "Aborted"
	jobFailed     = "Failed"
)

// jobIDForm is the id of a query job, of 15 or 18 characters.
var jobIDForm = regexp.MustCompile(`^750[0-9A-Za-z]{12}([0-9A-Za-z]{3})?$`)

// jobInfo is what Salesforce tells of a job.
type jobInfo struct {
	ID      string `json:"id"`
	State   string `json:"state"`
	Records *int   `json:"numberRecordsProcessed"` // not in the answer to its creation
	Message string `json:"errorMessage"`           // of a failed one, not always
}

// readJob reads a job; id is the one that was asked for, "" at its creation.
func readJob(op, id string, body []byte) (jobInfo, *Error) {
	var info jobInfo
	if json.Unmarshal(body, &info) != nil || !jobIDForm.MatchString(info.ID) {
		return info, malformed(op, "the answer is not a query job")
	}
	if id != "" && info.ID[:15] != id[:15] {
		return info, malformed(op, "the answer is about another job")
	}
	switch info.State {
	case jobUploaded, jobInProgress, jobAborted, jobFailed:
	case jobComplete:
		if id != "" && (info.Records == nil || *info.Records < 0) {
			return info, malformed(op, "the job is complete and does not say how many rows it has")
		}
	default:
		return info, malformed(op, "the job is in a state that is not known")
	}
	return info, nil
}

// everyID is the query of a full pull.
const everyID = "SELECT Id FROM Account"

// createJob has Salesforce begin with a query. ORDER BY would switch its
// PK chunking off. A call whose answer is lost may leave a job that nobody uses;
// Salesforce drops it after seven days.
func (c *Client) createJob(ctx context.Context, soql string) (latch.PullJob, error) {
	org, err := c.Org(ctx)
	if err != nil {
		return latch.PullJob{}, err
	}
	job := latch.PullJob{APIVersion: c.o.APIVersion, Org: org}
	order, _ := json.Marshal(map[string]string{"operation": "query", "query": soql}) // maps of strings always can be
	if err := c.retry(ctx, makingJob, func() *Error {
		body, header, err := c.jobCall(ctx, makingJob, http.MethodPost, bulkPath(job), order)
		if err != nil {
			return refusedByBulk(err)
		}
		info, err := readJob(makingJob, "", body)
		if err != nil {
			return err
		}
		at, dateErr := serverTime(makingJob, header)
		if dateErr != nil {
			return malformed(makingJob, "the answer has no Date, so no watermark can be taken")
		}
		job.ID, job.CreatedAt, job.Watermark = info.ID, time.Now().UTC(), at
		return nil
	}); err != nil {
		return latch.PullJob{}, err
	}
	return job, nil
}

// refusedByBulk types the refusal of a new job: what only stands in the way of
// the Bulk API is KindBulkRefused.
func refusedByBulk(err *Error) *Error {
	switch err.Kind {
	case KindBadQuery, KindPermission, KindMalformed:
		if err.Status/100 == 4 {
			err.Kind = KindBulkRefused
		}
	}
	return err
}

// goneWith types a refusal of what a job was asked for: the job, or what it
// found, is there no more.
func goneWith(err *Error) *Error {
	switch err.Kind {
	case KindBadQuery, KindPermission, KindMalformed:
		if err.Status/100 == 4 {
			err.Kind = KindBulkGone
		}
	}
	return err
}

// Between two looks at a job it waits from pollFirst on, half as long again each
// time, to pollMax: some 740 calls in bulkLife.
const (
	pollFirst = 500 * time.Millisecond
	pollMax   = time.Minute
	// bulkLife is how long after its creation a job is waited for, or carried on
	// with. Salesforce keeps results for seven days, yet the older they are the
	// more changes have to be asked for after them.
	bulkLife = 12 * time.Hour
)

// awaitJob waits until a job is complete, and gives how many rows it has. polled
// is called after each look at one that is not.
func (c *Client) awaitJob(ctx context.Context, job latch.PullJob, polled func() error) (rows int, err error) {
	for wait := pollFirst; ; wait = min(wait*3/2, pollMax) {
		var info jobInfo
		if err := c.retry(ctx, pollingJob, func() *Error {
			body, _, err := c.jobCall(ctx, pollingJob, http.MethodGet, bulkPath(job), nil)
			if err != nil {
				return goneWith(err)
			}
			info, err = readJob(pollingJob, job.ID, body)
			return err
		}); err != nil {
			return 0, err
		}
		switch info.State {
		case jobComplete:
			return *info.Records, nil
		case jobFailed, jobAborted:
			e := &Error{Kind: KindBulkRefused, Op: pollingJob, Message: "the job ended as " + info.State}
			if info.Message != "" && !quotesQuery(info.Message) {
				e.Message += ": " + words(info.Message)
			}
			return 0, e
		}
		if time.Since(job.CreatedAt) >= bulkLife {
			return 0, &Error{Kind: KindBulkRefused, Op: pollingJob, Message: fmt.Sprintf("the job is not complete after %s", bulkLife)}
		}
		if err := polled(); err != nil {
			return 0, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return 0, networkError(ctx, pollingJob, ctx.Err())
		}
	}
}

// BulkUsable reports whether a BulkPull can carry on with a job: it is of this
// org and API version, and young enough.
func (c *Client) BulkUsable(ctx context.Context, job latch.PullJob) (bool, error) {
	org, err := c.Org(ctx)
	if err != nil {
		return false, err
	}
	age := time.Since(job.CreatedAt)
	return job.Org == org && job.APIVersion == c.o.APIVersion && jobIDForm.MatchString(job.ID) && age >= 0 && age < bulkLife, nil
}

// deleteWithin bounds the deletion of a job.
const deleteWithin = 10 * time.Second

// DropBulk deletes a job and its results at Salesforce, aborting it first where
// it has not ended. It is a courtesy: Salesforce does it by itself after seven
// days, so that it is tried once, for ten seconds at most, and a failure is only
// noted in the log. A job of another org is left alone.
func (c *Client) DropBulk(ctx context.Context, job latch.PullJob) {
	ctx, cancel := context.WithTimeoutCause(ctx, deleteWithin, errCallTimeout)
	defer cancel()
	org, err := c.Org(ctx)
	if err != nil || org != job.Org || !jobIDForm.MatchString(job.ID) {
		return
	}
	_, _, failed := c.jobCall(ctx, endingJob, http.MethodDelete, bulkPath(job), nil)
	if failed != nil && (failed.Status == http.StatusBadRequest || failed.Status == http.StatusConflict) { // it is under way
		if _, _, failed = c.jobCall(ctx, endingJob, http.MethodPatch, bulkPath(job), []byte(`{"state":"`+jobAborted+`"}`)); failed == nil {
			_, _, failed = c.jobCall(ctx, endingJob, http.MethodDelete, bulkPath(job), nil)
		}
	}
	if failed != nil && failed.Status != http.StatusNotFound {
		c.log.Info("a bulk query job could not be deleted; Salesforce drops it after seven days",
			zap.String("event", latch.EventBulkLeft), zap.String("job", job.ID), zap.Error(failed))
	}
}

// bulkPath is the address of a job, or without an id of all jobs.
func bulkPath(job latch.PullJob) string {
	path := "/services/data/v" + job.APIVersion + "/jobs/query"
	if job.ID != "" {
		path += "/" + job.ID
	}
	return path
}

// jobCall makes one call about a job, and gives the body of a 2xx.
func (c *Client) jobCall(ctx context.Context, op, method, path string, body []byte) ([]byte, http.Header, *Error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.o.CallTimeout, errCallTimeout)
	defer cancel()
	t := &callTransport{c: c, ctx: ctx, op: op, kind: callBulkJob}
	if method == http.MethodDelete {
		t.media = mediaNone
	}
	res, err := t.send(method, path, body)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	answer, readErr := io.ReadAll(io.LimitReader(res.Body, maxErrorBody+1))
	switch {
	case readErr != nil:
		return nil, nil, networkError(ctx, op, readErr)
	case len(answer) > maxErrorBody:
		return nil, nil, malformed(op, "%v", errTooLarge)
	}
	return answer, t.header, nil
}

// send makes one call that is not simpleforce's, within the budget.
func (t *callTransport) send(method, path string, body []byte) (*http.Response, *Error) {
	if err := t.c.budget(t.op); err != nil {
		return nil, err
	}
	tok, err := t.c.token(t.ctx, 0)
	if err != nil {
		return nil, err
	}
	address, parseErr := url.Parse(tok.instance + path)
	if parseErr != nil {
		return nil, malformed(t.op, "the sign-in gave an instance that is no address")
	}
	req := &http.Request{Method: method, URL: address, Header: http.Header{}}
	if body != nil {
		req.ContentLength = int64(len(body))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		req.Body, _ = req.GetBody()
	}
	return t.roundTrip(req.WithContext(t.ctx))
}
