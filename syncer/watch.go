package syncer

import (
	"encoding/json"
	"slices"
	"sync"
)

// watches are the callers who wait for what becomes of a request. They are told
// to look, once what they will see is durable.
type watches struct {
	mu sync.Mutex
	of map[string][]*Watch // by request; callers bound the number
}

// Watch is one caller who waits.
type Watch struct {
	request string
	all     *watches
	news    chan struct{}
	body    json.RawMessage // under the lock of all
}

// Watch begins to watch a request. Whoever does so looks at the request once
// after that, since what came before is not told. Stop ends it.
func (s *Syncer) Watch(request string) *Watch {
	w := &Watch{request: request, all: &s.watches, news: make(chan struct{}, 1)}
	w.all.mu.Lock()
	defer w.all.mu.Unlock()
	if w.all.of == nil {
		w.all.of = map[string][]*Watch{}
	}
	w.all.of[request] = append(w.all.of[request], w)
	return w
}

// News has something whenever the request may have an outcome, or be held, it or
// an older one that it stands behind.
func (w *Watch) News() <-chan struct{} { return w.news }

// Answer is Stax Bill's object of the customer, as it answered the call that was
// made meanwhile; nil where no call was made or its answer was none.
func (w *Watch) Answer() json.RawMessage {
	w.all.mu.Lock()
	defer w.all.mu.Unlock()
	return w.body
}

// Stop ends the watch.
func (w *Watch) Stop() {
	w.all.mu.Lock()
	defer w.all.mu.Unlock()
	left := slices.DeleteFunc(w.all.of[w.request], func(o *Watch) bool { return o == w })
	if len(left) == 0 {
		delete(w.all.of, w.request)
		return
	}
	w.all.of[w.request] = left
}

// anyone reports whether somebody waits for the request.
func (a *watches) anyone(request string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.of[request]) > 0
}

// tellAll has everybody look.
func (a *watches) tellAll() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, of := range a.of {
		for _, w := range of {
			w.wake()
		}
	}
}

// tell has those look who wait for the request. body may be nil.
func (a *watches) tell(request string, body json.RawMessage) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, w := range a.of[request] {
		if body != nil {
			w.body = body
		}
		w.wake()
	}
}

func (w *Watch) wake() {
	select {
	case w.news <- struct{}{}:
	default:
	}
}
