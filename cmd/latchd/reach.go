package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"go.uber.org/zap"

	"latchd/config"
	"latchd/metrics"
	"latchd/server"
	"latchd/state"
	"latchd/syncer"
)

// reach is the one way in which commands talk to latchd: HTTP, over the socket
// of the daemon where one answers, and to a server in this process where none
// does.
type reach struct {
	http  *http.Client
	close func() error
	// daemon says that a daemon answers, which starts a run by itself.
	daemon bool
}

// need says what a command cannot do without.
type need struct {
	services bool // Salesforce and Stax Bill
	create   bool // the state file is made where there is none
	scratch  bool // works on an empty state where there is none, and makes no file
}

// connect finds the daemon, or opens the state.
func (a *app) connect(ctx context.Context, n need) (*reach, error) {
	cfg, path, socket, cfgErr := a.where()
	var problems config.Problems
	switch {
	case cfgErr == nil:
	case !errors.As(cfgErr, &problems):
		return nil, cfgErr
	case a.configPath() != "" && !n.services && !problems.Unread():
		fmt.Fprintf(a.err, "latchd: the configuration is wrong (see latchd config check); the state used is %s\n", path)
	}
	if socket != "" {
		switch there, err := server.Answers(ctx, socket); {
		case there:
			c := overSocket(socket)
			silent := c.ping(ctx)
			if silent == nil {
				return c, nil
			}
			return a.pastSilent(ctx, path, socket, silent)
		case err != nil:
			return nil, err
		}
	}
	if n.services && cfgErr != nil {
		return nil, cfgErr
	}
	store, err := a.openFor(ctx, path, cfg, n)
	if denied := (*deniedError)(nil); errors.As(cfgErr, &denied) && errors.Is(err, fs.ErrPermission) {
		return nil, cfgErr // the state is kept from this user as the secrets are
	}
	if err != nil {
		return nil, err
	}
	return a.inProcess(ctx, cfg, store, n)
}

// deniedError means that nothing is wrong with the configuration, and that its
// secrets are not for the user who asks.
type deniedError struct{ problems config.Problems }

func (e *deniedError) Error() string {
	return "the secrets of the configuration cannot be read by you:\n" + e.problems.Error()
}

// Hint is what the operator can do.
func (e *deniedError) Hint() string {
	return "be root or latchd's own user; or start the daemon, which has them: commands that it answers need none"
}

func (e *deniedError) Unwrap() error { return e.problems }

// where finds the state and the socket. The commands that only look, and those
// that only file, work with a broken configuration as far as they can, so both
// are given also beside config.Problems; not beside any other error, since of a
// file that cannot be read nobody knows whose state it names.
func (a *app) where() (cfg *config.Config, state, socket string, err error) {
	cfg, err = a.load()
	var problems config.Problems
	switch {
	case cfg != nil:
		return cfg, cfg.State.Path, cfg.Server.Socket, err
	case errors.As(err, &problems):
		state, socket = config.Peek(a.configPath(), a.environ)
	}
	return nil, state, socket, err
}

// pingTime is how long whoever has the socket may take to say that he is there.
const pingTime = 5 * time.Second

// ping asks whether somebody answers who is a latchd: a process that was stopped,
// or hangs, still lets the kernel take calls for it.
func (c *reach) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, pingTime, fmt.Errorf("no answer in %s", pingTime))
	defer cancel()
	var v server.Version
	err := c.call(ctx, http.MethodGet, "/version", nil, nil, &v)
	if err != nil && context.Cause(ctx) != nil {
		err = context.Cause(ctx)
	}
	return err
}

// silentError means that somebody has the socket and does not answer as latchd.
type silentError struct {
	socket string
	err    error
	locked *state.LockedError // nil when the state is free
}

func (e *silentError) Error() string {
	who := "the state is free, so it is no latchd that has it open"
	if e.locked != nil {
		who = e.locked.Error()
	}
	return fmt.Sprintf("whoever has the socket %s does not answer as latchd does (%v); %s", e.socket, e.err, who)
}

// Hint is what the operator can do.
func (e *silentError) Hint() string {
	if e.locked != nil {
		return "try again later; when it stays so, look at that process's log and restart it: nothing that was accepted is lost"
	}
	return "end that process, or give latchd another server.socket"
}

func (e *silentError) Unwrap() error {
	if e.locked != nil {
		return e.locked
	}
	return e.err
}

