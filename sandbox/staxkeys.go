package sandbox

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Limits are the calls that a key may make; 0 = no limit, and no headers.
type limits struct{ minute, day int }

// limitsNamed gives the documented limits (dev/rate-limits): live accounts, and
// the larger kind of test accounts.
func limitsNamed(name string) (limits, error) {
	switch name {
	case LimitsNone, "":
		return limits{}, nil
	case LimitsLive:
		return limits{1000, 180_000}, nil
	case LimitsTest:
		return limits{50, 5_000}, nil
	}
	return limits{}, fmt.Errorf("sandbox: there are no limits named %q; choose live, test or none", name)
}

// APIKey is one key of the Stax Bill account.
type APIKey struct {
	Name string `json:"name"`
	Key  string `json:"key"`
}

// keys counts each key's calls in fixed windows of a minute and a day.
type keys struct {
	mu     sync.Mutex
	limits limits
	list   []APIKey
	counts map[string]*counts // by name
}

type counts struct {
	minute, day     int64 // number of the window
	inMinute, inDay int
}

func newKeys(l limits, first APIKey) *keys {
	return &keys{limits: l, list: []APIKey{first}, counts: map[string]*counts{}}
}

func (k *keys) find(key string) (name string, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, one := range k.list {
		if one.Key == key {
			return one.Name, true
		}
	}
	return "", false
}

// spend takes one call of a key. spent names the window that has none left.
func (k *keys) spend(name string, now time.Time, form string) (spent string, h http.Header) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.limits.minute == 0 {
		return "", nil
	}
	c := k.current(name, now)
	switch {
	case c.inMinute >= k.limits.minute:
		spent = "minute"
	case c.inDay >= k.limits.day:
		spent = "day"
	default:
		c.inMinute++
		c.inDay++
	}
	return spent, k.headers(c, form)
}

func (k *keys) current(name string, now time.Time) *counts {
	c := k.counts[name]
	if c == nil {
		c = &counts{}
		k.counts[name] = c
	}
	if m := now.Unix() / 60; m != c.minute {
		c.minute, c.inMinute = m, 0
	}
	if d := now.Unix() / 86400; d != c.day {
		c.day, c.inDay = d, 0
	}
	return c
}

func (k *keys) headers(c *counts, form string) http.Header {
	h := http.Header{}
	set := func(window string, limit, used int, reset time.Time) {
		h.Set("X-Rate-Limit-Limit-"+window, strconv.Itoa(limit))
		h.Set("X-Rate-Limit-Remaining-"+window, strconv.Itoa(limit-used))
		h.Set("X-Rate-Limit-Reset-"+window, resetForm(reset, form))
	}
	set("Minute", k.limits.minute, c.inMinute, time.Unix((c.minute+1)*60, 0))
	set("Day", k.limits.day, c.inDay, time.Unix((c.day+1)*86400, 0))
	return h
}

// spentHeaders are those of a 429 that a fault asked for.
func (k *keys) spentHeaders(h http.Header, c *call, s *Sandbox) {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.limits
	if l.minute == 0 {
		l = limits{1000, 180_000}
	}
	now := s.now()
	cnt := &counts{minute: now.Unix() / 60, day: now.Unix() / 86400, inMinute: l.minute, inDay: 1}
	other := &keys{limits: l}
	for name, values := range other.headers(cnt, s.variants.get(VariantResetHeader)) {
		h[name] = values
	}
}

// resetForm writes a reset as one of the forms that a "Timestamp" may have.
func resetForm(t time.Time, form string) string {
	t = t.UTC()
	switch form {
	case "zoneless":
		return t.Format("2006-01-02T15:04:05")
	case "unix":
		return strconv.FormatInt(t.Unix(), 10)
	case "unix-ms":
		return strconv.FormatInt(t.UnixMilli(), 10)
	case "rfc1123":
		return t.Format(http.TimeFormat)
	}
	return t.Format(time.RFC3339)
}

// APIKeys lists the account's keys.
func (s *Sandbox) APIKeys() []APIKey {
	s.keys.mu.Lock()
	defer s.keys.mu.Unlock()
	return append([]APIKey(nil), s.keys.list...)
}

// SetAPIKeys replaces the account's keys; the old ones stop working at once.
func (s *Sandbox) SetAPIKeys(list []APIKey) error {
	if len(list) == 0 {
		return fmt.Errorf("sandbox: an account has at least one API key")
	}
	for i, k := range list {
		same := func(o APIKey) bool { return o.Name == k.Name || o.Key == k.Key }
		if k.Name == "" || k.Key == "" || strings.ContainsAny(k.Key, " \t\r\n") || slices.ContainsFunc(list[:i], same) {
			return fmt.Errorf("sandbox: API key %q wants a name and a key without spaces, neither of them another's", k.Name)
		}
	}
	s.keys.mu.Lock()
	defer s.keys.mu.Unlock()
	s.keys.list = append([]APIKey(nil), list...)
	return nil
}

// SetRateLimits sets how many calls a key may make in a minute and a day; 0 for
// the minute = no limit and no headers.
func (s *Sandbox) SetRateLimits(minute, day int) error {
	if minute < 0 || day < 0 || minute > 0 && day == 0 {
		return fmt.Errorf("sandbox: %d calls a minute and %d a day are no limits", minute, day)
	}
	s.keys.mu.Lock()
	defer s.keys.mu.Unlock()
	s.keys.limits = limits{minute, day}
	return nil
}
