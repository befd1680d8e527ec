package server_test

import (
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"latchd/latch"
	"latchd/server"
	"latchd/state"
	"latchd/syncer"
)

// TestLogLevel: the level of a daemon's log changes at once, the log tells of it,
// and where there is no daemon there is none to change.
func TestLogLevel(t *testing.T) {
	store, err := state.Open(t.Context(), state.Options{Path: filepath.Join(t.TempDir(), "latchd.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	level := zap.NewAtomicLevelAt(zap.ErrorLevel)
	core, logs := observer.New(level)
	s := syncer.New(syncer.Options{Store: store, Settings: syncer.Settings{OneShot: true}})
	for _, c := range []struct {
		level *zap.AtomicLevel
		body  string
		want  string
		now   string
	}{
		{&level, `{"level":"debug"}`, `{"level":"debug"}`, "debug"},
		{&level, `{"level":"warn"}`, `{"level":"warn"}`, "warn"},
		{&level, `{"level":"fatal"}`, "none of debug, info, warn, error", "warn"},
		{nil, `{"level":"debug"}`, "no daemon runs here", "warn"},
	} {
		h := server.New(server.Options{Syncer: s, Store: store, Logger: zap.New(core), Level: c.level}).Handler()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("PUT", server.Root+"/log-level", strings.NewReader(c.body)))
		if !strings.Contains(w.Body.String(), c.want) || level.Level().String() != c.now {
			t.Errorf("%s: %s, the level is %s", c.body, w.Body, level)
		}
	}
	if n := logs.FilterField(zap.String("event", latch.EventLogLevel)).Len(); n != 2 {
		t.Errorf("the log tells of %d changes", n)
	}
}
