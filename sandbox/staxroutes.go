package sandbox

import (
	"net/http"
	"strconv"
	"strings"
)

// Names of the Stax Bill calls, for faults and the ledger.
const (
	callLatch        = "latch"
	callEnableSynch  = "enableSynch"
	callDisableSynch = "disableSynch"
	callResynch      = "resynch"
	callCustomer     = "customer"
	callOverview     = "overview"
	callCustomers    = "customers"
)

const staxRoot = "/v1"

func isStaxPath(path string) bool {
	lower := strings.ToLower(path)
	return lower == staxRoot || strings.HasPrefix(lower, staxRoot+"/")
}

// routeStax finds out what a call to Stax Bill is. Paths are read in any case and
// with a trailing slash, as the vendor's own samples write them.
func (s *Sandbox) routeStax(c *call) {
	c.service, c.name = serviceStaxBill, callOther
	parts := strings.Split(strings.Trim(strings.ToLower(c.r.URL.Path)[len(staxRoot):], "/"), "/")
	method := http.MethodPost
	switch {
	case len(parts) == 2 && parts[0] == "salesforce" && parts[1] == "latch":
		c.name, c.serve = callLatch, s.latch
		s.readLatch(c)
	case len(parts) == 3 && parts[0] == "salesforce" && parts[1] == "enablesynch":
		c.name, c.customer = callEnableSynch, number(parts[2])
		c.serve = func(c *call) *answer { return s.setSynch(c, "Enabled") }
	case len(parts) == 3 && parts[0] == "salesforce" && parts[1] == "disablesynch":
		c.name, c.customer = callDisableSynch, number(parts[2])
		c.serve = func(c *call) *answer { return s.setSynch(c, "Disabled") }
	case len(parts) == 2 && parts[0] == "salesforce" && parts[1] == "resynch":
		c.name, c.serve = callResynch, s.resynch
	case len(parts) == 1 && parts[0] == "customers":
		c.name, c.serve, method = callCustomers, s.listCustomers, http.MethodGet
		c.customers = idSet(c.query.Get("query"))
	case len(parts) == 2 && parts[0] == "customers":
		c.name, c.customer, c.serve, method = callCustomer, number(parts[1]), s.getCustomer, http.MethodGet
	case len(parts) == 3 && parts[0] == "customers" && parts[2] == "overview":
		c.name, c.customer, c.serve, method = callOverview, number(parts[1]), s.getOverview, http.MethodGet
	default:
		c.serve = func(*call) *answer { return staxNoRoute(c.r) }
		method = c.r.Method
	}
	serve := c.serve
	c.serve = func(c *call) *answer {
		if c.r.Method != method {
			return jsonAnswer(http.StatusMethodNotAllowed, map[string]string{"Message": "The requested resource does not support http method '" + c.r.Method + "'."})
		}
		return s.keyed(c, serve)
	}
}

// number reads an id of a path; 0 = none.
func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// keyed lets a call pass that carries a known key and is within its limits. The
// key goes verbatim behind the word Basic (dev/authentication).
func (s *Sandbox) keyed(c *call, serve func(*call) *answer) *answer {
	header := c.r.Header.Get("Authorization")
	if header == "" {
		return staxError(http.StatusUnauthorized, "Authorization has been denied for this request.")
	}
	scheme, key, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Basic") || strings.TrimSpace(key) == "" || strings.ContainsAny(key, " \t") {
		return staxError(http.StatusBadRequest, "Authorization key is not in the correct format.")
	}
	known, ok := s.keys.find(key)
	if !ok {
		return staxError(http.StatusUnauthorized, "Authorization has been denied for this request.")
	}
	c.key = known
	spent, header2 := s.keys.spend(known, s.now(), s.variants.get(VariantResetHeader))
	var a *answer
	switch spent {
	case "":
		a = serve(c)
	default:
		a = staxError(http.StatusTooManyRequests, "Rate limit exceeded: the limit of requests per "+spent+" is reached.")
	}
	for name, values := range header2 {
		a.header[name] = values
	}
	return a
}
