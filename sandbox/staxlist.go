package sandbox

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// pageSizeMax is the largest page; the documentation says never below 1,000
// (dev/pagination).
const pageSizeMax = 1000

func (s *Sandbox) getCustomer(c *call) *answer {
	customer, ok := s.Customer(c.customer)
	if !ok {
		return noCustomer(c.customer)
	}
	return newAnswer(http.StatusOK, "application/json; charset=utf-8", s.customerJSON(customer, baseURL(c.r)+staxRoot))
}

// getOverview is the short form.
func (s *Sandbox) getOverview(c *call) *answer {
	customer, ok := s.Customer(c.customer)
	if !ok {
		return noCustomer(c.customer)
	}
	o := &jsonObject{}
	o.text("companyName", customer.CompanyName).textOrNull("reference", customer.Reference).text("status", customer.Status).
		textOrNull("salesforceId", customer.SalesforceID).text("createdTimestamp", customer.CreatedTimestamp.UTC().Format("2006-01-02T15:04:05")).
		raw("id", strconv.FormatInt(customer.ID, 10))
	return newAnswer(http.StatusOK, "application/json; charset=utf-8", o.end())
}

// listing is a parsed call of GET /customers.
type listing struct {
	filters  []filter
	size     int
	page     int
	sort     string
	desc     bool
	unsorted bool
}

// listCustomers serves GET /customers: a bare array, with the paging in headers.
func (s *Sandbox) listCustomers(c *call) *answer {
	l, problem := s.readListing(c)
	if problem != "" {
		return staxError(http.StatusBadRequest, problem)
	}
	found, total := s.matching(l)
	from := min(l.page*l.size, len(found))
	to := min(from+l.size, len(found))
	uri := baseURL(c.r) + staxRoot
	rows := make([]json.RawMessage, 0, to-from)
	for _, customer := range found[from:to] {
		rows = append(rows, s.customerJSON(customer, uri))
	}
	a := jsonAnswer(http.StatusOK, rows)
	if s.variants.get(VariantPageHeaders) == "present" {
		s.pageHeaders(a.header, l, len(found), total)
	}
	return a
}

func (s *Sandbox) pageHeaders(h http.Header, l listing, count, total int) {
	pages := max((count+l.size-1)/l.size, 1)
	h.Set("X-Count", strconv.Itoa(count))
	h.Set("X-MaxCount", strconv.Itoa(total))
	h.Set("X-CurrentPage", strconv.Itoa(l.page))
	h.Set("X-PreviousPage", strconv.Itoa(l.page-1))
	h.Set("X-PageSize", strconv.Itoa(l.size))
	h.Set("X-SortExpression", l.sort)
	h.Set("X-SortOrder", map[bool]string{false: "Ascending", true: "Descending"}[l.desc])
	h.Set("X-MaxPageIndex", strconv.Itoa(pages-1))
	if s.variants.get(VariantMaxPageIndex) == "count" {
		h.Set("X-MaxPageIndex", strconv.Itoa(pages))
	}
	if l.page+1 < pages {
		h.Set("X-NextPage", strconv.Itoa(l.page+1))
	} else if last := s.variants.get(VariantLastNextPage); last != "absent" {
		h.Set("X-NextPage", last)
	}
}

func (s *Sandbox) readListing(c *call) (l listing, problem string) {
	get := func(name string) string {
		for key, values := range c.query {
			if strings.EqualFold(key, name) {
				return values[0]
			}
		}
		return ""
	}
	l.size, _ = strconv.Atoi(s.variants.get(VariantDefaultPageSize))
	if text := get("pageSize"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return l, "pageSize must be a positive integer."
		}
		l.size = min(n, pageSizeMax)
	}
	if text := get("pageNumber"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return l, "pageNumber must be a non-negative integer."
		}
		l.page = n
	}
	l.sort = get("sortExpression")
	l.unsorted = l.sort == ""
	switch strings.ToLower(get("sortOrder")) {
	case "", "ascending":
	case "descending":
		l.desc = true
	default:
		return l, "sortOrder must be Ascending or Descending."
	}
	if l.sort != "" && fieldOf(l.sort) == nil {
		return l, "sortExpression names no field of a customer."
	}
	l.filters, problem = s.parseFilters(get("query"))
	return l, problem
}

// matching gives the customers that pass every filter, sorted.
func (s *Sandbox) matching(l listing) (found []Customer, total int) {
	cs := s.customers
	cs.mu.RLock()
	defer cs.mu.RUnlock()
	consider := func(i int) {
		customer := cs.customer(i)
		for _, f := range l.filters {
			if !f(&customer) {
				return
			}
		}
		found = append(found, customer)
	}
	for i := range cs.n {
		consider(i)
	}
	s.sortCustomers(found, l)
	return found, cs.n
}

func (s *Sandbox) sortCustomers(found []Customer, l listing) {
	if !l.unsorted {
		field := fieldOf(l.sort)
		slices.SortStableFunc(found, func(a, b Customer) int {
			order := field.compare(&a, &b)
			if l.desc {
				order = -order
			}
			return order
		})
		return
	}
	switch s.variants.get(VariantDefaultOrder) {
	case "id-descending":
		slices.Reverse(found)
	case "mixed":
		slices.SortStableFunc(found, func(a, b Customer) int {
			x, y := s.seed.hash(domainOrder, a.Index), s.seed.hash(domainOrder, b.Index)
			switch {
			case x < y:
				return -1
			case x > y:
				return 1
			}
			return 0
		})
	}
}
