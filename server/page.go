package server

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"go.uber.org/zap"

	"latchd/latch"
)

// The page for people: made here, whole, without a script; one small script
// shows a run's progress. It does what the operator's API does, by the same
// code, for who signed in with a key of that role.

//go:embed page
var pageFiles embed.FS

// pageTime bounds the making of one page.
const pageTime = 10 * time.Second

// pageSize is how many rows a list shows.
const pageSize = 50

type pages struct {
	s        *Server
	mux      *http.ServeMux
	sets     map[string]*template.Template
	sessions sessions
	attempts *attempts
	origin   *http.CrossOriginProtection
}

// visit is one call of somebody who is signed in.
type visit struct {
	session
	id string // what the cookie holds
}

// frame is what every page shows around its own.
type frame struct {
	Title   string
	Here    string // the entry of the navigation
	Who     string // the name of the key; "" = not signed in
	Token   string
	Notice  string
	Version string
	Now     time.Time
	Needs   int // requests that need a person
	Held    int // requests that are held, and a refused pull or survey
	Paused  *latch.Pause
	Query   string // what was searched for
}

var pageNames = []string{"signin", "overview", "person", "requests", "request", "held", "runs", "run", "story", "search", "confirm", "failed"}

func newPages(s *Server) *pages {
	p := &pages{s: s, mux: http.NewServeMux(), sets: map[string]*template.Template{}, attempts: newAttempts(), origin: http.NewCrossOriginProtection()}
	for _, name := range pageNames {
		p.sets[name] = template.Must(template.New("layout.html").Funcs(p.words()).ParseFS(pageFiles, "page/layout.html", "page/parts.html", "page/"+name+".html"))
	}
	p.mux.HandleFunc("GET /sign-in", p.showSignIn)
	p.mux.HandleFunc("POST /sign-in", p.signIn)
	p.mux.HandleFunc("GET /page/{file}", p.asset)
	for pattern, h := range map[string]func(http.ResponseWriter, *http.Request, *visit) error{
		"GET /{$}":               p.overview,
		"GET /for-person":        p.forPerson,
		"GET /requests":          p.requests,
		"GET /requests/{id}":     p.request,
		"GET /held":              p.held,
		"GET /runs":              p.runs,
		"GET /runs/{id}":         p.run,
		"GET /story/{id}":        p.story,
		"GET /search":            p.search,
		"GET /progress":          p.progress,
		"GET /confirm/{choice}":  p.confirm,
		"POST /confirm/{choice}": p.choose,
		"POST /sign-out":         p.signOut,
	} {
		p.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { p.signedIn(w, r, h) })
	}
	return p
}

// has reports whether a call is one for the page.
func (p *pages) has(r *http.Request) bool {
	_, pattern := p.mux.Handler(r)
	return pattern != "" && p.s.access.anyOperator()
}

// ServeHTTP answers it.
func (p *pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		if e := recover(); e != nil {
			p.s.log.Error("a call panicked; please report it", zap.String("event", latch.EventHTTPError), zap.String("call", r.Method+" "+oneLine(r.URL.Path)),
				zap.String("panic", fmt.Sprintf("%T", e)), zap.ByteString("stack", debug.Stack()))
			p.failed(w, r, http.StatusInternalServerError, "A fault in latchd itself; its log has it.")
		}
	}()
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	// With no-referrer browsers send "Origin: null" along with our own forms, which
	// then look like those of another site; others are told nothing by this either.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if r.Body != http.NoBody {
		h.Set("Connection", "close") // until the body is read: nobody waits for the rest of it
	}
	if err := p.origin.Check(r); err != nil {
		p.failed(w, r, http.StatusForbidden, "This came from another site, so nothing was done.")
		return
	}
	// Until somebody is known, everybody shares the room of those without a key.
	if _, ok := p.visit(r, false); !ok {
		if wait := reserve(p.s.access.strangers); wait > 0 {
			retryAfter(w, wait)
			p.failed(w, r, http.StatusTooManyRequests, "Too many calls; please try again in a moment.")
			return
		}
	}
	if r.Body != http.NoBody {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			p.failed(w, r, http.StatusBadRequest, "The form could not be read, so nothing was done.")
			return
		}
		h.Del("Connection")
		readBy(w, time.Time{})
	}
	ctx, cancel := context.WithTimeout(r.Context(), pageTime)
	defer cancel()
	p.mux.ServeHTTP(w, r.WithContext(ctx))
}

// maxForm bounds a form, in bytes.
const maxForm = 64 << 10

// visit finds who is signed in, by a key that is still there.
func (p *pages) visit(r *http.Request, person bool) (*visit, bool) {
	id := cookieOf(r, sessionCookie)
	if id == "" {
		return nil, false
	}
	one, ok := p.sessions.find(id, person)
	if !ok {
		return nil, false
	}
	if p.s.access.still(one.key) == nil {
		p.sessions.end(id)
		return nil, false
	}
	return &visit{one, id}, true
}

