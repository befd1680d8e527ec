package sfclient

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"latchd/latch"
)

// nth is a well-formed id of its own for each n below 62².
func nth(n int) latch.AccountID {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	id, err := latch.ParseAccountID("0014100000JJ3" + string(digits[n/62]) + string(digits[n%62]))
	if err != nil {
		panic(err)
	}
	return id
}

// merges answers for accounts that were merged into others; "" is one that is
// there, and odd ids are refused.
type merges struct {
	into map[latch.AccountID]latch.AccountID
	odd  map[latch.AccountID]bool
	code string // of the refusal
}

// trace answers a query for what became of ids.
func (m merges) trace(w http.ResponseWriter, r *http.Request) {
	var rows []string
	for id, into := range m.into {
		if strings.Contains(r.URL.Query().Get("q"), "'"+string(id)+"'") {
			rows = append(rows, fmt.Sprintf(`{"attributes":{"type":"Account"},"Id":%q,"IsDeleted":%t,"MasterRecordId":%q}`, id, into != "", into))
		}
	}
	say(w, http.StatusOK, fmt.Sprintf(`{"totalSize":%d,"done":true,"records":[%s]}`, len(rows), strings.Join(rows, ",")))
}

func (m merges) org(t *testing.T, test func(*testing.T, *org)) {
	t.Helper()
	inOrg(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			m.trace(w, r)
			return
		}
		var asked struct {
			IDs    []latch.AccountID `json:"ids"`
			Fields []string          `json:"fields"`
		}
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || !slices.Equal(asked.Fields, []string{"Id"}) || len(asked.IDs) > retrieveMax {
			say(w, http.StatusInternalServerError, `[]`)
			return
		}
		var rows []string
		for _, id := range asked.IDs {
			into, there := m.into[id]
			switch {
			case m.odd[id]:
				say(w, http.StatusBadRequest, fmt.Sprintf(`[{"errorCode":%q,"message":"Account ID: id value of incorrect type"}]`, m.code))
				return
			case there && into == "":
				rows = append(rows, fmt.Sprintf(`{"Id":%q}`, id))
			default:
				rows = append(rows, "null")
			}
		}
		say(w, http.StatusOK, "["+strings.Join(rows, ",")+"]")
	}, test)
}

// TestMergeChains: followed to the end, up to ten hops, and never round in
// circles.
func TestMergeChains(t *testing.T) {
	m := merges{into: map[latch.AccountID]latch.AccountID{
		nth(20): nth(21), nth(21): nth(20), // a circle
		nth(22): nth(22),                   // onto itself
		nth(30): nth(31), nth(31): nth(32), // whose survivor left no trace
		nth(40): nth(41), nth(41): "",
	}}
	for i := range 11 { // 0 → 1 → … → 11, which is there
		m.into[nth(i)] = nth(i + 1)
	}
	m.into[nth(11)] = ""
	m.org(t, func(t *testing.T, o *org) {
		ids := []latch.AccountID{nth(0), nth(1), nth(20), nth(21), nth(22), nth(30), nth(40), nth(41)}
		got, err := o.c.Exists(t.Context(), ids)
		if err != nil || len(got) != len(ids) {
			t.Fatalf("%v %v", got, err)
		}
		for id, want := range map[latch.AccountID]struct {
			survivor latch.AccountID
			known    bool
		}{
			nth(0):  {"", false}, // eleven hops
			nth(1):  {nth(11), true},
			nth(20): {"", false}, nth(21): {"", false}, nth(22): {"", false},
			nth(30): {nth(32), false},
			nth(40): {nth(41), true},
		} {
			if r := got[id]; r.State != latch.AccountMerged || r.Survivor != want.survivor || r.SurvivorKnown != want.known {
				t.Errorf("%s: %+v, want %+v", id, r, want)
			}
		}
		if n := o.c.Calls()["retrieve"]; n > 1+maxHops {
			t.Errorf("%d calls", n)
		}
	})
}

// TestOddIDs: one id that Salesforce does not take costs the others nothing,
// and many of them cost a bounded number of calls.
func TestOddIDs(t *testing.T) {
	m := merges{into: map[latch.AccountID]latch.AccountID{}, odd: map[latch.AccountID]bool{}, code: "MALFORMED_ID"}
	var ids []latch.AccountID
	for i := range retrieveMax {
		ids = append(ids, nth(i))
		m.into[nth(i)] = ""
	}
	m.odd[nth(700)] = true
	delete(m.into, nth(700))
	m.org(t, func(t *testing.T, o *org) {
		got, err := o.c.Exists(t.Context(), ids)
		if err != nil || len(got) != len(ids) || got[nth(700)].State != latch.AccountUnseen || got[nth(701)].State != latch.AccountKnown {
			t.Errorf("%d %v", len(got), err)
		}
	})
	for _, id := range ids {
		m.odd[id] = true
	}
	m.org(t, func(t *testing.T, o *org) {
		_, err := o.c.Exists(t.Context(), ids)
		if asError(t, err).Kind != KindBadQuery || o.c.Calls()["retrieve"] > 2*maxSplits+1 {
			t.Errorf("%v after %v", err, o.c.Calls())
		}
		o.quiet(t, err.Error())
	})
	m.code = "INVALID_FIELD" // no id's fault
	m.org(t, func(t *testing.T, o *org) {
		_, err := o.c.Exists(t.Context(), ids)
		if asError(t, err).Kind != KindBadQuery || o.c.Calls()["retrieve"] != 1 {
			t.Errorf("%v after %v", err, o.c.Calls())
		}
	})
}

// TestNoAccountID: what can be no Account id is not asked for.
func TestNoAccountID(t *testing.T) {
	merges{}.org(t, func(t *testing.T, o *org) {
		got, err := o.c.Exists(t.Context(), []latch.AccountID{"", "abc", "003000000000001AAA", "0014100000JJ3wt", "' OR Name != '"})
		if err != nil || len(got) != 5 || len(o.c.Calls()) != 0 {
			t.Errorf("%v %v %v", got, err, o.c.Calls())
		}
		for id, r := range got {
			if r.State != latch.AccountUnseen || r.Account != id || r.At.IsZero() {
				t.Errorf("%q: %+v", id, r)
			}
		}
	})
}
