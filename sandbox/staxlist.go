package sandbox

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
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
	filters []filter
	ids     []int // the customers of an id filter, ascending; nil = all
	size    int
	page    int
	sort    string
	desc    bool
}

// listCustomers serves GET /customers: a bare array, with the paging in headers.
func (s *Sandbox) listCustomers(c *call) *answer {
	l, problem := s.readListing(c)
	if problem != "" {
		return staxError(http.StatusBadRequest, problem)
	}
	cs := s.customers
	cs.mu.RLock()
	defer cs.mu.RUnlock()
	at, count := s.matching(l)
	uri := baseURL(c.r) + staxRoot
	rows := []json.RawMessage{}
	for place := min(l.page, count) * l.size; place < min((l.page+1)*l.size, count); place++ {
		rows = append(rows, s.customerJSON(cs.customer(at(place)), uri))
	}
	a := jsonAnswer(http.StatusOK, rows)
	if s.variants.get(VariantPageHeaders) == "present" {
		s.pageHeaders(a.header, l, count, cs.n)
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
		l.page = min(n, MaxRecords)
	}
	l.sort = get("sortExpression")
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
	query := get("query")
	if l.filters, problem = s.parseFilters(query); problem != "" {
		return l, problem
	}
	if ids := idSet(query); len(ids) == 1 || len(ids) > 1 && s.variants.get(VariantIDSets) == "honoured" {
		l.ids = []int{}
		for _, id := range ids {
			if i, ok := s.customers.index(id); ok {
				l.ids = append(l.ids, i)
			}
		}
		slices.Sort(l.ids)
		l.ids = slices.Compact(l.ids)
	}
	return l, ""
}

// matching gives the customers that pass every filter, in order: how many, and
// the index at each place. A whole list by id is not held. The caller holds the
// customers' lock.
func (s *Sandbox) matching(l listing) (at func(place int) int, count int) {
	n := s.customers.n
	byID := l.sort == "" || fieldOf(l.sort).id
	mixed := l.sort == "" && s.variants.get(VariantDefaultOrder) == "mixed"
	desc := l.desc
	if l.sort == "" {
		desc = s.variants.get(VariantDefaultOrder) == "id-descending"
	}
	if len(l.filters) == 0 && byID && !mixed {
		if desc {
			return func(place int) int { return n - 1 - place }, n
		}
		return func(place int) int { return place }, n
	}
	var found []int
	consider := func(i int) {
		for _, f := range l.filters {
			if !f(i) {
				return
			}
		}
		found = append(found, i)
	}
	if l.ids != nil {
		for _, i := range l.ids {
			consider(i)
		}
	} else {
		for i := range n {
			consider(i)
		}
	}
	switch {
	case mixed:
		slices.SortFunc(found, func(a, b int) int {
			return cmp.Compare(s.seed.hash(domainOrder, a), s.seed.hash(domainOrder, b))
		})
	case !byID:
		s.sortBy(fieldOf(l.sort), found, desc)
	case desc:
		slices.Reverse(found)
	}
	return func(place int) int { return found[place] }, len(found)
}

// sortBy orders customers by a field; those that are equal stay by id.
func (s *Sandbox) sortBy(field *customerField, found []int, desc bool) {
	type keyed struct {
		index int
		text  string
		stamp time.Time
	}
	rows := make([]keyed, len(found))
	for k, i := range found {
		rows[k].index = i
		if field.stamp != nil {
			rows[k].stamp = field.stamp(s.customers, i)
		} else {
			rows[k].text = field.text(s.customers, i)
		}
	}
	slices.SortStableFunc(rows, func(a, b keyed) int {
		order := cmp.Or(a.stamp.Compare(b.stamp), cmp.Compare(a.text, b.text))
		if desc {
			return -order
		}
		return order
	})
	for k, one := range rows {
		found[k] = one.index
	}
}
