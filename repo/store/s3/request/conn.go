package request

import (
	"context"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"nightjar/internal/pace"
)

// largestPiece is what moves at once.
const largestPiece = 64 << 10

// limits are what all connections share.
type limits struct {
	timeout time.Duration
	pace    pace.Limits
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

func (l limits) dialer(d *net.Dialer) dialFunc {
	d.Control = keepUnsent
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := d.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return l.pace.Conn(&conn{c, l.timeout}), nil
	}
}

// keepUnsent lets the kernel take over little more than what is on its way.
// Otherwise megabytes wait there, and on a slow line the connection seems silent
// while they go out.
func keepUnsent(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		// A kernel that cannot leaves all as it was.
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, 2*largestPiece)
	})
}

// conn fails when nothing has moved in either direction for the timeout, so
// that a server which fell silent, before or after it had the whole request,
// cannot hold a run up for ever.
type conn struct {
	net.Conn
	timeout time.Duration
}

func (c *conn) Read(p []byte) (int, error) {
	if err := c.alive(); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c *conn) Write(p []byte) (done int, err error) {
	for {
		if err := c.alive(); err != nil {
			return done, err
		}
		n, err := c.Conn.Write(p[done:min(len(p), done+largestPiece)]) // each proves life
		done += n
		if err != nil || done == len(p) {
			return done, err
		}
	}
}

func (c *conn) alive() error { return c.Conn.SetDeadline(time.Now().Add(c.timeout)) }
