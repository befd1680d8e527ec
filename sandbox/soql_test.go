package sandbox

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

func quoted(ids ...string) string { return "'" + strings.Join(ids, "','") + "'" }

// What a WHERE, ORDER BY, LIMIT and OFFSET give (SOQL and SOSL reference).
func TestSOQL(t *testing.T) {
	w := newWorld(t, Options{Accounts: 30})
	name := "A_b% \\ O'Neill\t\"é"
	must(t, w.EditAccount(w.AccountID(3), &name, nil))
	customer := "1000007"
	must(t, w.EditAccount(w.AccountID(4), nil, &customer))
	must(t, w.DeleteAccount(w.AccountID(5)))
	must(t, w.MergeAccount(w.AccountID(6), w.AccountID(7)))
	var sorted []string
	for i := range 30 {
		sorted = append(sorted, w.AccountID(i))
	}
	slices.Sort(sorted)
	live := slices.DeleteFunc(slices.Clone(sorted), func(id string) bool { return id == w.AccountID(5) || id == w.AccountID(6) })

	id := w.AccountID
	for _, one := range []struct {
		resource, where string
		want            []string
	}{
		{"query", "ORDER BY Id", live},
		{"queryAll", "ORDER BY Id", sorted},
		{"query", "ORDER BY Id DESC LIMIT 2", []string{live[27], live[26]}},
		{"query", "ORDER BY Id LIMIT 2 OFFSET 3", live[3:5]},
		{"query", "WHERE Id > '" + live[10] + "' ORDER BY Id LIMIT 3", live[11:14]},
		{"query", "WHERE Id >= '" + live[10][:15] + "' AND Id < '" + live[12] + "' ORDER BY Id", live[10:12]},
		{"query", "WHERE Id <= '" + live[1] + "' ORDER BY Id DESC", []string{live[1], live[0]}},
		{"query", "WHERE Id IN (" + quoted(id(1), id(2)[:15], w.MissingAccountID(0)) + ")", []string{id(1), id(2)}},
		{"query", "WHERE Id = '" + id(5) + "'", nil},
		{"queryAll", "WHERE IsDeleted = true ORDER BY Id", sortedOf(id(5), id(6))},
		{"queryAll", "WHERE IsDeleted=TRUE AND MasterRecordId!=null", []string{id(6)}},
		{"queryAll", "WHERE MasterRecordId = '" + id(7) + "'", []string{id(6)}},
		{"query", "WHERE IsDeleted = true", nil},
		{"query", `WHERE Name = 'a_B% \\ o\'neill\t\"\u00e9'`, []string{id(3)}},
		{"query", `WHERE Name LIKE 'A\_b\%%'`, []string{id(3)}},
		{"query", `WHERE Name LIKE '_\_b%' AND NOT Id = '` + id(2) + `'`, []string{id(3)}},
		{"query", "WHERE Stax_Bill_Customer__c = '1000007'", []string{id(4)}},
		{"query", "where stax_bill_customer__c != NULL", []string{id(4)}},
		{"query", "WHERE Stax_Bill_Customer__c IN ('x', '1000007')", []string{id(4)}},
		{"query", "WHERE (Id = '" + id(1) + "' OR Id = '" + id(2) + "') AND Name <> 'x' ORDER BY Id", sortedOf(id(1), id(2))},
		{"query", "WHERE Id NOT IN (" + quoted(live[2:]...) + ") ORDER BY Id", live[:2]},
		{"queryAll", "WHERE SystemModstamp >= 2026-03-04T05:06:07Z ORDER BY Id", sortedOf(id(3), id(4), id(5), id(6), id(7))},
		{"queryAll", "WHERE SystemModstamp > 2026-03-04T05:06:07.000+00:00", nil},
		{"query", "WHERE Stax_Bill_Customer__c != null OR Name LIKE 'a\\_b%' ORDER BY Stax_Bill_Customer__c NULLS LAST", []string{id(4), id(3)}},
		{"query", "WHERE Id IN (" + quoted(id(3), id(4)) + ") ORDER BY Stax_Bill_Customer__c", []string{id(3), id(4)}},
		{"query", "WHERE Id IN (" + quoted(id(3), id(4)) + ") ORDER BY Stax_Bill_Customer__c DESC NULLS LAST, Name", []string{id(4), id(3)}},
		{"query", "WHERE Id IN (" + quoted(id(0), id(1)) + ") ORDER BY IsDeleted, CreatedDate DESC", []string{id(1), id(0)}},
		{"query", "WHERE Id = '" + id(1) + "' LIMIT 0", nil},
	} {
		got := w.soql(one.resource, "SELECT Id FROM Account "+one.where)
		if ids := got.column("Id"); !slices.Equal(ids, append([]string{}, one.want...)) || got.TotalSize != len(one.want) || !got.Done {
			t.Errorf("%s %s\n got %v (%d)\nwant %v", one.resource, one.where, ids, got.TotalSize, one.want)
		}
	}
}

func sortedOf(ids ...string) []string {
	slices.Sort(ids)
	return ids
}

