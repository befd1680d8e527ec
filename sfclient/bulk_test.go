package sfclient_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/sfclient"
)

// kept is what a caller of BulkPull keeps.
type kept struct {
	job   latch.PullJob
	ids   map[latch.PackedAccountID]int
	jobs  int
	polls int
	page  func(int) error // after the nth page, 1-based
}

func (k *kept) steps() sfclient.BulkSteps {
	return sfclient.BulkSteps{
		Created: func(j latch.PullJob) error {
			k.job, k.ids = j, map[latch.PackedAccountID]int{}
			k.jobs++
			return nil
		},
		Polled: func() error { k.polls++; return nil },
		IDs: func(ids []latch.PackedAccountID) error {
			for _, id := range ids {
				k.ids[id]++
			}
			return nil
		},
		Page: func(p latch.PullPage) error {
			k.job.Pages = append(k.job.Pages, p)
			if k.page != nil {
				return k.page(len(k.job.Pages))
			}
			return nil
		},
	}
}

// bulk makes a pull, or carries on with the one that was kept.
func (k *kept) bulk(t *testing.T, c *sfclient.Client) (sfclient.Pulled, error) {
	t.Helper()
	return c.BulkPull(t.Context(), k.job, k.steps())
}

// whole checks that exactly the org's accounts came.
func (k *kept) whole(t *testing.T, box *sandbox.Sandbox, n int) {
	t.Helper()
	for i := range n {
		id, _ := latch.AccountID(box.AccountID(i)).Pack()
		if k.ids[id] == 0 {
			t.Fatalf("account %d did not come", i)
		}
	}
	if len(k.ids) != n {
		t.Errorf("%d ids came, of %d accounts", len(k.ids), n)
	}
}

func variant(t *testing.T, box *sandbox.Sandbox, name, value string) {
	t.Helper()
	if err := box.SetVariant(name, value); err != nil {
		t.Fatal(err)
	}
}

func pace(t *testing.T, box *sandbox.Sandbox, p sandbox.BulkPace) {
	t.Helper()
	if err := box.SetBulkPace(p); err != nil {
		t.Fatal(err)
	}
}

// TestBulkPull: a job of several pages, in every form that the documentation
// leaves open.
func TestBulkPull(t *testing.T) {
	const n = 600_001
	box, c := newBox(t, sandbox.Options{Accounts: n, Seed: 2}, nil)
	pace(t, box, sandbox.BulkPace{Polls: 1})
	for _, v := range []struct{ name, value string }{
		{"", ""},
		{sandbox.VariantBulkHeader, "first"},
		{sandbox.VariantBulkQuotes, "needed"},
		{sandbox.VariantBulkGzip, "always"},
		{sandbox.VariantBulkAPIVersion, "string"},
	} {
		if v.name != "" {
			variant(t, box, v.name, v.value)
		}
		var k kept
		before, asked := time.Now().Add(-2*time.Second), c.Calls()["bulkResults"]
		pulled, err := k.bulk(t, c)
		if err != nil || pulled.Rows != n || pulled.Watermark.Before(before) || pulled.Watermark.After(time.Now()) {
			t.Fatalf("%v: %+v %v", v, pulled, err)
		}
		k.whole(t, box, n)
		if calls := c.Calls()["bulkResults"] - asked; calls != 3 || len(k.job.Pages) != 3 || k.jobs != 1 {
			t.Errorf("%v: %d calls for %d pages of %d jobs", v, calls, len(k.job.Pages), k.jobs)
		}
	}
}

func TestBulkOfNothing(t *testing.T) {
	box, c := newBox(t, sandbox.Options{Accounts: 1, Seed: 2}, nil)
	if err := box.DeleteAccount(box.AccountID(0)); err != nil {
		t.Fatal(err)
	}
	pace(t, box, sandbox.BulkPace{Polls: 1})
	var k kept
	if pulled, err := k.bulk(t, c); err != nil || pulled.Rows != 0 || pulled.Watermark.IsZero() {
		t.Errorf("%+v %v", pulled, err)
	}
}

