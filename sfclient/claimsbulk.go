package sfclient

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"strconv"
	"strings"

	"latchd/latch"
)

// maxClaimRow bounds a row of claims, in bytes: an id, a text of 255 characters of
// up to four bytes each, quotes.
const maxClaimRow = 2 << 10

// PullClaimsBulk is PullClaims by a query job of Bulk API 2.0, for many. Claims of
// a page that breaks off come again. polled is called while the job is not
// complete. The job ends with the call: what is broken off begins anew, which
// costs the calls of a few pages.
func (c *Client) PullClaimsBulk(ctx context.Context, field string, polled func() error, yield func([]latch.Claim) error) (Pulled, error) {
	number, err := c.isNumber(ctx, field)
	if err != nil {
		return Pulled{}, err
	}
	job, err := c.createJob(ctx, claimsQuery(field))
	if err != nil {
		return Pulled{}, c.fieldGone(field, err)
	}
	defer c.DropBulk(context.WithoutCancel(ctx), job)
	pulled := Pulled{Watermark: job.Watermark}
	total, err := c.awaitJob(ctx, job, polled)
	if err != nil {
		return pulled, err
	}
	locator, done := "", total == 0 // Salesforce need not have a page for no rows
	for n := 0; !done && pulled.Rows <= total; n++ {
		if n == maxPages {
			return pulled, malformed(readingResults, "more than %d pages", maxPages)
		}
		var page *results
		var own error
		if failed := c.retry(ctx, readingResults, func() (failed *Error) {
			if page, failed = c.openResults(ctx, job, locator); failed != nil {
				return failed
			}
			defer page.close()
			if failed, own = page.claims(field, number, yield); own != nil {
				return &Error{Kind: KindCancelled, Op: readingResults, Message: "given up by its caller"}
			}
			return failed
		}); failed != nil {
			if own != nil {
				return pulled, own
			}
			return pulled, failed
		}
		pulled.Rows += page.rows
		locator, done = page.next, page.next == ""
	}
	if pulled.Rows != total {
		return pulled, malformed(readingResults, "%d rows came of the job's %d", pulled.Rows, total)
	}
	return pulled, nil
}

// isNumber reports whether the field is of a number's type, which its values in a
// CSV do not show.
func (c *Client) isNumber(ctx context.Context, field string) (bool, error) {
	if _, err := c.ClaimField(ctx, field); err != nil {
		return false, err
	}
	c.claimed.mu.Lock()
	defer c.claimed.mu.Unlock()
	return c.claimed.typ != "string", nil
}

// claims reads a page to its end. It fails unless the rows are as many as was
// said; never is more handed over than that.
func (r *results) claims(field string, number bool, yield func([]latch.Claim) error) (failed *Error, own error) {
	if r.rows == 0 { // an empty body may be no gzip at all
		return nil, nil
	}
	var in io.Reader = bufio.NewReaderSize(r.body, csvBuffer)
	if r.zip {
		zip, err := gzip.NewReader(in)
		if err != nil {
			return r.brokenOff(err), nil
		}
		in = zip
	}
	rows := csv.NewReader(&capped{ReadCloser: io.NopCloser(in), left: int64(r.rows+1) * maxClaimRow})
	rows.FieldsPerRecord, rows.ReuseRecord = 2, true
	page := make([]latch.Claim, 0, min(r.rows, handRows))
	for n, first := 0, true; ; first = false {
		row, err := rows.Read()
		var syntax *csv.ParseError
		switch {
		case err == io.EOF && n == r.rows:
			if len(page) == 0 {
				return nil, nil
			}
			return nil, yield(page)
		case err == io.EOF:
			return notRight("%d rows came of a page of %d", n, r.rows), nil
		case errors.As(err, &syntax):
			return notRight("the page of results is no CSV of two columns: at line %d", syntax.Line), nil
		case errors.Is(err, errTooLarge):
			return notRight("%v", err), nil
		case err != nil:
			return r.brokenOff(err), nil
		case first && strings.EqualFold(row[0], "Id") && strings.EqualFold(row[1], field):
			continue
		}
		if n++; n > r.rows {
			return notRight("more rows came than the %d of the page", r.rows), nil
		}
		id, ok := latch.ParsePackedAccountID([]byte(row[0]))
		if !ok {
			return notRight("a row of the page of results has no Account id"), nil
		}
		one := latch.ReadClaim(id, csvValue(row[1], number))
		if one.Empty() { // blank text
			continue
		}
		if page = append(page, one); len(page) == cap(page) {
			if own := yield(page); own != nil {
				return nil, own
			}
			page = page[:0]
		}
	}
}

// csvValue is a value of a CSV as JSON would give it.
func csvValue(text string, number bool) any {
	if n, err := strconv.ParseFloat(text, 64); number && err == nil {
		return n
	}
	return text
}
