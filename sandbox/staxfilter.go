package sandbox

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// filter is one field:value of a query, asked of the i-th customer.
type filter func(i int) bool

// customerField is a field that a list can be filtered and sorted by. Only what
// is asked for is computed, as a list may have to look at every customer.
type customerField struct {
	text  func(*customers, int) string // "" = null
	stamp func(*customers, int) time.Time
	id    bool
	set   bool // takes several values, by commas
}

var customerFields = map[string]*customerField{
	"id":                    {text: func(_ *customers, i int) string { return strconv.FormatInt(firstCustomerID+int64(i), 10) }, id: true, set: true},
	"salesforceid":          {text: func(c *customers, i int) string { return c.link(i).salesforceID }},
	"salesforceaccounttype": {text: func(c *customers, i int) string { return c.link(i).accountType }, set: true},
	"salesforcesynchstatus": {text: func(c *customers, i int) string { return c.link(i).synchStatus }, set: true},
	"status":                {text: (*customers).status, set: true},
	"reference":             {text: (*customers).reference},
	"companyname":           {text: (*customers).companyName},
	"modifiedtimestamp":     {stamp: (*customers).modified},
	"createdtimestamp":      {stamp: (*customers).created},
}

func fieldOf(name string) *customerField { return customerFields[strings.ToLower(name)] }

// idSet reads the ids of an id filter, for faults that name a customer.
func idSet(query string) []int64 {
	var out []int64
	for part := range strings.SplitSeq(query, ";") {
		name, value, _ := strings.Cut(part, ":")
		if !strings.EqualFold(strings.TrimSpace(name), "id") {
			continue
		}
		for id := range strings.SplitSeq(value, ",") {
			if n := number(strings.TrimSpace(id)); n > 0 {
				out = append(out, n)
			}
		}
	}
	return out
}

// parseFilters reads field:value, joined by semicolons (dev/string-filtering,
// dev/date-filtering). The caller holds the customers' lock while it asks them.
func (s *Sandbox) parseFilters(query string) (out []filter, problem string) {
	for part := range strings.SplitSeq(query, ";") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		name, value, ok := strings.Cut(part, ":")
		field := fieldOf(strings.TrimSpace(name))
		if !ok || field == nil {
			return nil, "Invalid query parameter '" + name + "'."
		}
		f, problem := s.filterOn(field, value)
		if problem != "" {
			return nil, problem
		}
		if f != nil {
			out = append(out, f)
		}
	}
	return out, ""
}

func (s *Sandbox) filterOn(field *customerField, value string) (filter, string) {
	cs := s.customers
	switch {
	case field.stamp != nil:
		return stampFilter(cs, field, value)
	case field.id:
		return s.idFilter(value)
	case strings.EqualFold(value, "[empty]") && s.variants.get(VariantEmptyFilter) == "honoured":
		return func(i int) bool { return field.text(cs, i) == "" }, ""
	case field.set:
		values := strings.Split(strings.ToLower(value), ",")
		return func(i int) bool { return slices.Contains(values, strings.ToLower(field.text(cs, i))) }, ""
	}
	fold := s.variants.get(VariantFilterCase) == "insensitive"
	if fold {
		value = strings.ToLower(value)
	}
	return func(i int) bool {
		text := field.text(cs, i)
		if fold {
			text = strings.ToLower(text)
		}
		return text != "" && wildcard(value, text)
	}, ""
}

func (s *Sandbox) idFilter(value string) (filter, string) {
	parts := strings.Split(value, ",")
	if len(parts) > 1 {
		switch s.variants.get(VariantIDSets) {
		case "ignored":
			return nil, ""
		case "400":
			return nil, "Invalid value for query parameter 'id'."
		}
	}
	ids := map[int64]bool{}
	for _, p := range parts {
		n := number(strings.TrimSpace(p))
		if n == 0 {
			return nil, "Invalid value for query parameter 'id'."
		}
		ids[n] = true
	}
	return func(i int) bool { return ids[firstCustomerID+int64(i)] }, ""
}

// stampFilter reads low|high, low| and |high: low inclusive, high exclusive, UTC.
func stampFilter(cs *customers, field *customerField, value string) (filter, string) {
	const wrong = "Invalid date range."
	low, high, ok := strings.Cut(value, "|")
	if !ok {
		return nil, wrong
	}
	var from, to time.Time
	for _, side := range []struct {
		text string
		into *time.Time
	}{{low, &from}, {high, &to}} {
		if side.text == "" {
			continue
		}
		t, err := time.Parse("2006-01-02T15:04:05", side.text)
		if err != nil {
			if t, err = time.Parse("2006-01-02", side.text); err != nil {
				return nil, wrong
			}
		}
		*side.into = t
	}
	return func(i int) bool {
		at := field.stamp(cs, i)
		return (from.IsZero() || !at.Before(from)) && (to.IsZero() || at.Before(to))
	}, ""
}

// wildcard matches a pattern in which * stands for any text.
func wildcard(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	if !strings.HasPrefix(text, parts[0]) { // the text before the first star
		return false
	}
	text = text[len(parts[0]):]
	for _, p := range parts[1 : len(parts)-1] {
		i := strings.Index(text, p)
		if i < 0 {
			return false
		}
		text = text[i+len(p):]
	}
	return strings.HasSuffix(text, parts[len(parts)-1])
}
