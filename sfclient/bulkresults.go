package sfclient

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"latchd/latch"
)

const (
	readingResults = "reading the results of a bulk query job"
	// pageRows is how many rows are asked for at once: some 5 MB of CSV, so that
	// little is lost with a page that breaks off, and 10 million accounts are 40
	// calls. Salesforce may give fewer.
	pageRows = 250_000
	// pageTime bounds the retrieval of one page; Salesforce gives up after it too
	// (developer.salesforce.com, Bulk API 2.0, bulk_common_limits).
	pageTime = 20 * time.Minute
	// maxLocator bounds the opaque name of a page, in bytes.
	maxLocator = 1024
)

// results is a page whose answer has begun.
type results struct {
	next string // locator of the page after it, "" = it is the last one
	rows int
	body io.ReadCloser
	zip  bool
	ctx  context.Context // of the answer's body
	end  func(error)     // of ctx
}

func (r *results) close() {
	r.body.Close()
	r.end(nil)
}

// openResults asks for the page that a locator names, "" = the first one, and
// reads its header.
func (c *Client) openResults(ctx context.Context, job latch.PullJob, locator string) (_ *results, failed *Error) {
	ctx, end := context.WithCancelCause(ctx)
	defer func() {
		if failed != nil {
			end(nil)
		}
	}()
	late := time.AfterFunc(c.o.CallTimeout, func() { end(errCallTimeout) })
	defer late.Stop()

	query := url.Values{"maxRecords": {strconv.Itoa(pageRows)}}
	if locator != "" {
		query.Set("locator", locator)
	}
	t := &callTransport{c: c, ctx: ctx, op: readingResults, kind: callBulkResults, media: mediaCSV}
	res, failed := t.send(http.MethodGet, bulkPath(job)+"/results?"+query.Encode(), nil)
	if failed != nil {
		return nil, goneWith(failed)
	}
	r, failed := resultsOf(res, locator)
	if failed != nil {
		res.Body.Close()
		return nil, failed
	}
	r.ctx, r.end = ctx, end
	r.body = &patient{ReadCloser: res.Body, end: end, idle: c.o.CallTimeout, deadline: time.Now().Add(pageTime)}
	return r, nil
}

// resultsOf reads the header of a page.
func resultsOf(res *http.Response, locator string) (*results, *Error) {
	r := &results{body: res.Body, next: res.Header.Get("Sforce-Locator")}
	if r.next == "null" {
		r.next = ""
	}
	var err error
	if r.rows, err = strconv.Atoi(res.Header.Get("Sforce-NumberOfRecords")); err != nil || r.rows < 0 {
		return nil, notRight("the answer does not say how many rows it has")
	}
	switch encoding := res.Header.Get("Content-Encoding"); {
	case res.StatusCode == http.StatusNoContent && r.rows > 0:
		return nil, notRight("the answer is empty and should have %d rows", r.rows)
	case len(r.next) > maxLocator || r.next != "" && (r.next == locator || r.rows == 0):
		return nil, notRight("it is not done and names no next page")
	case strings.EqualFold(encoding, "gzip"):
		r.zip = true
	case encoding != "" && !strings.EqualFold(encoding, "identity"):
		return nil, notRight("the answer is in an encoding that was not asked for")
	}
	return r, nil
}

// patient is a body that comes as slowly as it likes, as long as it comes: each
// read has a bound of its own, the time between the reads is the caller's, and
// all of it has to be there by the deadline.
type patient struct {
	io.ReadCloser
	end      context.CancelCauseFunc
	idle     time.Duration
	deadline time.Time
	timer    *time.Timer
}

func (p *patient) Read(b []byte) (int, error) {
	wait := min(p.idle, time.Until(p.deadline))
	if p.timer == nil {
		p.timer = time.AfterFunc(wait, func() { p.end(errCallTimeout) })
	} else {
		p.timer.Reset(wait)
	}
	n, err := p.ReadCloser.Read(b)
	p.timer.Stop()
	return n, err
}

// pageReader reads pages one after the other with the same buffers.
type pageReader struct {
	zip  *gzip.Reader
	in   *bufio.Reader // of what is compressed
	csv  *idCSV
	rows []latch.PackedAccountID
}

// handRows is how many ids are handed over at once, 72 kB of them.
const handRows = 8192

func newPageReader() *pageReader {
	return &pageReader{in: bufio.NewReaderSize(nil, csvBuffer), csv: newIDCSV(make([]byte, csvBuffer)), rows: make([]latch.PackedAccountID, handRows)}
}

// read reads a page to its end and hands over its ids. It fails unless they are
// as many as was said; never is more handed over than that.
func (p *pageReader) read(r *results, yield func([]latch.PackedAccountID) error) (failed *Error, own error) {
	in := io.Reader(r.body)
	if r.zip && r.rows > 0 {
		var err error
		p.in.Reset(r.body)
		if p.zip == nil {
			p.zip, err = gzip.NewReader(p.in)
		} else {
			err = p.zip.Reset(p.in)
		}
		if err != nil {
			return r.brokenOff(err), nil
		}
		in = p.zip
	}
	if r.zip && r.rows == 0 { // an empty body may be no gzip at all
		return nil, nil
	}
	p.csv.reset(in)
	for rows := 0; ; {
		n, err := p.csv.read(p.rows)
		if err != nil && err != io.EOF {
			return r.brokenOff(err), nil
		}
		if rows += n; rows > r.rows || err == io.EOF && rows < r.rows {
			return notRight("%d rows came of a page of %d", rows, r.rows), nil
		}
		if n > 0 {
			if own := yield(p.rows[:n]); own != nil {
				return nil, own
			}
		}
		if err == io.EOF {
			return nil, nil
		}
	}
}

// notRight is an answer that may be right when it is asked for again.
func notRight(format string, args ...any) *Error {
	e := malformed(readingResults, format, args...)
	e.again = true
	return e
}

// brokenOff types what ended a page before its end.
func (r *results) brokenOff(err error) *Error {
	var bad *errCSV
	var corrupt flate.CorruptInputError
	switch {
	case errors.As(err, &bad):
		return notRight("%v", bad)
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.As(err, &corrupt):
		return notRight("the page of results is compressed, and broken")
	}
	return networkError(r.ctx, readingResults, err)
}
