package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"slices"
	"strings"
	"sync"

	"golang.org/x/time/rate"
)

// Role says what the holder of a key may do.
type Role string

// The roles.
const (
	RoleLatch    Role = "latch"    // ask for latches, and for what became of them
	RoleOperator Role = "operator" // the operator's API too
)

// Key is one caller of the HTTP endpoints. Only the hash of its key is kept.
type Key struct {
	Name       string
	Role       Role
	AllowForce bool

	hash [sha256.Size]byte
}

// NewKey makes a Key of what is set in the configuration.
func NewKey(name, key string, role Role, allowForce bool) Key {
	return Key{Name: name, Role: role, AllowForce: allowForce, hash: sha256.Sum256([]byte(key))}
}

// by is how the state and the history name the holder of the key.
func (k *Key) by() string { return "api:" + k.Name }

// mayForce reports whether a call may ask for force: of a key only where
// allow_force is set, whatever its role; of the socket always.
func mayForce(r *http.Request) bool {
	return mayForceIn(r.Context())
}

func mayForceIn(ctx context.Context) bool {
	k, _ := ctx.Value(keyKey{}).(*Key)
	return k == nil || k.AllowForce
}

// What the holder of one key may do. A call is a page of a list or a latch, so
// that this is far above what Stax Bill lets through in the end (1,000 a minute).
const (
	keyRate        = 50  // calls a second
	keyBurst       = 200 // calls at once
	keyConnections = 64
	// strangerRate bounds the answers to calls without a key that is known.
	strangerRate  = 20
	strangerBurst = 100
)

// access knows who may ask over TCP, and how much.
type access struct {
	mu   sync.Mutex
	keys []*guarded

	strangers *rate.Limiter
}

// guarded is a key with what its holder has used.
type guarded struct {
	Key
	calls *rate.Limiter

	mu          sync.Mutex
	connections int
}

func newAccess(keys []Key) *access {
	a := &access{strangers: rate.NewLimiter(strangerRate, strangerBurst)}
	a.set(keys)
	return a
}

// set takes over the keys of a changed configuration. Who stays keeps what was
// used; a connection of a key that went is refused at its next call.
func (a *access) set(keys []Key) {
	a.mu.Lock()
	defer a.mu.Unlock()
	old := a.keys
	a.keys = make([]*guarded, len(keys))
	for i, k := range keys {
		at := slices.IndexFunc(old, func(g *guarded) bool { return g.Key == k })
		if at >= 0 {
			a.keys[i] = old[at]
			continue
		}
		a.keys[i] = &guarded{Key: k, calls: rate.NewLimiter(keyRate, keyBurst)}
	}
}

// holder finds whose key it is. Hashes are compared, all of them and each in
// constant time, so that the time tells nothing of any key.
func (a *access) holder(key string) *guarded {
	hash := sha256.Sum256([]byte(key))
	a.mu.Lock()
	keys := a.keys
	a.mu.Unlock()
	var found *guarded
	for _, k := range keys {
		if subtle.ConstantTimeCompare(hash[:], k.hash[:]) == 1 {
			found = k
		}
	}
	return found
}

// still gives a key as it is now; nil where it is no more.
func (a *access) still(k Key) *guarded {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, g := range a.keys {
		if g.Key == k {
			return g
		}
	}
	return nil
}

// anyOperator reports whether anybody could sign in to the page.
func (a *access) anyOperator() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.ContainsFunc(a.keys, func(g *guarded) bool { return g.Role == RoleOperator })
}

// keyOf reads the key of a call, "Basic KEY" with the key verbatim, as Stax Bill
// takes it (dev/authentication). present is false where there is none at all,
// and wellFormed where there is something else.
func keyOf(r *http.Request) (key string, present, wellFormed bool) {
	given := r.Header.Values("Authorization")
	if len(given) == 0 {
		return "", false, false
	}
	scheme, key, _ := strings.Cut(given[0], " ")
	ok := len(given) == 1 && strings.EqualFold(scheme, "Basic") && key != "" && !strings.ContainsAny(key, " \t")
	return key, true, ok
}
