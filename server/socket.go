package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// socketMode lets the owner and the group in.
const socketMode = 0o660

// InUseError means that another process answers on the socket.
type InUseError struct{ Path string }

func (e *InUseError) Error() string {
	return fmt.Sprintf("another latchd answers on the socket %s", e.Path)
}

// Hint is what the operator can do.
func (e *InUseError) Hint() string {
	return "stop it first, or give this one another server.socket and state.path"
}

// Listen binds the unix socket, mode 0660. A socket that a dead process left is
// removed, but only after asking whether somebody answers there.
func Listen(ctx context.Context, path string) (net.Listener, error) {
	switch there, err := Answers(ctx, path); {
	case there:
		return nil, &InUseError{path}
	case err != nil:
		return nil, err
	}
	info, err := os.Lstat(path)
	switch {
	case err == nil && info.Mode()&fs.ModeSocket == 0:
		return nil, fmt.Errorf("the socket %s cannot be made: something else has that name; move it or set server.socket", path)
	case err == nil:
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("removing the socket %s that a dead latchd left: %w", path, errors.Unwrap(err))
		}
	}
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("the socket %s cannot be made: its folder is not there; make it, or set server.socket", path)
	}
	// Between bind and chmod nobody else may connect.
	old := unix.Umask(0o777 &^ socketMode)
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	unix.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("the socket %s cannot be made: %w", path, errors.Unwrap(err))
	}
	return l, nil
}

// Answers reports whether somebody answers on the socket. Only a socket that is
// not there, or refuses, is a dead one; an error says that it cannot be told, or
// that this user may not ask.
func Answers(ctx context.Context, path string) (bool, error) {
	d := net.Dialer{Timeout: 2 * time.Second}
	c, err := d.DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		c.Close()
		return true, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ENOTSOCK), errors.Is(err, unix.ENOTDIR),
		errors.Is(err, unix.EINVAL): // a name longer than a socket can have

		return false, nil
	case errors.Is(err, fs.ErrPermission):
		return false, &AccessError{path}
	}
	return false, fmt.Errorf("asking on the socket %s: %w", path, err)
}

// AccessError means that this user may not use the socket.
type AccessError struct{ Path string }

func (e *AccessError) Error() string {
	return fmt.Sprintf("you may not use the socket %s", e.Path)
}

// Hint is what the operator can do.
func (e *AccessError) Hint() string {
	return "run it as root, or as a member of the group that owns the socket (latchd)"
}

type peerKey struct{}

// withPeer remembers who is on the other side of the socket, as the kernel
// knows it.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	if b, ok := c.(*boundedConn); ok {
		c = b.Conn
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		return ctx
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return ctx
	}
	var cred *unix.Ucred
	var cerr error
	if err := raw.Control(func(fd uintptr) { cred, cerr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil || cerr != nil {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, userName(strconv.Itoa(int(cred.Uid))))
}

// caller names who asks: the user on the other side of the socket, or, in
// process, the one who runs this.
func caller(r *http.Request) string {
	if name, ok := r.Context().Value(peerKey{}).(string); ok {
		return name
	}
	return userName(strconv.Itoa(os.Getuid()))
}

func userName(uid string) string {
	if u, err := user.LookupId(uid); err == nil {
		return u.Username
	}
	return "uid " + uid
}
