package sandbox

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Names of the Salesforce calls, for faults and the ledger.
const (
	callToken       = "token"
	callUserinfo    = "userinfo"
	callIdentity    = "identity"
	callVersions    = "versions"
	callResources   = "resources"
	callQuery       = "query"
	callQueryAll    = "queryAll"
	callQueryMore   = "queryMore"
	callRetrieve    = "retrieve"
	callRecord      = "record"
	callUpdated     = "updated"
	callDeleted     = "deleted"
	callDescribe    = "describe"
	callLimits      = "limits"
	callComposite   = "composite"
	callBulkCreate  = "bulkCreate"
	callBulkList    = "bulkList"
	callBulkJob     = "bulkJob"
	callBulkAbort   = "bulkAbort"
	callBulkDelete  = "bulkDelete"
	callBulkResults = "bulkResults"
	callBulkPages   = "bulkPages"
	callOther       = "other"
)

const (
	oldestVersion = 31
	newestVersion = 67
	maxURI        = 16_384 // bytes of a URI, and of URI and headers together
)

// routeSalesforce finds out what a call to Salesforce is.
func (s *Sandbox) routeSalesforce(c *call) {
	c.service, c.name = serviceSalesforce, callOther
	path := strings.TrimSuffix(c.r.URL.Path, "/")
	switch {
	case path == "/services/oauth2/token":
		c.name, c.serve = callToken, s.token
	case strings.HasPrefix(path, "/services/Soap/u/"):
		c.name, c.serve = callToken, s.soap
	case path == "/services/oauth2/userinfo":
		c.name, c.serve = callUserinfo, s.signedIn(s.userinfo)
	case strings.HasPrefix(path, "/id/"):
		c.name, c.serve = callIdentity, s.signedIn(s.userinfo)
	case path == "/services/data":
		c.name, c.serve = callVersions, versions
	case strings.HasPrefix(path, "/services/data/"):
		s.routeData(c, strings.TrimPrefix(path, "/services/data/"))
	default:
		c.serve = func(*call) *answer { return sfNotFound() }
	}
	serve := c.serve
	c.serve = func(c *call) *answer {
		if a := tooLong(c.r); a != nil {
			return a
		}
		a := serve(c)
		s.allocation.header(a.header)
		return a
	}
}

// routeData finds the resource under /services/data/.
func (s *Sandbox) routeData(c *call, path string) {
	version, resource, _ := strings.Cut(path, "/")
	number, err := strconv.ParseFloat(strings.TrimPrefix(version, "v"), 64)
	if err != nil || !strings.HasPrefix(version, "v") || !strings.HasSuffix(version, ".0") || number > newestVersion {
		c.serve = func(*call) *answer { return sfNotFound() }
		return
	}
	if number < oldestVersion && strings.HasPrefix(resource, "jobs/") {
		c.serve = func(*call) *answer {
			return sfError(http.StatusBadRequest, "InvalidVersion", "Unsupported API version "+version)
		}
		return
	}
	if number < oldestVersion {
		c.serve = func(*call) *answer {
			return sfError(http.StatusGone, "UNSUPPORTED_API_VERSION", "API version "+version+" is retired and no longer supported")
		}
		return
	}
	c.version = strings.TrimPrefix(version, "v")
	method := http.MethodGet
	var serve func(*call) *answer
	switch first, rest, _ := strings.Cut(resource, "/"); {
	case resource == "":
		c.name, serve = callResources, s.resources
	case resource == "query":
		c.name, serve = callQuery, s.query
	case resource == "queryAll":
		c.name, serve = callQueryAll, s.query
	case (first == "query" || first == "queryAll") && rest != "":
		c.name, serve = callQueryMore, func(c *call) *answer { return s.queryMore(c, rest) }
	case resource == "jobs/query" || strings.HasPrefix(resource, "jobs/query/"):
		method, serve = s.routeBulk(c, number, strings.TrimPrefix(resource[len("jobs/query"):], "/"))
	case resource == "composite":
		c.name, method, serve = callComposite, http.MethodPost, s.composite
	case resource == "composite/sobjects/Account":
		c.name, serve = callRetrieve, s.retrieve
		if c.r.Method == http.MethodPost {
			method = http.MethodPost
		}
	case resource == "limits":
		c.name, serve = callLimits, s.limits
	case resource == "sobjects":
		c.name, serve = callDescribe, s.describeGlobal
	case resource == "sobjects/Account/describe":
		c.name, serve = callDescribe, s.describeAccount
	case resource == "sobjects/Account/updated":
		c.name, serve = callUpdated, s.updated
	case resource == "sobjects/Account/deleted":
		c.name, serve = callDeleted, s.deleted
	case strings.HasPrefix(resource, "sobjects/Account/") && strings.Count(resource, "/") == 2:
		c.account = resource[len("sobjects/Account/"):]
		c.name, serve = callRecord, s.record
	default:
		serve = func(*call) *answer { return sfNotFound() }
		method = c.r.Method
	}
	c.serve = s.signedIn(func(c *call) *answer {
		if c.r.Method != method {
			return sfError(http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", "HTTP Method '"+c.r.Method+"' not allowed. Allowed are "+method)
		}
		if !s.allocation.spend() {
			return sfError(http.StatusForbidden, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
		}
		return serve(c)
	})
}

// tooLong answers as the edge in front of Salesforce does, in HTML: 414 for a URI
// over 16,384 bytes, 431 for URI and headers together.
func tooLong(r *http.Request) *answer {
	size := len(r.RequestURI)
	if size == 0 {
		size = len(r.URL.RequestURI())
	}
	if size > maxURI {
		return newAnswer(http.StatusRequestURITooLong, "text/html", []byte("<h1>URI Too Long</h1>\n"))
	}
	for name, values := range r.Header {
		for _, v := range values {
			size += len(name) + len(": \r\n") + len(v)
		}
	}
	if size > maxURI {
		return newAnswer(http.StatusRequestHeaderFieldsTooLarge, "text/html", []byte("<h1>Request Header Fields Too Large</h1>\n"))
	}
	return nil
}

// baseURL is where the caller reached the sandbox, for instance_url.
func baseURL(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return (&url.URL{Scheme: scheme, Host: r.Host}).String()
}

func versions(*call) *answer {
	type version struct {
		Label   string `json:"label"`
		URL     string `json:"url"`
		Version string `json:"version"`
	}
	var out []version
	seasons := []string{"Winter", "Spring", "Summer"}
	for v := oldestVersion; v <= newestVersion; v++ {
		// 31.0 is Summer '14; three releases a year.
		year := 14 + (v-31+2)/3
		label := seasons[(v-31+2)%3] + " '" + strconv.Itoa(year)
		number := strconv.Itoa(v) + ".0"
		out = append(out, version{label, "/services/data/v" + number, number})
	}
	return jsonAnswer(http.StatusOK, out)
}

func (s *Sandbox) resources(c *call) *answer {
	root := "/services/data/v" + c.version
	return jsonAnswer(http.StatusOK, map[string]string{
		"composite": root + "/composite",
		"identity":  baseURL(c.r) + "/id/" + s.org.id + "/" + s.org.userID,
		"jobs":      root + "/jobs",
		"limits":    root + "/limits",
		"query":     root + "/query",
		"queryAll":  root + "/queryAll",
		"sobjects":  root + "/sobjects",
	})
}
