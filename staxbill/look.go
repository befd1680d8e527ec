package staxbill

import (
	"context"
	"net/http"
	"strconv"
	"time"
)

// Look is what one cheap reading shows of the account.
type Look struct {
	Customers int       // -1 where the service gives no count
	Now       time.Time // by its clock; zero where it tells none
}

// Look reads a list of one customer, which shows that the key is taken here. It
// costs one call. The error is an *Error.
func (c *Client) Look(ctx context.Context) (Look, error) {
	a, failed := c.read(ctx, call{op: opSurvey, method: http.MethodGet, maxBody: maxBody, target: "/customers?pageSize=1&pageNumber=0" + byID})
	if failed != nil {
		return Look{}, failed
	}
	if _, err := appendCustomers(nil, a); err != nil {
		return Look{}, call{op: opSurvey}.fail(KindMalformed, err)
	}
	look := Look{Customers: -1}
	if n, err := strconv.Atoi(a.header.Get("X-Count")); err == nil && n >= 0 {
		look.Customers = n
	}
	look.Now, _ = http.ParseTime(a.header.Get("Date")) // zero says it
	return look, nil
}
