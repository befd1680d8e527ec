package sandbox

import (
	"slices"
	"sync"
	"time"
)

const (
	cursorLife = 48 * time.Hour
	maxCursors = 200 // the oldest is forgotten first
)

// cursor is a query under way. It walks candidates and tests them one by one, so
// that the result of a query over millions of accounts is never held. Changes
// made after it was opened are not seen.
type cursor struct {
	query  *checked
	all    bool   // queryAll: rows in the Recycle Bin too
	at     uint64 // the change number that it sees
	n      int    // accounts at that time
	hidden int    // percent out of sight at that time
	walk   walk
	total  int // rows, LIMIT and OFFSET counted in

	id        string
	opened    time.Time
	positions map[int]int // offset of a page → place in the walk
	number    bool
}

// walk is the order in which accounts are looked at.
type walk struct {
	list     []int // given accounts; else:
	listed   bool
	slots    bool // by ascending id, through the id space; else by index
	from, to int
	desc     bool
}

func (w walk) size() int {
	if w.listed {
		return len(w.list)
	}
	return max(0, w.to-w.from)
}

// account is the index at a place of the walk, or -1.
func (w walk) account(place, n int) int {
	if w.listed {
		return w.list[place]
	}
	at := w.from + place
	if w.desc {
		at = w.to - 1 - place
	}
	if w.slots {
		return slotIndex(at, n)
	}
	return at
}

// planCursor fixes what the query sees and the order in which it looks; rows are
// neither sorted nor counted yet. The caller holds the accounts' lock.
func planCursor(a *accounts, query *checked, all bool) *cursor {
	cur := &cursor{
		query: query, all: all, at: a.changes, n: a.total, hidden: a.hidden, positions: map[int]int{},
		number: query.object.numberField(),
	}
	byID := len(query.order) > 0 && query.order[0].field == fieldID
	cur.walk = planWalk(a, query.where, byID)
	cur.walk.desc = byID && query.order[0].desc
	return cur
}

// arrange sorts the rows where the walk does not meet them in order already.
func (cur *cursor) arrange(a *accounts) {
	order := cur.query.order
	if len(order) > 0 && (order[0].field != fieldID || cur.walk.listed) {
		cur.sort(a)
	}
}

// newCursor plans the query and counts its rows. The caller holds the accounts'
// lock.
func newCursor(a *accounts, query *checked, all bool) *cursor {
	cur := planCursor(a, query, all)
	cur.arrange(a)
	if query.offset > 0 {
		cur.skip(a, query.offset)
	}
	for place := 0; query.limit < 0 || cur.total < query.limit; cur.total++ {
		_, next, ok := cur.next(a, place)
		if !ok {
			break
		}
		place = next
	}
	return cur
}

// next is the first fitting row from a place of the walk on, and the place behind
// it.
func (cur *cursor) next(a *accounts, place int) (*accountRow, int, bool) {
	r := &accountRow{a: a, number: cur.number}
	place, ok := cur.fill(r, place)
	if !ok {
		return nil, place, false
	}
	return r, place, true
}

// fill is next into a row of the caller's, who may use it for many.
func (cur *cursor) fill(r *accountRow, place int) (int, bool) {
	for size := cur.walk.size(); place < size; place++ {
		i := cur.walk.account(place, cur.n)
		if i < 0 || !r.a.seed.visible(i, cur.hidden) {
			continue
		}
		st, ok := r.a.stateAt(i, cur.at)
		if !ok || st.purged || st.deleted && !cur.all {
			continue
		}
		r.i, r.st = i, st
		if cur.query.where == nil || cur.query.where.holds(r) {
			return place + 1, true
		}
	}
	return place, false
}

// skip drops the rows before OFFSET, at most maxOffset of them.
func (cur *cursor) skip(a *accounts, rows int) {
	place := 0
	for range rows {
		_, next, ok := cur.next(a, place)
		place = next
		if !ok {
			break
		}
	}
	switch w := &cur.walk; {
	case w.listed:
		w.list = w.list[place:]
	case w.desc:
		w.to -= place
	default:
		w.from += place
	}
}

