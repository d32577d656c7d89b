// Package pace keeps connections to so many bytes a second.
//
// Bytes pass in pieces, small enough that a connection which waits its turn does
// not seem silent to whoever sets deadlines below.
package pace

import (
	"context"
	"net"

	"golang.org/x/time/rate"
)

// largestPiece is what moves at once.
const largestPiece = 64 << 10

// Limits are what all connections together keep that have them. The zero value has none.
type Limits struct {
	up, down *rate.Limiter // nil: no limit
}

// New returns limits in bytes a second; 0: none.
func New(up, down int64) Limits { return Limits{limiter(up), limiter(down)} }

func limiter(bytes int64) *rate.Limiter {
	if bytes == 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(bytes), int(min(max(bytes/8, 512), largestPiece)))
}

// Conn returns c within the limits.
func (l Limits) Conn(c net.Conn) net.Conn {
	if l.up == nil && l.down == nil {
		return c
	}
	open, shut := context.WithCancel(context.Background())
	return &conn{Conn: c, Limits: l, open: open, shut: shut}
}

type conn struct {
	net.Conn
	Limits
	open context.Context // which ends with the connection
	shut context.CancelFunc
}

func (c *conn) Close() error {
	c.shut()
	return c.Conn.Close()
}

func (c *conn) Read(p []byte) (int, error) {
	if c.down == nil {
		return c.Conn.Read(p)
	}
	n, err := c.Conn.Read(p[:min(len(p), c.down.Burst())])
	if n > 0 && c.down.WaitN(c.open, n) != nil {
		err = net.ErrClosed
	}
	return n, err
}

func (c *conn) Write(p []byte) (done int, err error) {
	if c.up == nil {
		return c.Conn.Write(p)
	}
	for {
		piece := p[done:min(len(p), done+c.up.Burst())]
		if c.up.WaitN(c.open, len(piece)) != nil {
			return done, net.ErrClosed
		}
		n, err := c.Conn.Write(piece)
		done += n
		if err != nil || done == len(p) {
			return done, err
		}
	}
}
