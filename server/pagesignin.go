package server

import (
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"latchd/latch"
)

// Bounds of signing in with a wrong key: by address, and in all. A right one
// costs nothing.
const (
	wrongKeyEvery    = 5 * time.Second
	wrongKeyBurst    = 5
	wrongKeyAllEvery = time.Second / 2
	wrongKeyAllBurst = 50
	// signInAddresses bounds the addresses that are remembered.
	signInAddresses = 4096
)

// attempts counts wrong keys.
type attempts struct {
	mu        sync.Mutex
	all       *rate.Limiter
	addresses map[string]*rate.Limiter
}

func newAttempts() *attempts {
	return &attempts{all: rate.NewLimiter(rate.Every(wrongKeyAllEvery), wrongKeyAllBurst), addresses: map[string]*rate.Limiter{}}
}

// wait says how long an address has to wait before its next attempt. Who did
// not go wrong lately is told to wait only when nobody can be remembered.
func (a *attempts) wait(address string) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return max(missing(a.all), missing(a.of(address)))
}

// wrong counts an attempt with a wrong key.
func (a *attempts) wrong(address string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all.Allow()
	a.of(address).Allow()
}

// missing is how long until a limiter allows one more.
func missing(l *rate.Limiter) time.Duration {
	if have := l.Tokens(); have < 1 {
		return time.Duration((1 - have) / float64(l.Limit()) * float64(time.Second))
	}
	return 0
}

// of gives the limiter of an address. When too many are remembered those go that
// have not gone wrong for a while, and if there is none, any.
func (a *attempts) of(address string) *rate.Limiter {
	if l := a.addresses[address]; l != nil {
		return l
	}
	for other, l := range a.addresses {
		if len(a.addresses) < signInAddresses {
			break
		}
		if l.Tokens() >= wrongKeyBurst || len(a.addresses) >= signInAddresses {
			delete(a.addresses, other)
		}
	}
	l := rate.NewLimiter(rate.Every(wrongKeyEvery), wrongKeyBurst)
	a.addresses[address] = l
	return l
}

// signInPage is what the sign-in form shows.
type signInPage struct {
	frame
	Problem string
	Next    string
}

func (p *pages) signInForm(w http.ResponseWriter, r *http.Request, status int, problem, next string) {
	token := cookieOf(r, signInCookie)
	if token == "" {
		token = secret()
		setCookie(w, r, signInCookie, token)
	}
	f := frame{Title: "Sign in", Token: token, Version: p.s.version}
	p.render(w, status, "signin", signInPage{f, problem, next})
}

func (p *pages) showSignIn(w http.ResponseWriter, r *http.Request) {
	p.signInForm(w, r, http.StatusOK, "", localPath(r.URL.Query().Get("next")))
}

func (p *pages) signIn(w http.ResponseWriter, r *http.Request) {
	next := localPath(r.PostFormValue("next"))
	if !sameSecret(cookieOf(r, signInCookie), r.PostFormValue("token")) {
		p.signInForm(w, r, http.StatusForbidden, "The form was too old, or cookies are off. Please try again.", next)
		return
	}
	address, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		address = r.RemoteAddr
	}
	if wait := p.attempts.wait(address); wait > 0 {
		retryAfter(w, wait)
		seconds := strconv.Itoa(int(wait/time.Second) + 1)
		p.signInForm(w, r, http.StatusTooManyRequests, "Too many wrong keys. Please try again in "+seconds+" seconds.", next)
		return
	}
	k := p.s.access.holder(r.PostFormValue("key"))
	if k == nil || k.Role != RoleOperator {
		p.attempts.wrong(address)
		p.s.strange(r, true)
		p.signInForm(w, r, http.StatusUnauthorized, "This is not a key that may sign in. It takes one of the role operator (server.api_keys).", next)
		return
	}
	p.sessions.end(cookieOf(r, sessionCookie))
	setCookie(w, r, signInCookie, "")
	setCookie(w, r, sessionCookie, p.sessions.begin(k.Key))
	p.s.log.Info("somebody signed in to the page", zap.String("event", latch.EventPageSignIn), zap.String("by", k.by()), zap.String("from", address))
	redirect(w, r, next)
}

func (p *pages) signOut(w http.ResponseWriter, r *http.Request, v *visit) error {
	p.sessions.end(v.id)
	setCookie(w, r, sessionCookie, "")
	redirect(w, r, "/sign-in")
	return nil
}