// TestBulkCarriesOn: a pull that ended behind any page goes on with the same job,
// by another client, and no page that is done is asked for again.
func TestBulkCarriesOn(t *testing.T) {
	const n = 600_001
	box, c := newBox(t, sandbox.Options{Accounts: n, Seed: 2}, nil)
	pace(t, box, sandbox.BulkPace{Polls: 1})
	stop := errors.New("stop")
	for at := 1; at <= 3; at++ {
		k := kept{page: func(nth int) error {
			if nth == at {
				return stop
			}
			return nil
		}}
		if _, err := k.bulk(t, c); err != stop {
			t.Fatalf("behind page %d: %v", at, err)
		}
		asked, watermark := c.Calls()["bulkResults"], k.job.Watermark
		pulled, err := k.bulk(t, c)
		if err != nil || pulled.Rows != n || pulled.Watermark != watermark {
			t.Fatalf("behind page %d it carries on to %+v, %v", at, pulled, err)
		}
		k.whole(t, box, n)
		if calls := c.Calls()["bulkResults"] - asked; calls != 3-at || k.jobs != 1 {
			t.Errorf("behind page %d: %d calls more, %d jobs", at, calls, k.jobs)
		}
	}
}

// TestBulkSessionExpires in the middle: it is renewed, the job goes on.
func TestBulkSessionExpires(t *testing.T) {
	const n = 600_001
	box, c := newBox(t, sandbox.Options{Accounts: n, Seed: 2}, nil)
	pace(t, box, sandbox.BulkPace{Polls: 1})
	k := kept{page: func(int) error { box.ExpireSessions(); return nil }}
	if pulled, err := k.bulk(t, c); err != nil || pulled.Rows != n {
		t.Fatalf("%+v %v", pulled, err)
	}
	k.whole(t, box, n)
	if k.jobs != 1 || c.Calls()["token"] < 2 {
		t.Errorf("%d jobs, calls %v", k.jobs, c.Calls())
	}
}

// TestBulkPageBreaksOff: a page that is cut off, in gzip or not, is asked for
// again; one that always is ends the pull, and the next one carries on.
func TestBulkPageBreaksOff(t *testing.T) {
	const n = 300_000
	for _, gzip := range []string{"asked", "always"} {
		box, c := newBox(t, sandbox.Options{Accounts: n, Seed: 2}, nil)
		pace(t, box, sandbox.BulkPace{Polls: 1})
		variant(t, box, sandbox.VariantBulkGzip, gzip)
		broken := func(nth, count int) sandbox.Fault {
			return sandbox.Fault{Match: sandbox.FaultMatch{Call: "bulkResults", Nth: nth, Count: count}, Do: sandbox.FaultAction{Body: sandbox.BodyTruncated}}
		}
		if err := box.SetFaults([]sandbox.Fault{broken(2, 1)}); err != nil {
			t.Fatal(err)
		}
		var k kept
		if pulled, err := k.bulk(t, c); err != nil || pulled.Rows != n {
			t.Fatalf("%s: %+v %v", gzip, pulled, err)
		}
		k.whole(t, box, n)

		if err := box.SetFaults([]sandbox.Fault{broken(2, 100)}); err != nil {
			t.Fatal(err)
		}
		k = kept{}
		_, err := k.bulk(t, c)
		if kindOf(err) != sfclient.KindTransient || len(k.job.Pages) != 1 {
			t.Fatalf("%s: %v after %d pages", gzip, err, len(k.job.Pages))
		}
		if err := box.SetFaults(nil); err != nil {
			t.Fatal(err)
		}
		if pulled, err := k.bulk(t, c); err != nil || pulled.Rows != n || k.jobs != 1 {
			t.Errorf("%s: %+v %v in %d jobs", gzip, pulled, err, k.jobs)
		}
		k.whole(t, box, n)
	}
}

func kindOf(err error) sfclient.Kind {
	var e *sfclient.Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ""
}

