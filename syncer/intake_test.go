package syncer

import (
	"testing"

	"latchd/latch"
	"latchd/state"
)

func TestFileOne(t *testing.T) {
	s, logs := intake(t, nil)
	f := latch.Filing{Customer: 7, Account: idA, Source: "command", By: "ann"}
	first, err := s.File(t.Context(), f)
	if err != nil || first.Known || !first.Request.Interactive || first.Request.State != latch.Pending {
		t.Fatalf("got %+v, %v", first, err)
	}
	again, err := s.File(t.Context(), f)
	if err != nil || !again.Known || again.Request.ID != first.Request.ID {
		t.Errorf("got %+v, %v", again, err)
	}
	accepted := withEvent(logs, latch.EventAccepted)
	if len(accepted) != 1 || accepted[0].ContextMap()["fusebillId"] != int64(7) || accepted[0].ContextMap()["salesforceId"] != idA {
		t.Errorf("logged %+v", accepted)
	}
}

func TestFileSupersedes(t *testing.T) {
	s, logs := intake(t, nil)
	first, err := s.File(t.Context(), latch.Filing{Customer: 7, Account: idA, Source: "command"})
	if err != nil {
		t.Fatal(err)
	}
	wait := []state.Verdict{{Request: first.Request.ID, To: latch.Waiting, WaitingFor: latch.WaitRetry}}
	if _, err := s.store.Record(t.Context(), "", wait, s.now()); err != nil {
		t.Fatal(err)
	}
	second, err := s.File(t.Context(), latch.Filing{Customer: 7, Account: idB, Source: "command"})
	if err != nil || len(second.Superseded) != 1 || second.Superseded[0].ID != first.Request.ID {
		t.Fatalf("got %+v, %v", second, err)
	}
	done := withEvent(logs, latch.EventRequestDone)
	if len(done) != 1 || done[0].ContextMap()["request"] != first.Request.ID || done[0].ContextMap()["outcome"] != "superseded" {
		t.Errorf("logged %+v", done)
	}
}

func TestFileRefusesWhatIsNoID(t *testing.T) {
	s, _ := intake(t, nil)
	for _, c := range []struct {
		filing latch.Filing
		want   string
	}{
		{latch.Filing{Account: idA}, "filing a request: 0 is no customer id, they begin at 1"},
		{latch.Filing{Customer: 1, Account: "001000000000001"}, `filing a request for customer 1: "001000000000001" is no Account id of 18 characters`},
	} {
		if _, err := s.File(t.Context(), c.filing); err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}
