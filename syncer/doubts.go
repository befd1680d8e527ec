package syncer

import (
	"sync"
	"time"
)

const (
	// doubtFor is how long a request that meets nothing but a service out of
	// order is spared. What no outage explains any more costs attempts, so that
	// it ends.
	doubtFor = 7 * 24 * time.Hour
	// maxTrials bounds what is remembered: one more, and any one is forgotten. It
	// is spared once more, and waits as after its first failure.
	maxTrials = 10_000
)

// doubts tells the request that is itself the trouble, because the service
// stumbles over it, from those that met a service out of order: the trouble is
// its own when another one succeeded since it failed last. It goes on from run
// to run, and is written by the settler alone.
type doubts struct {
	mu        sync.Mutex
	successes int
	trials    map[string]trial // by request
}

// trial is how a request fared since it last succeeded.
type trial struct {
	failures int
	after    int // successes of others when it failed last
}

// failed takes a failure in, and reports whether it is the request's own.
func (d *doubts) failed(request string, accepted, now time.Time) (own bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t, known := d.trials[request]
	if d.trials == nil {
		d.trials = map[string]trial{}
	}
	if len(d.trials) >= maxTrials && !known {
		for other := range d.trials {
			delete(d.trials, other)
			break
		}
	}
	own = known && d.successes > t.after || now.Sub(accepted) > doubtFor
	d.trials[request] = trial{t.failures + 1, d.successes}
	return own
}

func (d *doubts) succeeded(request string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.successes++
	delete(d.trials, request)
}

// failures is how often a request failed since it last succeeded.
func (d *doubts) failures(request string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.trials[request].failures
}