// TestBulkRefused: what says that there is no such pull to be had, and not that
// Salesforce is out of order.
func TestBulkRefused(t *testing.T) {
	box, c := newBox(t, sandbox.Options{Accounts: 10, Seed: 2}, nil)
	pace(t, box, sandbox.BulkPace{Polls: 1})
	refused := func(name string, kind sfclient.Kind, says string) {
		t.Helper()
		var k kept
		_, err := k.bulk(t, c)
		if kindOf(err) != kind || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "SELECT") {
			t.Errorf("%s: %s %v", name, kindOf(err), err)
		}
		if err := box.SetFaults(nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, spent := range [][2]int{{10_000, 0}, {0, 1_000_000_000}} {
		if err := box.SetBulkSpent(spent[0], spent[1]); err != nil {
			t.Fatal(err)
		}
		refused("spent", sfclient.KindBulkRefused, "Max bulk v2 query")
	}
	if err := box.SetBulkSpent(0, 0); err != nil {
		t.Fatal(err)
	}
	for call, kind := range map[string]sfclient.Kind{"bulkCreate": sfclient.KindBulkRefused, "bulkJob": sfclient.KindBulkGone, "bulkResults": sfclient.KindBulkGone} {
		for _, status := range []int{400, 403, 404, 405, 409} {
			if err := box.SetFaults([]sandbox.Fault{{Match: sandbox.FaultMatch{Call: call}, Do: sandbox.FaultAction{Status: status}}}); err != nil {
				t.Fatal(err)
			}
			refused(call, kind, "bulk query job")
		}
		if err := box.SetFaults([]sandbox.Fault{{Match: sandbox.FaultMatch{Call: call}, Do: sandbox.FaultAction{Body: sandbox.BodyDailyLimit}}}); err != nil {
			t.Fatal(err)
		}
		refused(call, sfclient.KindDailyLimit, "TotalRequests")
	}
	for _, present := range []string{"present", "absent"} {
		variant(t, box, sandbox.VariantBulkErrorMessage, present)
		pace(t, box, sandbox.BulkPace{Polls: 1, Fail: "InternalServerError : retried more than 15 times"})
		says := "Failed"
		if present == "present" {
			says = "Failed: InternalServerError : retried more than 15 times"
		}
		refused("failed", sfclient.KindBulkRefused, says)
	}
}

// TestBulkGone: results that have expired, or a job that somebody deleted.
func TestBulkGone(t *testing.T) {
	box, c := newBox(t, sandbox.Options{Accounts: 300_000, Seed: 2}, nil)
	pace(t, box, sandbox.BulkPace{Polls: 1})
	for _, gone := range []string{"404", "400"} {
		variant(t, box, sandbox.VariantBulkGone, gone)
		k := kept{page: func(int) error { return errors.New("stop") }}
		if _, err := k.bulk(t, c); err == nil {
			t.Fatal("it did not stop")
		}
		k.page = nil
		box.ExpireBulkResults()
		if _, err := k.bulk(t, c); kindOf(err) != sfclient.KindBulkGone {
			t.Errorf("%s: %v", gone, err)
		}
		c.DropBulk(t.Context(), k.job)
		if _, err := k.bulk(t, c); kindOf(err) != sfclient.KindBulkGone {
			t.Errorf("deleted: %v", err)
		}
	}
}

// TestBulkDropped: a job is deleted, after it was aborted where it had to be.
func TestBulkDropped(t *testing.T) {
	box, c := newBox(t, sandbox.Options{Accounts: 10, Seed: 2}, nil)
	pace(t, box, sandbox.BulkPace{Polls: 100})
	stop := errors.New("stop")
	var job latch.PullJob
	_, err := c.BulkPull(t.Context(), job, sfclient.BulkSteps{Created: func(j latch.PullJob) error { job = j; return stop }})
	if err != stop {
		t.Fatal(err)
	}
	if ok, err := c.BulkUsable(t.Context(), job); err != nil || !ok {
		t.Errorf("a new job is not usable: %v", err)
	}
	for name, change := range map[string]func(*latch.PullJob){
		"another org's": func(j *latch.PullJob) { j.Org = "00D000000000001AAA" },
		"of version 66": func(j *latch.PullJob) { j.APIVersion = "66.0" },
		"old":           func(j *latch.PullJob) { j.CreatedAt = time.Now().Add(-13 * time.Hour) },
		"of tomorrow":   func(j *latch.PullJob) { j.CreatedAt = time.Now().Add(24 * time.Hour) },
		"no job":        func(j *latch.PullJob) { j.ID = "../../query" },
	} {
		other := job
		change(&other)
		if ok, err := c.BulkUsable(t.Context(), other); err != nil || ok {
			t.Errorf("a job %s is usable: %v", name, err)
		}
	}
	c.DropBulk(t.Context(), job)
	count := box.Ledger().Count()
	if count["salesforce/bulkAbort"] != 1 || count["salesforce/bulkDelete"] != 2 {
		t.Errorf("%v", count)
	}
	if _, err := c.BulkPull(t.Context(), job, sfclient.BulkSteps{}); kindOf(err) != sfclient.KindBulkGone {
		t.Errorf("the job is there: %v", err)
	}
}