// pastSilent finds out who holds the state while nobody answers on the socket.
func (a *app) pastSilent(ctx context.Context, path, socket string, silent error) (*reach, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	e := &silentError{socket: socket, err: silent}
	if !stateMissing(path) {
		store, err := a.openState(ctx, path, 0)
		switch {
		case err == nil:
			err = store.Close()
		case errors.As(err, &e.locked):
			err = nil
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, e
}

func (a *app) openFor(ctx context.Context, path string, cfg *config.Config, n need) (*state.Store, error) {
	var keep time.Duration
	if cfg != nil {
		keep = cfg.State.KeepHistory
	}
	if stateMissing(path) {
		switch {
		case n.scratch:
			return state.OpenScratch(ctx)
		case !n.create:
			return nil, noState(path)
		}
	}
	return a.openState(ctx, path, keep)
}

// inProcess serves this one command from this process.
func (a *app) inProcess(ctx context.Context, cfg *config.Config, store *state.Store, n need) (*reach, error) {
	level, format := "warn", "auto"
	if cfg != nil {
		level, format = cfg.Log.Level, cfg.Log.Format
	}
	if !n.services && level == "info" {
		level = "warn" // what the command prints says it already
	}
	log := newLogger(a.screen(), format, zap.NewAtomicLevelAt(logLevel(level)))
	opts := syncer.Options{Store: store, Logger: log, Hook: a.hook()}
	flush := func() {}
	if n.services {
		warn(log, cfg)
		counts := metrics.New(versionText()) // nobody asks for them here
		c, err := newClients(cfg, counts, log)
		if err != nil {
			return nil, errors.Join(err, store.Close())
		}
		opts.Salesforce, opts.StaxBill = c.sf, c.sb
		teller := newNotifier(cfg, store, counts, log)
		opts.Finished = teller.RunFinished
		flush = func() { teller.Flush(context.WithoutCancel(ctx)) }
	}
	if cfg != nil {
		opts.Settings = settingsOf(cfg)
	}
	opts.Settings.OneShot = true
	s := syncer.New(opts)
	h := server.New(server.Options{Syncer: s, Store: store, Logger: log, Version: versionText()}).Handler()

	loop, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.Loop(loop) }()
	var once sync.Once
	return &reach{
		http: &http.Client{Transport: &inMemory{h: h}},
		close: func() (err error) {
			once.Do(func() {
				stop()
				err = <-ended
				flush()
				err = errors.Join(err, store.Close())
			})
			return err
		},
	}, nil
}

func overSocket(path string) *reach {
	t := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
	return &reach{daemon: true, http: &http.Client{Transport: t}, close: func() error { t.CloseIdleConnections(); return nil }}
}

// inMemory carries calls to a handler in this process, the answer as it is
// written.
type inMemory struct{ h http.Handler }

func (t *inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	body, write := io.Pipe()
	w := &pipedAnswer{header: http.Header{}, body: write, ready: make(chan struct{})}
	go func() {
		defer func() {
			err := error(nil)
			if p := recover(); p != nil {
				err = errors.New("the answer broke off")
				if p != http.ErrAbortHandler {
					err = fmt.Errorf("a fault in latchd itself: %v", p)
				}
			}
			w.WriteHeader(http.StatusOK)
			write.CloseWithError(err)
		}()
		t.h.ServeHTTP(w, r)
	}()
	select {
	case <-w.ready:
	case <-r.Context().Done():
		body.CloseWithError(r.Context().Err())
		return nil, r.Context().Err()
	}
	return &http.Response{
		StatusCode: w.status, Status: http.StatusText(w.status), Header: w.header, Body: body, Request: r,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: -1,
	}, nil
}

type pipedAnswer struct {
	header http.Header
	body   *io.PipeWriter
	once   sync.Once
	status int
	ready  chan struct{}
}

func (w *pipedAnswer) Header() http.Header { return w.header }

func (w *pipedAnswer) WriteHeader(status int) {
	w.once.Do(func() {
		w.status = status
		close(w.ready)
	})
}

func (w *pipedAnswer) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

// do makes one call and gives its answer, or the error that it carries.
func (c *reach) do(ctx context.Context, method, path string, query url.Values, body io.Reader) (*http.Response, error) {
	u := url.URL{Scheme: "http", Host: "latchd", Path: server.Root + path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, fmt.Errorf("asking latchd: %w", err)
	}
	res, err := c.http.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return nil, fmt.Errorf("asking latchd: %w", err)
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer res.Body.Close()
	var failed struct {
		Error *server.Error `json:"error"`
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&failed); err != nil || failed.Error == nil {
		return nil, fmt.Errorf("latchd answered %d and nothing that can be read; is it another version?", res.StatusCode)
	}
	return nil, failed.Error
}

// call makes a call whose body and answer are JSON.
func (c *reach) call(ctx context.Context, method, path string, query url.Values, in, out any) error {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("asking latchd: %w", err)
		}
		body = bytes.NewReader(data)
	}
	res, err := c.do(ctx, method, path, query, body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(out); err != nil {
		return fmt.Errorf("reading latchd's answer: %w", err)
	}
	return nil
}

// all goes through the pages of a list.
func all[T any](ctx context.Context, c *reach, path string, query url.Values, each func(T) error) error {
	q := url.Values{}
	for k, v := range query {
		q[k] = v
	}
	for {
		var page server.Page[T]
		if err := c.call(ctx, http.MethodGet, path, q, nil, &page); err != nil {
			return err
		}
		for _, item := range page.Items {
			if err := each(item); err != nil {
				return err
			}
		}
		if page.Next == "" {
			return nil
		}
		q.Set("after", page.Next)
	}
}

// with connects, does, and closes.
func (a *app) with(ctx context.Context, n need, do func(*reach) error) error {
	c, err := a.connect(ctx, n)
	if err != nil {
		return err
	}
	return joined(do(c), c.close())
}

// joined joins what a command came to with what its end came to. A status that
// was told about already must not hide what was not.
func joined(done, end error) error {
	var told status
	if end != nil && errors.As(done, &told) {
		return end
	}
	return errors.Join(done, end)
}
