package sfclient

import (
	"context"

	"latchd/latch"
)

// BulkSteps is what the caller of BulkPull does at its steps, all of them in the
// goroutine of the caller. An error of theirs ends the pull and is given as it is.
type BulkSteps struct {
	Created func(latch.PullJob) error // there is a new job, to be kept
	Polled  func() error              // the job is not complete yet
	// IDs are some of a page that is not done; the slice is used again. They may
	// come twice, as a page that breaks off begins anew.
	IDs  func([]latch.PackedAccountID) error
	Page func(latch.PullPage) error // a page is done
}

// BulkPull hands over the ids of all accounts that the integration user sees, by
// a query job of Bulk API 2.0: from's, where it has an id, less the pages that it
// names as done, else a new one. It is complete only when each page had the rows
// that it said, and all together those of the job.
//
// It stays with the caller to keep the job, as it may be carried on with later
// whatever the error, unless that is of KindBulkRefused, KindBulkGone or
// KindMalformed; and to delete it by DropBulk.
func (c *Client) BulkPull(ctx context.Context, from latch.PullJob, do BulkSteps) (Pulled, error) {
	job := from
	if job.ID == "" {
		var err error
		if job, err = c.createJob(ctx, everyID); err != nil {
			return Pulled{}, err
		}
		if err := do.Created(job); err != nil {
			return Pulled{}, err
		}
	}
	pulled := Pulled{Watermark: job.Watermark}
	total, err := c.awaitJob(ctx, job, do.Polled)
	if err != nil {
		return pulled, err
	}
	locator, done := "", total == 0 // Salesforce need not have a page for no rows
	for _, p := range job.Pages {
		pulled.Rows += p.Rows
		locator, done = p.Locator, p.Locator == ""
	}
	d := &bulkDownload{c: c, ctx: ctx, job: job, do: do, reader: newPageReader()}
	defer d.dropAhead()
	for n := len(job.Pages); !done; n++ {
		if n == maxPages {
			return pulled, malformed(readingResults, "more than %d pages", maxPages)
		}
		if pulled.Rows > total {
			break
		}
		page, err := d.page(locator)
		if err != nil {
			return pulled, err
		}
		pulled.Rows += page.Rows
		locator, done = page.Locator, page.Locator == ""
	}
	if pulled.Rows != total {
		return pulled, malformed(readingResults, "%d rows came of the job's %d", pulled.Rows, total)
	}
	return pulled, nil
}

// bulkDownload reads the pages of a job. The answer of the page after the present
// one is asked for as soon as its name is known, which stands in the present
// one's header: so two are under way, without the calls that resultPages costs.
// What it sends meanwhile waits in the connection.
type bulkDownload struct {
	c      *Client
	ctx    context.Context
	job    latch.PullJob
	do     BulkSteps
	reader *pageReader

	ahead   chan opened // nil = nothing is under way
	locator string      // of what is
	giveUp  func()      // ends it
}

type opened struct {
	r   *results
	err *Error
}

// page reads one page, and again from its locator on where it broke off.
func (d *bulkDownload) page(locator string) (page latch.PullPage, err error) {
	var own error
	if failed := d.c.retry(d.ctx, readingResults, func() *Error {
		r, err := d.open(locator)
		if err != nil {
			return err
		}
		defer r.close()
		if r.next != "" {
			d.openAhead(r.next)
		}
		var failed *Error
		if failed, own = d.reader.read(r, d.do.IDs); failed != nil {
			d.dropAhead()
			return failed
		}
		if own != nil {
			return &Error{Kind: KindCancelled, Op: readingResults, Message: "given up by its caller"}
		}
		page = latch.PullPage{Locator: r.next, Rows: r.rows}
		return nil
	}); failed != nil {
		if own != nil {
			return page, own
		}
		return page, failed
	}
	return page, d.do.Page(page)
}

// open gives the page that was asked for ahead, or asks for it.
func (d *bulkDownload) open(locator string) (*results, *Error) {
	if d.ahead != nil && d.locator == locator {
		o := <-d.ahead // its wait has the bound of a call
		d.ahead = nil
		return o.r, o.err
	}
	d.dropAhead()
	return d.c.openResults(d.ctx, d.job, locator)
}

func (d *bulkDownload) openAhead(locator string) {
	ahead := make(chan opened, 1)
	ctx, cancel := context.WithCancel(d.ctx)
	d.ahead, d.locator, d.giveUp = ahead, locator, cancel
	go func() {
		r, err := d.c.openResults(ctx, d.job, locator)
		if err != nil {
			cancel()
		} else {
			end := r.end
			r.end = func(cause error) { end(cause); cancel() }
		}
		ahead <- opened{r, err}
	}()
}

// dropAhead ends what was asked for ahead.
func (d *bulkDownload) dropAhead() {
	if d.ahead == nil {
		return
	}
	d.giveUp()
	if o := <-d.ahead; o.r != nil {
		o.r.close()
	}
	d.ahead = nil
}
