package request

import (
	"context"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"
)

// largestPiece is what moves at once.
const largestPiece = 64 << 10

// limits are what all connections share.
type limits struct {
	timeout  time.Duration
	up, down *rate.Limiter // nil: no limit
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

func (l limits) dialer(d *net.Dialer) dialFunc {
	d.Control = keepUnsent
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := d.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		// Not the dial's context, which may end before the connection does.
		open, shut := context.WithCancel(context.Background())
		return &conn{Conn: c, limits: l, open: open, shut: shut}, nil
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

// limiter lets bytes pass by the second, in pieces small enough that a waiting
// connection is not taken for a silent one.
func limiter(bytes int64) *rate.Limiter {
	if bytes == 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(bytes), int(min(max(bytes/8, 512), largestPiece)))
}

// conn fails when nothing has moved in either direction for the timeout, so
// that a server which fell silent, before or after it had the whole request,
// cannot hold a run up for ever. It keeps the limits.
type conn struct {
	net.Conn
	limits
	open context.Context
	shut context.CancelFunc
}

func (c *conn) Close() error {
	c.shut()
	return c.Conn.Close()
}

func (c *conn) Read(p []byte) (int, error) {
	if c.down != nil {
		p = p[:min(len(p), c.down.Burst())]
	}
	if err := c.alive(); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(p)
	if c.down != nil && n > 0 && c.down.WaitN(c.open, n) != nil {
		err = net.ErrClosed
	}
	return n, err
}

func (c *conn) Write(p []byte) (done int, err error) {
	for {
		piece := p[done:]
		if c.up != nil {
			piece = piece[:min(len(piece), c.up.Burst())]
			if c.up.WaitN(c.open, len(piece)) != nil {
				return done, net.ErrClosed
			}
		}
		piece = piece[:min(len(piece), largestPiece)] // each proves life
		if err := c.alive(); err != nil {
			return done, err
		}
		n, err := c.Conn.Write(piece)
		done += n
		if err != nil || done == len(p) {
			return done, err
		}
	}
}

func (c *conn) alive() error { return c.Conn.SetDeadline(time.Now().Add(c.timeout)) }