// What SOQL refuses, and with which code (REST API, status codes and error
// responses; SOQL reference).
func TestSOQLErrors(t *testing.T) {
	w := newWorld(t, Options{Accounts: 2})
	for q, code := range map[string]string{
		"":                                            "MALFORMED_QUERY",
		"SELECT":                                      "MALFORMED_QUERY",
		"SELECT Id":                                   "MALFORMED_QUERY",
		"SELECT Id, FROM Account":                     "MALFORMED_QUERY",
		"SELECT * FROM Account":                       "MALFORMED_QUERY",
		"SELECT Id FROM Account WHERE":                "MALFORMED_QUERY",
		"SELECT Id FROM Account WHERE Id":             "MALFORMED_QUERY",
		"SELECT Id FROM Account WHERE Id = x":         "MALFORMED_QUERY",
		"SELECT Id FROM Account LIMIT -1":             "MALFORMED_QUERY",
		"SELECT Id FROM Account LIMIT 1 x":            "MALFORMED_QUERY",
		"SELECT Id FROM Account; DROP":                "MALFORMED_QUERY",
		"SELECT Id FROM Account OFFSET 2001":          "NUMBER_OUTSIDE_VALID_RANGE",
		`SELECT Id FROM Account WHERE Name = 'a\x'`:   "MALFORMED_QUERY",
		`SELECT Id FROM Account WHERE Name = 'a\_'`:   "MALFORMED_QUERY",
		`SELECT Id FROM Account WHERE Name = 'a\u12'`: "MALFORMED_QUERY",
		`SELECT Id FROM Account WHERE Name = 'a`:      "MALFORMED_QUERY",
		`SELECT Id FROM Account WHERE Name = 'a\`:     "MALFORMED_QUERY",
		"SELECT Id FROM Account WHERE Id = 'a' AND Name = 'b' OR Name = 'c'":                                "MALFORMED_QUERY",
		"SELECT Id FROM Account WHERE Id IN ()":                                                             "MALFORMED_QUERY",
		"SELECT Id FROM Account WHERE Name = '" + strings.Repeat("x", 4001) + "'":                           "MALFORMED_QUERY",
		"SELECT Nope FROM Account":                                                                          "INVALID_FIELD",
		"SELECT Id, id FROM Account":                                                                        "INVALID_FIELD",
		"SELECT Id FROM Account WHERE Nope = 1":                                                             "INVALID_FIELD",
		"SELECT Id FROM Account ORDER BY Nope":                                                              "INVALID_FIELD",
		"SELECT Id FROM Account WHERE Id = 5":                                                               "INVALID_FIELD",
		"SELECT Id FROM Account WHERE Name = 5":                                                             "INVALID_FIELD",
		"SELECT Id FROM Account WHERE IsDeleted = 'true'":                                                   "INVALID_FIELD",
		"SELECT Id FROM Account WHERE SystemModstamp > '2026-03-04T05:06:07Z'":                              "INVALID_FIELD",
		"SELECT Id FROM Account WHERE SystemModstamp > 2026-03-04":                                          "INVALID_FIELD",
		"SELECT Id FROM Account WHERE SystemModstamp > 2026-03-04T05:06:07":                                 "INVALID_FIELD",
		"SELECT Id FROM Account WHERE Id = '001'":                                                           "INVALID_QUERY_FILTER_OPERATOR",
		"SELECT Id FROM Account WHERE Id = '0014100000JJ3wtAAE'":                                            "INVALID_QUERY_FILTER_OPERATOR",
		"SELECT Id FROM Account WHERE Id LIKE '001%'":                                                       "INVALID_QUERY_FILTER_OPERATOR",
		"SELECT Id FROM Account WHERE IsDeleted > false":                                                    "INVALID_QUERY_FILTER_OPERATOR",
		"SELECT Id FROM Contact":                                                                            "INVALID_TYPE",
		"SELECT Id FROM Account WHERE " + strings.Repeat("(", 300) + "Id = null" + strings.Repeat(")", 300): "QUERY_TOO_COMPLICATED",
	} {
		r := w.sf("GET", dataRoot+"/query?q="+url.QueryEscape(q), "")
		var out []sfErrorItem
		r.decode(t, &out)
		if r.status != 400 || len(out) != 1 || out[0].ErrorCode != code || out[0].Message == "" {
			t.Errorf("%.80q: %d %.200s, want %s", q, r.status, r.body, code)
		}
	}
}

// A SOQL statement may have 100,000 characters, more than a URI holds; a
// composite subrequest takes it (help.salesforce.com 000386264).
func TestSOQLLength(t *testing.T) {
	if _, problem := parseSOQL("SELECT Id FROM Account WHERE Name != 'x'" + strings.Repeat(" ", maxSOQL)); problem == nil || problem.code != "MALFORMED_QUERY" {
		t.Fatalf("a query of over 100,000 characters: %v", problem)
	}
	if _, problem := parseSOQL("SELECT Id FROM Account WHERE Id IN ('0014100000JJ3wtAAD'" + strings.Repeat(",'0014100000JJ3wtAAD'", 4_700) + ")"); problem != nil {
		t.Fatal(problem)
	}
}

func FuzzSOQL(f *testing.F) {
	f.Add("SELECT Id, Name FROM Account WHERE (Name LIKE '%a\\_' OR NOT Id IN ('0014100000JJ3wtAAD')) ORDER BY Id DESC NULLS LAST LIMIT 5 OFFSET 1")
	f.Add("SELECT COUNT() FROM Account WHERE SystemModstamp >= 2024-01-01T00:00:00Z")
	s, err := New(Options{Accounts: 5})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, q string) {
		st, problem := parseSOQL(q)
		if problem != nil {
			return
		}
		query, problem := check(st, s.accountObject())
		if problem != nil {
			return
		}
		cur := newCursor(s.accounts, query, true)
		if cur.total > 5 {
			t.Fatalf("%d of 5 accounts fit %q", cur.total, q)
		}
	})
}
