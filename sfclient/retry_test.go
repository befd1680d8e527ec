package sfclient

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"latchd/latch"
)

func count(o *org, ctx context.Context) error {
	_, err := o.c.CountVisible(ctx)
	return err
}

func down(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusServiceUnavailable, `[]`) }

// TestRetry: three tries, half a second and a second apart, and as much again
// by chance; or as Salesforce asks, a minute at most.
func TestRetry(t *testing.T) {
	for _, c := range []struct {
		after       string
		least, most time.Duration
	}{
		{"", 1500 * time.Millisecond, 2500 * time.Millisecond},
		{"7", 14 * time.Second, 14 * time.Second},
		{"3600", 2 * time.Minute, 2 * time.Minute},
		{"-1", 1500 * time.Millisecond, 2500 * time.Millisecond},
		{"soon", 1500 * time.Millisecond, 2500 * time.Millisecond},
	} {
		inOrg(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", c.after)
			down(w, r)
		}, func(t *testing.T, o *org) {
			start := time.Now()
			e := asError(t, count(o, t.Context()))
			if !e.Unreachable() || o.c.Calls()["count"] != 3 {
				t.Errorf("%v after %v", e, o.c.Calls())
			}
			took(t, start, c.least, c.most)
			if n := o.logs.FilterMessageSnippet("tried again").Len(); n != 2 {
				t.Errorf("%d lines tell of it", n)
			}
			o.quiet(t, e.Error())
		})
	}
}

// TestRetryHelps: a call that passes on its second try is no error; nor is a
// sign-in.
func TestRetryHelps(t *testing.T) {
	calls, signIns := 0, 0
	inOrg(t, func(w http.ResponseWriter, r *http.Request) {
		if calls++; calls == 1 {
			down(w, r)
			return
		}
		threeAccounts(w, r)
	}, func(t *testing.T, o *org) {
		o.signIn = func(w http.ResponseWriter, r *http.Request) {
			if signIns++; signIns == 1 {
				down(w, r)
				return
			}
			grantToken(w, r)
		}
		if org, err := o.c.Org(t.Context()); err != nil || org != "00D000000000001AAA" {
			t.Errorf("%s %v", org, err)
		}
		if err := count(o, t.Context()); err != nil {
			t.Error(err)
		}
		if n := o.c.Calls(); n["token"] != 2 || n["count"] != 2 {
			t.Errorf("%v", n)
		}
	})
}

// TestNotRetried: what another try cannot mend is asked once.
func TestNotRetried(t *testing.T) {
	for _, body := range []string{
		`[{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"TotalRequests Limit exceeded."}]`,
		`[{"errorCode":"INSUFFICIENT_ACCESS","message":"no"}]`,
		`[{"errorCode":"INVALID_QUERY_LOCATOR","message":"invalid query locator"}]`,
		`{}`,
	} {
		inOrg(t, func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusForbidden, body) }, func(t *testing.T, o *org) {
			if err := count(o, t.Context()); err == nil || o.c.Calls()["count"] != 1 {
				t.Errorf("%s: %v after %v", body, err, o.c.Calls())
			}
		})
	}
}

// TestTimeOut: a call that is not answered ends by itself, and is Salesforce's
// failure; one that the caller ends is the caller's.
func TestTimeOut(t *testing.T) {
	silent := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	inOrg(t, silent, func(t *testing.T, o *org) {
		start := time.Now()
		e := asError(t, count(o, t.Context()))
		if e.Kind != KindTransient || !errors.Is(e, context.DeadlineExceeded) {
			t.Errorf("%v", e)
		}
		took(t, start, 180*time.Second, 183*time.Second)
		o.quiet(t, e.Error())
	})
	for _, silentSignIn := range []bool{false, true} {
		inOrg(t, silent, func(t *testing.T, o *org) {
			if silentSignIn {
				o.signIn = silent
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			e := asError(t, count(o, ctx))
			if e.Kind != KindCancelled || !errors.Is(e, context.DeadlineExceeded) {
				t.Errorf("%v", e)
			}
			ctx, cancel = context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			start := time.Now()
			if e = asError(t, count(o, ctx)); e.Kind != KindCancelled || !errors.Is(e, context.Canceled) {
				t.Errorf("%v", e)
			}
			took(t, start, time.Second, time.Second)
		})
	}
}

// TestDeadContext: nothing is asked for a caller who is gone, and a wait ends
// with him.
func TestDeadContext(t *testing.T) {
	inOrg(t, down, func(t *testing.T, o *org) {
		dead, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := o.c.Org(dead)
		_, err2 := o.c.Exists(dead, []latch.AccountID{account})
		if asError(t, err).Kind != KindCancelled || asError(t, err2).Kind != KindCancelled || len(o.c.Calls()) != 0 {
			t.Errorf("%v %v %v", err, err2, o.c.Calls())
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		start := time.Now()
		if e := asError(t, count(o, ctx)); e.Kind != KindCancelled || o.c.Calls()["count"] != 1 {
			t.Errorf("%v %v", e, o.c.Calls())
		}
		took(t, start, 100*time.Millisecond, 100*time.Millisecond)
	})
}

// TestUnreachable: what the network does is told in words, without an address.
func TestUnreachable(t *testing.T) {
	inOrg(t, threeAccounts, func(t *testing.T, o *org) {
		_, err := o.c.Org(t.Context())
		if e := asError(t, err); !e.Unreachable() || !strings.Contains(err.Error(), "connection broke") || o.c.Calls()["token"] != 3 {
			t.Errorf("%v %v", err, o.c.Calls())
		}
		o.quiet(t, err.Error())
	}, func(o *Options) {
		o.Transport = broken{}
	})
}

type broken struct{}

func (broken) RoundTrip(r *http.Request) (*http.Response, error) {
	return nil, errors.New("broken at " + r.URL.String())
}

// TestBudget: past the configured share of the org's calls nothing is asked,
// until it is time to look again.
func TestBudget(t *testing.T) {
	inOrg(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Sforce-Limit-Info", "api-usage=80/100; per-app-api-usage=17/250(appName=x)")
		threeAccounts(w, r)
	}, func(t *testing.T, o *org) {
		if err := count(o, t.Context()); err != nil {
			t.Fatal(err)
		}
		e := asError(t, count(o, t.Context()))
		if e.Kind != KindBudget || !e.Limited() || e.Unreachable() || e.RetryAfter <= 0 || e.Hint() == "" || o.c.Calls()["count"] != 1 {
			t.Errorf("%v %v", e, o.c.Calls())
		}
		if u := o.c.Usage(); u.Used != 80 || u.Max != 100 || u.At.IsZero() {
			t.Errorf("%+v", u)
		}
		time.Sleep(askAgainAfter)
		if err := count(o, t.Context()); err != nil {
			t.Error(err)
		}
		for _, odd := range []string{"", "api-usage=", "api-usage=x/y", "api-usage=1", "api-usage=-1/5", "junk", "api-usage=1/0"} {
			o.c.noteUsage(http.Header{"Sforce-Limit-Info": {odd}}, time.Now())
		}
		if u := o.c.Usage(); u.Used != 80 {
			t.Errorf("an odd header changed it: %+v", u)
		}
	}, func(o *Options) { o.MaxUsagePercent = 80 })
}
