package sfclient

import (
	"context"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/simpleforce/simpleforce"

	"latchd/latch"
)

// Pulled is what a pull came to.
type Pulled struct {
	Rows int
	// Watermark is the server's clock at the pull's first answer, from its Date
	// header; never our own clock.
	Watermark time.Time
}

// maxPages bounds a pull: 20 million accounts at 2,000 a page, and more where
// pages are smaller.
const maxPages = 100_000

// pages runs a query and hands over its pages, one by one. It is complete only
// when the rows are as many as the service said and it said that it is done.
func (c *Client) pages(ctx context.Context, op, kind, first string, yield func([]simpleforce.SObject) error) (Pulled, error) {
	return c.pagesBelow(ctx, 0, op, kind, first, yield)
}

// pagesBelow gives ErrManyAccounts where there are as many rows as below or more;
// 0 = there is no such bound.
func (c *Client) pagesBelow(ctx context.Context, below int, op, kind, first string, yield func([]simpleforce.SObject) error) (Pulled, error) {
	var pulled Pulled
	total := 0
	next := first
	for page := 0; ; page++ {
		if page == maxPages {
			return pulled, malformed(op, "more than %d pages", maxPages)
		}
		var result *simpleforce.QueryResult
		header, err := c.call(ctx, op, kind, func(sf *simpleforce.Client) (err error) {
			result, err = sf.Query(next)
			return err
		})
		if err != nil {
			return pulled, err
		}
		if err := sound(op, result); err != nil {
			return pulled, err
		}
		if page == 0 {
			total = result.TotalSize
			if pulled.Watermark, err = serverTime(op, header); err != nil {
				return pulled, err
			}
			if below > 0 && total >= below {
				return pulled, ErrManyAccounts
			}
		}
		if result.TotalSize != total {
			return pulled, malformed(op, "the number of rows changed from %d to %d between pages", total, result.TotalSize)
		}
		if pulled.Rows += len(result.Records); pulled.Rows > total {
			return pulled, malformed(op, "more rows came than the %d that were promised", total)
		}
		if err := yield(result.Records); err != nil {
			return pulled, err
		}
		if result.Done {
			break
		}
		if len(result.Records) == 0 || !isPath(result.NextRecordsURL) || result.NextRecordsURL == next {
			return pulled, malformed(op, "it is not done and names no next page")
		}
		next = result.NextRecordsURL
	}
	if pulled.Rows != total {
		return pulled, malformed(op, "%d rows came of %d", pulled.Rows, total)
	}
	return pulled, nil
}

// sound refuses what JSON decoding takes for an empty result: null, {}, or an
// object of something else.
func sound(op string, r *simpleforce.QueryResult) error {
	if r.Records == nil || r.TotalSize < 0 {
		return malformed(op, "the answer is not the result of a query")
	}
	return nil
}

// isPath reports whether the address of a next page is relative to the org, as
// it always is, so that it cannot lead elsewhere.
func isPath(next string) bool {
	u, err := url.Parse(next)
	return err == nil && strings.HasPrefix(next, "/services/data/") && u.Host == "" && u.Scheme == "" && path.Clean(u.Path) == u.Path
}

func serverTime(op string, h http.Header) (time.Time, error) {
	at, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return at, malformed(op, "the answer has no Date, so no watermark can be taken")
	}
	return at.UTC(), nil
}

// queryAll is the path of a query that shows deleted and merged records as
// long as the Recycle Bin has them
// (developer.salesforce.com, REST API, resources_queryall).
func (c *Client) queryAll(soql string) string {
	return "/services/data/v" + c.o.APIVersion + "/queryAll?q=" + url.QueryEscape(soql)
}

// field reads a text field of a row; ok is false when it is neither text nor null.
func field(row simpleforce.SObject, name string) (value string, ok bool) {
	v, there := row[name]
	if !there {
		return "", false
	}
	if v == nil {
		return "", true
	}
	value, ok = v.(string)
	return value, ok
}

func accountOf(op string, row simpleforce.SObject) (latch.AccountID, error) {
	text, ok := field(row, "Id")
	id, err := latch.ParseAccountID(text)
	if !ok || err != nil {
		return "", malformed(op, "a row has no Account id")
	}
	return id, nil
}

// CountVisible is how many accounts the integration user can see.
func (c *Client) CountVisible(ctx context.Context) (int, error) {
	const op = "counting the accounts"
	var result *simpleforce.QueryResult
	_, err := c.call(ctx, op, "count", func(sf *simpleforce.Client) (err error) {
		result, err = sf.Query("SELECT COUNT() FROM Account")
		return err
	})
	if err != nil {
		return 0, err
	}
	if err := sound(op, result); err != nil {
		return 0, err
	}
	if !result.Done {
		return 0, malformed(op, "it is not done")
	}
	return result.TotalSize, nil
}