// sort replaces the walk by the fitting accounts in order.
func (cur *cursor) sort(a *accounts) {
	type keyed struct {
		index int
		keys  []value
	}
	var rows []keyed
	for place := 0; ; {
		r, next, ok := cur.next(a, place)
		if !ok {
			break
		}
		place = next
		one := keyed{r.i, make([]value, len(cur.query.order))}
		for k, term := range cur.query.order {
			one.keys[k] = r.value(term.field)
		}
		rows = append(rows, one)
	}
	slices.SortStableFunc(rows, func(x, y keyed) int {
		for k, term := range cur.query.order {
			if order := compareKeys(cur.query.object.fields[term.field].kind, x.keys[k], y.keys[k], term); order != 0 {
				return order
			}
		}
		return x.index - y.index
	})
	list := make([]int, len(rows))
	for i, one := range rows {
		list[i] = one.index
	}
	cur.walk = walk{list: list, listed: true}
}

func compareKeys(kind fieldType, x, y value, term checkedOrder) int {
	switch {
	case x.null && y.null:
		return 0
	case x.null || y.null:
		if x.null == term.nullsLast {
			return 1
		}
		return -1
	case term.desc:
		return compareValues(kind, y, x)
	default:
		return compareValues(kind, x, y)
	}
}

// planWalk finds the smallest walk that meets every fitting account: the ids
// named by a condition, a range of the id space, or all.
func planWalk(a *accounts, where *test, byID bool) walk {
	conjuncts := []*test{where}
	if where == nil {
		conjuncts = nil
	} else if where.op == "AND" {
		conjuncts = where.children
	}
	w := walk{slots: byID, to: a.total}
	low, high := 0, slots(a.total)
	for _, t := range conjuncts {
		if len(t.children) > 0 || t.field != fieldID || t.kind != typeID {
			continue
		}
		switch t.op {
		case "=", "IN":
			var list []int
			for _, v := range t.values {
				if i, ok := a.seed.accountIndex(v.text); ok && i < a.total {
					list = append(list, i)
				}
			}
			slices.Sort(list)
			return walk{list: slices.Compact(list), listed: true}
		case ">", ">=":
			low, w.slots = max(low, a.seed.slotAt(t.values[0].text, a.total)), true
		case "<", "<=":
			// One slot more, for an id that is equal.
			high, w.slots = min(high, a.seed.slotAt(t.values[0].text, a.total)+1), true
		}
	}
	if w.slots {
		w.from, w.to = low, min(high, slots(a.total))
	}
	return w
}

// cursors keeps what can be paged on, under locators of 18 characters.
type cursors struct {
	seed seeding

	mu     sync.Mutex
	opened int
	byID   map[string]*cursor
	order  []string
}

func newCursors(seed seeding) *cursors {
	return &cursors{seed: seed, byID: map[string]*cursor{}}
}

// keep remembers where a page ends, and gives the cursor's locator.
func (k *cursors) keep(cur *cursor, offset, position int, now time.Time) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if cur.id == "" {
		k.opened++
		id15 := "0r8" + k.seed.codes[0] + base62(uint64(k.opened), 9)
		cur.id, cur.opened = id15+suffixOf(id15), now
		k.byID[cur.id] = cur
		k.order = append(k.order, cur.id)
		if len(k.order) > maxCursors {
			delete(k.byID, k.order[0])
			k.order = k.order[1:]
		}
	}
	cur.positions[offset] = position
	return cur.id
}

func (k *cursors) find(id string, offset int, now time.Time) (*cursor, int, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	cur, ok := k.byID[id]
	if !ok || now.Sub(cur.opened) >= cursorLife {
		return nil, 0, false
	}
	position, ok := cur.positions[offset]
	return cur, position, ok
}

// ExpireCursors makes every open query locator stale.
func (s *Sandbox) ExpireCursors() {
	k := s.cursors
	k.mu.Lock()
	defer k.mu.Unlock()
	k.byID, k.order = map[string]*cursor{}, nil
}