// signedIn lets in who is signed in; whoever changes something has to send the
// session's token along.
func (p *pages) signedIn(w http.ResponseWriter, r *http.Request, h func(http.ResponseWriter, *http.Request, *visit) error) {
	news := r.URL.Path == "/progress"
	v, ok := p.visit(r, !news)
	switch {
	case !ok && (news || r.Method != http.MethodGet):
		p.failed(w, r, http.StatusUnauthorized, "You are not signed in any more, so nothing was done. Please sign in again.")
		return
	case !ok:
		next := ""
		if at := r.URL.RequestURI(); at != "/" {
			next = "?next=" + url.QueryEscape(at)
		}
		redirect(w, r, "/sign-in"+next)
		return
	}
	k := p.s.access.still(v.key)
	if k == nil || !belongs(r, k) || reserve(k.calls) > 0 {
		retryAfter(w, time.Second)
		p.failed(w, r, http.StatusTooManyRequests, "This key has used what it may; please try again in a moment.")
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead && !sameSecret(v.token, r.PostFormValue("token")) {
		p.failed(w, r, http.StatusForbidden, "The form was not from this session, so nothing was done. Please open the page again.")
		return
	}
	if err := h(w, r, v); err != nil {
		e, status := asError(err)
		if errors.Is(err, context.DeadlineExceeded) {
			e, status = &Error{Message: "There is too much to look at for a page; the command line has no such bound."}, http.StatusServiceUnavailable
		} else if status >= http.StatusInternalServerError {
			p.s.log.Error("a page failed", zap.String("event", latch.EventHTTPError), zap.Error(err))
		}
		message := e.Message
		if e.Hint != "" {
			message += ": " + e.Hint
		}
		p.failed(w, r, status, message)
	}
}

// frame fills in what stands around a page.
func (p *pages) frame(ctx context.Context, v *visit, title, here string) (frame, error) {
	f := frame{Title: title, Here: here, Who: v.key.Name, Token: v.token, Version: p.s.version, Now: time.Now().UTC()}
	counts, err := p.s.store.CountNeedPerson(ctx)
	if err != nil {
		return f, fmt.Errorf("counting what needs a person: %w", err)
	}
	for _, n := range counts {
		f.Needs += n
	}
	if _, f.Held, err = p.s.store.HeldDigest(ctx); err != nil {
		return f, fmt.Errorf("counting what is held: %w", err)
	}
	if f.Paused, err = p.s.store.Pause(ctx); err != nil {
		return f, fmt.Errorf("looking whether writes are paused: %w", err)
	}
	f.Notice = p.sessions.told(v.id)
	return f, nil
}

// render writes a page whole, or says that it failed.
func (p *pages) render(w http.ResponseWriter, status int, name string, data any) {
	var out bytes.Buffer
	if err := p.sets[name].Execute(&out, data); err != nil {
		p.s.log.Error("a page could not be made; please report it", zap.String("event", latch.EventHTTPError), zap.String("page", name), zap.Error(err))
		http.Error(w, "A fault in latchd itself; its log has it.", http.StatusInternalServerError)
		return
	}
	writeBy(w)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes()) // a browser that is gone needs no page
}

// failedPage tells why there is no page.
type failedPage struct {
	frame
	Message string
}

func (p *pages) failed(w http.ResponseWriter, r *http.Request, status int, message string) {
	f := frame{Title: http.StatusText(status), Version: p.s.version}
	if v, ok := p.visit(r, false); ok {
		f.Who, f.Token = v.key.Name, v.token
	}
	p.render(w, status, "failed", failedPage{f, message})
}

// asset serves the style sheet and the script.
func (p *pages) asset(w http.ResponseWriter, r *http.Request) {
	kinds := map[string]string{"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml"}
	name := r.PathValue("file")
	data, err := pageFiles.ReadFile("page/" + name)
	if err != nil || kinds[name] == "" {
		p.failed(w, r, http.StatusNotFound, "There is nothing at this address.")
		return
	}
	writeBy(w)
	w.Header().Set("Content-Type", kinds[name])
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(data) // a browser that is gone needs none
}

// writeBy bounds the time in which an answer has to be read.
func writeBy(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(lineTime)) // in process there is none to set
}

func redirect(w http.ResponseWriter, r *http.Request, to string) {
	writeBy(w)
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// localPath gives a path of this page; what leads elsewhere leads to the
// overview.
func localPath(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(text, "/") || strings.HasPrefix(text, "//") || strings.ContainsAny(text, "\\\r\n\t") {
		return "/"
	}
	return text
}
