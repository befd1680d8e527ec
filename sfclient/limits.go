package sfclient

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Usage is how much of the org's calls of 24 hours is used, as its last answer
// told; Max 0 = not told yet.
type Usage struct {
	Used, Max int
	At        time.Time
}

// Usage gives what the last answer told.
func (c *Client) Usage() Usage {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.usage
}

// Reserved is how many of the org's calls of 24 hours the client leaves to
// others; 0 until it is told how many there are.
func (c *Client) Reserved() int {
	u := c.Usage()
	return u.Max - (u.Max*c.o.MaxUsagePercent+99)/100
}

// maxCounted is more calls than any org has: a larger number is no count, and
// would run over when shares of it are taken.
const maxCounted = 1_000_000_000_000

// noteUsage reads Sforce-Limit-Info, such as "api-usage=10018/100000", to which
// more may be added
// (developer.salesforce.com, REST API, headers_api_usage).
func (c *Client) noteUsage(h http.Header, now time.Time) {
	for part := range strings.FieldsFuncSeq(h.Get("Sforce-Limit-Info"), func(r rune) bool { return r == ';' || r == ',' || r == ' ' }) {
		value, ok := strings.CutPrefix(part, "api-usage=")
		if !ok {
			continue
		}
		used, most, ok := strings.Cut(value, "/")
		n, err1 := strconv.Atoi(used)
		m, err2 := strconv.Atoi(most)
		if ok && err1 == nil && err2 == nil && n >= 0 && m > 0 && max(n, m) <= maxCounted {
			c.mu.Lock()
			c.usage = Usage{Used: n, Max: m, At: now}
			c.mu.Unlock()
		}
	}
}

// askAgainAfter is how long a spent budget is believed before one call looks
// again: the allocation is a rolling one of 24 hours.
const askAgainAfter = 15 * time.Minute

// budget refuses a call past the configured share of the org's calls.
func (c *Client) budget(op string) *Error {
	u := c.Usage()
	now := time.Now()
	if u.Max == 0 || u.Used*100 < u.Max*c.o.MaxUsagePercent || now.Sub(u.At) >= askAgainAfter {
		return nil
	}
	return &Error{
		Kind: KindBudget, Op: op, RetryAfter: askAgainAfter - now.Sub(u.At),
		Message: fmt.Sprintf("the org has used %d of its %d calls of 24 hours, latchd stops at %d %% (salesforce.max_api_usage_percent)", u.Used, u.Max, c.o.MaxUsagePercent),
	}
}
