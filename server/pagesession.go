package server

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"sync"
	"time"
)

// Bounds of a signed-in browser.
const (
	sessionIdle   = 30 * time.Minute // without a page asked for
	sessionTime   = 12 * time.Hour   // in all
	sessionsOfKey = 16               // at once; the one unused for longest gives way
)

// session is a browser in which somebody signed in. It lives in memory alone, so
// that a restart ends it.
type session struct {
	key   Key
	token string // what every form has to carry

	begun, used time.Time
	notice      string // to be shown once
}

// sessions are known by the hash of what the cookie holds.
type sessions struct {
	mu  sync.Mutex
	all map[[sha256.Size]byte]*session
}

// secret is 256 random bits as text.
func secret() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // it never fails: crypto/rand
	return base64.RawURLEncoding.EncodeToString(b)
}

func sameSecret(a, b string) bool {
	return a != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}

// begin makes a session for the holder of a key and gives what its cookie holds.
func (s *sessions) begin(k Key) string {
	now, id := time.Now(), secret()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[[sha256.Size]byte]*session{}
	}
	var oldest [sha256.Size]byte
	n := 0
	for h, one := range s.all {
		switch {
		case one.over(now):
			delete(s.all, h)
		case one.key == k:
			if n++; n == 1 || one.used.Before(s.all[oldest].used) {
				oldest = h
			}
		}
	}
	if n >= sessionsOfKey {
		delete(s.all, oldest)
	}
	s.all[sha256.Sum256([]byte(id))] = &session{key: k, token: secret(), begun: now, used: now}
	return id
}

func (s *session) over(now time.Time) bool {
	return now.Sub(s.used) >= sessionIdle || now.Sub(s.begun) >= sessionTime
}

// find gives a copy of the session of a cookie; false where there is none any
// more. Only a person counts as use, not a page that asks for news by itself.
func (s *sessions) find(id string, person bool) (session, bool) {
	now, h := time.Now(), sha256.Sum256([]byte(id))
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.all[h]
	if one == nil {
		return session{}, false
	}
	if one.over(now) {
		delete(s.all, h)
		return session{}, false
	}
	if person {
		one.used = now
	}
	return *one, true
}

func (s *sessions) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, sha256.Sum256([]byte(id)))
}

// tell leaves a notice for the next page.
func (s *sessions) tell(id, notice string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.all[sha256.Sum256([]byte(id))]; one != nil {
		one.notice = notice
	}
}

// told gives the notice, once.
func (s *sessions) told(id string) (notice string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.all[sha256.Sum256([]byte(id))]; one != nil {
		notice, one.notice = one.notice, ""
	}
	return notice
}

// cookieName is that of the session's cookie. Over TLS the browser itself holds
// it to this host, and to TLS.
func cookieName(r *http.Request, name string) string {
	if r.TLS != nil {
		return "__Host-" + name
	}
	return name
}

const (
	sessionCookie = "latchd"
	signInCookie  = "latchd-sign-in"
)

// setCookie gives a cookie to the browser that scripts cannot read, and that no
// other site's page sends along; an empty value takes it away.
func setCookie(w http.ResponseWriter, r *http.Request, name, value string) {
	c := &http.Cookie{
		Name: cookieName(r, name), Value: value, Path: "/", HttpOnly: true,
		Secure: r.TLS != nil, SameSite: http.SameSiteStrictMode,
	}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

func cookieOf(r *http.Request, name string) string {
	c, err := r.Cookie(cookieName(r, name))
	if err != nil {
		return ""
	}
	return c.Value
}
