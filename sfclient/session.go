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
	mu      sync.Mutex // guards what follows
	current token
	turn    chan struct{} // one sign-in at a time; made with the first

	refused     *Error
	refusedAt   time.Time
	refusedWait time.Duration
}

// How long a refused sign-in is not tried again: 1 minute, doubling to 15.
const (
	refusedFirst = time.Minute
	refusedMax   = 15 * time.Minute
)

// Org gives the id of the org (00D…), signing in when there is no session. It
// costs no API call beyond that.
func (c *Client) Org(ctx context.Context) (string, error) {
	t, err := c.token(ctx, "")
	if err != nil {
		return "", err
	}
	return t.org, nil
}

// token gives the session's token, and a new one where there is none or the
// rejected one is still the current. Concurrent callers share one sign-in.
func (c *Client) token(ctx context.Context, rejected string) (token, *Error) {
	s := &c.session
	s.mu.Lock()
	if s.turn == nil {
		s.turn = make(chan struct{}, 1)
	}
	turn := s.turn
	s.mu.Unlock()
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
		return token{}, networkError(ctx, signingIn, ctx.Err())
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current.access != "" && s.current.access != rejected {
		return s.current, nil
	}
	if since := time.Since(s.refusedAt); s.refused != nil && since >= 0 && since < s.refusedWait {
		return token{}, s.refused
	}
	s.mu.Unlock()
	t, err := c.requestToken(ctx)
	s.mu.Lock()
	if err != nil {
		if err.Kind == KindAuth {
			s.refusedWait = min(max(s.refusedWait*2, refusedFirst), refusedMax)
			s.refused, s.refusedAt = err, time.Now()
			c.log.Error("Salesforce refuses the sign-in", zap.String("event", latch.EventSignInRefused), zap.Error(err),
				zap.String("hint", err.Hint()), zap.Duration("notTriedFor", s.refusedWait))
		}
		return token{}, err
	}
	s.refused, s.refusedWait = nil, 0
	s.current = t
	c.log.Info("signed in to Salesforce", zap.String("event", latch.EventSignedIn), zap.String("org", t.org), zap.String("flow", c.o.Auth.Flow))
	return t, nil
}
