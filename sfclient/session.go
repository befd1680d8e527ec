package sfclient

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"latchd/latch"
)

// session is the token that all calls share, and the memory of a refused
// sign-in.
type session struct {
	turn chan struct{} // holds one: one sign-in at a time

	mu      sync.Mutex // guards what follows
	current token
	grants  int // sign-ins that gave a token

	refused     *Error
	refusedAt   time.Time
	refusedWait time.Duration
}

// How long a refused sign-in is not tried again: 1 minute, doubling to 15.
const (
	refusedFirst = time.Minute
	refusedMax   = 15 * time.Minute
)

// Org gives the id of the org (00D…) as the sign-in named it, signing in when
// there is no session. It costs no API call.
func (c *Client) Org(ctx context.Context) (string, error) {
	if t, held := c.session.held(); held {
		return t.org, nil
	}
	return c.signIn(ctx, 0)
}

// SignIn gives the org as Org does, by a sign-in of its own also where there is a
// session. Where it is refused, calls go on with that one as long as it lasts.
func (c *Client) SignIn(ctx context.Context) (string, error) {
	t, _ := c.session.held()
	return c.signIn(ctx, t.grant)
}

// signIn gives the org of a session that is not the one of the rejected grant.
func (c *Client) signIn(ctx context.Context, rejected int) (string, error) {
	var t token
	if err := c.retry(ctx, signingIn, func() (err *Error) {
		t, err = c.token(ctx, rejected)
		return err
	}); err != nil {
		return "", err
	}
	return t.org, nil
}

// token gives the session's token, and a new one where there is none or it is
// still that of the rejected grant (0 = none is rejected). Concurrent callers
// share one sign-in, even where that gives the very same token again, as
// Salesforce does while it thinks it valid: what counts is the grant.
func (c *Client) token(ctx context.Context, rejected int) (token, *Error) {
	s := &c.session
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return token{}, networkError(ctx, signingIn, ctx.Err())
	}
	s.mu.Lock()
	current, refused := s.current, s.refused
	if since := time.Since(s.refusedAt); since < 0 || since >= s.refusedWait {
		refused = nil
	}
	s.mu.Unlock()
	switch {
	case current.grant != rejected && current.grant != 0:
		return current, nil
	case refused != nil:
		return token{}, refused
	}

	t, err := c.requestToken(ctx)
	if err != nil {
		if err.Kind == KindAuth {
			c.rememberRefusal(err)
		}
		return token{}, err
	}
	s.mu.Lock()
	s.grants++
	t.grant = s.grants
	s.current, s.refused = t, nil
	s.mu.Unlock()
	c.log.Info("signed in to Salesforce", zap.String("event", latch.EventSignedIn), zap.String("org", t.org), zap.String("flow", c.o.Auth.Flow))
	return t, nil
}

// rememberRefusal keeps further sign-ins back for a while: repeating them would
// change nothing, lock the user out, and spend its 3,600 logins of an hour
// (help.salesforce.com, 000381578).
func (c *Client) rememberRefusal(err *Error) {
	s := &c.session
	s.mu.Lock()
	s.refusedWait = min(max(s.refusedWait*2, refusedFirst), refusedMax)
	s.refused, s.refusedAt = err, time.Now()
	wait := s.refusedWait
	s.mu.Unlock()
	c.log.Error("Salesforce refuses the sign-in", zap.String("event", latch.EventSignInRefused), zap.Error(err),
		zap.String("hint", err.Hint()), zap.Duration("notTriedFor", wait))
}

// held is the token of the session, if there is one.
func (s *session) held() (t token, held bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current, s.current.grant != 0
}

// refusal is the last refused sign-in, nil where none is remembered.
func (s *session) refusal() *Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused
}

// sessionRefused drops a session that was refused right after its sign-in, and
// is remembered like a refused sign-in.
func (c *Client) sessionRefused(t token, err *Error) {
	s := &c.session
	s.mu.Lock()
	still := s.current.grant == t.grant
	if still {
		s.current = token{}
	}
	s.mu.Unlock()
	if still {
		c.rememberRefusal(err)
	}
}

// sessionAccepted ends the memory of refusals. A sign-in alone does not: it may
// give a session that every call refuses.
func (c *Client) sessionAccepted() {
	s := &c.session
	s.mu.Lock()
	s.refusedWait = 0
	s.mu.Unlock()
}
