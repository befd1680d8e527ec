package syncer_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"

	"latchd/latch"
	"latchd/sandbox"
)

// record is the newest run as the state has it, and as programs read it.
func (w *world) record() (latch.Run, string) {
	w.t.Helper()
	runs := w.runs()
	run := runs[len(runs)-1]
	data, err := json.Marshal(run)
	if err != nil {
		w.t.Fatal(err)
	}
	return run, string(data)
}

// TestRecordHasTheHint: what to do about a run's error is read again later.
func TestRecordHasTheHint(t *testing.T) {
	inWorld(t, options{accounts: 100, customers: 60}, func(w *world) {
		defer w.fault(sandbox.FaultMatch{Call: "token"}, sandbox.FaultAction{Status: 400, Body: "daily-limit"})()
		rep := w.run()
		run, text := w.record()
		if run.Error == "" || run.Hint == "" || run.Hint != rep.Run.Hint || !strings.Contains(text, `"hint":"`) {
			t.Errorf("%s: the report says %q", text, rep.Run.Hint)
		}
	})
}

// TestRecordLeavesOutWhatWasNotAsked: a run without pull and survey has no
// numbers of them, one that found nothing new has them.
func TestRecordLeavesOutWhatWasNotAsked(t *testing.T) {
	inWorld(t, options{accounts: 100, customers: 60, set: seldom(t), daemon: true}, func(w *world) {
		for range 2 {
			w.done()
			if run, text := w.record(); run.Accounts == nil || run.Accounts.Known != 100 || run.Customers == nil || strings.Contains(text, `"hint"`) {
				t.Errorf("a run in which nothing was asked for: %s", text)
			}
		}
		w.arrive(1, 61)
		synctest.Wait()
		run, text := w.record()
		if run.Trigger != "arrival" || run.Outcomes[latch.Latched] != 1 {
			t.Fatalf("this was to be the arrival's: %s", text)
		}
		if strings.Contains(text, `"accounts"`) || strings.Contains(text, `"customers"`) {
			t.Errorf("numbers of a pull and survey that were not made: %s", text)
		}
	})
}

// TestOldRecordsAreRead: records of before have both numbers, zero or not.
func TestOldRecordsAreRead(t *testing.T) {
	var run latch.Run
	old := `{"id":"01","trigger":"once","startedAt":"2026-11-24T09:00:00Z","accounts":{"known":7,"added":0,"deleted":0,"merged":0},"customers":{"seen":3,"changed":1},"outcomes":{},"pending":0,"waiting":0,"held":0,"calls":{"salesforce":0,"staxbill":0,"salesforceByKind":{},"staxbillByKind":{}}}`
	if err := json.Unmarshal([]byte(old), &run); err != nil || run.Accounts.Known != 7 || *run.Customers != (latch.CustomerCounts{Seen: 3, Changed: 1}) {
		t.Errorf("%+v: %v", run, err)
	}
}
