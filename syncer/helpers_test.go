package syncer_test

import (
	"net/http"
	"strings"
	"sync"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"latchd/state"
)

func historyOf(request string) state.HistoryFilter { return state.HistoryFilter{Request: request} }

func zapString(k, v string) zapcore.Field { return zap.String(k, v) }

// hand links the i-th customer to the j-th account behind latchd's back.
func (w *world) hand(i, j int) {
	w.t.Helper()
	if err := w.box.SetCustomerAccount(w.box.CustomerID(i), w.box.AccountID(j)); err != nil {
		w.t.Fatal(err)
	}
}

// split sends the calls of each service to a handler of its own.
type split struct{ salesforce, staxbill http.Handler }

func (s split) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/v1/") {
		s.staxbill.ServeHTTP(rw, r)
		return
	}
	s.salesforce.ServeHTTP(rw, r)
}

// onStep calls do at the next passing of a step, once.
func (w *world) onStep(step string, do func()) {
	var once sync.Once
	w.hook = func(s string) {
		if s == step {
			once.Do(do)
		}
	}
}
