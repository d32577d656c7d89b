package sftp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"nightjar/repo/store"
	"nightjar/repo/store/sftp/login"
)

// grace is how long a call may go on whose context has ended, before the connection is cut for it.
const grace = time.Second

// A conn is one SSH connection with a session for objects, and one for listings once there is one.
type conn struct {
	*sftp.Client
	ssh     *ssh.Client
	dead    chan struct{}
	heard   atomic.Int64 // counts what SFTP answered, and when it began to be asked
	busy    atomic.Int64 // calls that wait for an answer
	folders sync.Map     // those that were seen to be folders

	maxListed int64

	listing sync.Mutex
	lists   *sftp.Client // nil: none yet
	listed  counter      // bytes of its answers
}

var errClosed = errors.New("the store was closed")

// do calls f, and again with a new connection if the one that it had is lost. What f returns otherwise is returned as it is.
func (s *Store) do(ctx context.Context, f func(c *conn) error) error {
	for attempt := 1; ; attempt++ {
		c, err := s.connection(ctx)
		if err == nil {
			if err = c.run(ctx, f); err == nil || !c.lost(err) {
				return denied(err)
			}
			c.cut()
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if final(err) {
			return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
		}
		if attempt >= s.limits.attempts || s.nobody(err) {
			return &marked{fmt.Errorf("%w: %w", store.ErrUnavailable, err), ErrUnreachable}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(s.delay(attempt)):
		}
	}
}

// delay doubles from a half second; half of it is random.
func (s *Store) delay(attempt int) time.Duration {
	d := min(s.limits.backoff, 500*time.Millisecond<<min(attempt-1, 10))
	return d/2 + rand.N(d/2+1)
}

// final reports whether another attempt comes to the same.
func final(err error) bool {
	return errors.As(err, new(*login.Error)) || errors.Is(err, ErrNoSFTP) || errors.Is(err, errClosed) || errors.Is(err, errEndless)
}

// nobody reports whether nobody was there from the beginning, no host of that name or no server on it: another attempt comes to the same, as a rule.
func (s *Store) nobody(err error) bool {
	var dns *net.DNSError
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live == nil && (errors.Is(err, syscall.ECONNREFUSED) || errors.As(err, &dns) && dns.IsNotFound)
}

// marked is an error that is another one besides, and does not say so.
type marked struct {
	error
	also error
}

func (m *marked) Unwrap() []error { return []error{m.error, m.also} }

// denied marks what the server does not let us do.
func denied(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return &marked{err, ErrDenied}
	}
	return err
}

// connection returns the one that there is, or makes one.
func (s *Store) connection(ctx context.Context) (*conn, error) {
	select {
	case s.dialing <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-s.dialing }()
	s.mu.Lock()
	c, closed := s.live, s.closed
	s.mu.Unlock()
	switch {
	case closed:
		return nil, errClosed
	case c != nil && !c.isDead():
		return c, nil
	}
	c, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		c.cut()
		return nil, errClosed
	}
	s.live = c
	return c, nil
}

func (s *Store) dial(ctx context.Context) (*conn, error) {
	config, done, err := s.reach.ClientConfig()
	if err != nil {
		return nil, err
	}
	defer done()
	dialer := net.Dialer{Timeout: s.limits.silence}
	raw, err := dialer.DialContext(ctx, "tcp", s.reach.Address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	transport, channels, requests, err := ssh.NewClientConn(s.pace.Conn(&patient{raw, s.limits.silence, s.limits.now}), s.reach.Address, config)
	if err != nil {
		raw.Close()
		return nil, s.reach.Explain(err)
	}
	c := &conn{ssh: ssh.NewClient(transport, channels, requests), dead: make(chan struct{}), maxListed: s.limits.listed}
	go func() {
		_ = c.ssh.Wait() // whatever ended it, it has ended
		close(c.dead)
	}()
	c.begin()
	defer c.end()
	go c.watch(s.limits)
	if c.Client, err = c.session(&counter{most: -1}); err != nil {
		c.cut()
		return nil, err
	}
	return c, nil
}

// session begins one more session of SFTP, whose answers are counted.
func (c *conn) session(answers *counter) (*sftp.Client, error) {
	session, err := c.ssh.NewSession()
	if err != nil {
		return nil, err
	}
	in, err := session.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := session.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := session.RequestSubsystem("sftp"); err != nil {
		if c.isDead() {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", ErrNoSFTP, err)
	}
	answers.from, answers.heard = out, &c.heard
	client, err := sftp.NewClientPipe(answers, in, sftp.UseConcurrentWrites(true))
	if err != nil {
		return nil, fmt.Errorf("begin SFTP: %w", err)
	}
	return client, nil
}

// A counter counts bytes, and fails when they are more than most; -1: never.
type counter struct {
	from  io.Reader
	heard *atomic.Int64
	n     atomic.Int64
	most  int64
}

var errEndless = errors.New("the answer has no end")

func (r *counter) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	r.heard.Add(1)
	if r.n.Add(int64(n)) > r.most && r.most >= 0 {
		return 0, errEndless
	}
	return n, err
}

// run calls f, and cuts the connection if f does not end when ctx has.
func (c *conn) run(ctx context.Context, f func(c *conn) error) error {
	c.begin()
	defer c.end()
	done := make(chan struct{})
	defer close(done)
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-done:
		case <-time.After(grace):
			c.cut()
		}
	})
	defer stop()
	return f(c)
}

func (c *conn) begin() {
	if c.busy.Add(1) == 1 {
		c.heard.Add(1)
	}
}

func (c *conn) end() { c.busy.Add(-1) }

// watch keeps the connection alive, and cuts it when SFTP says nothing though it was asked: the server's disk may hang.
func (c *conn) watch(l limits) {
	tick := time.NewTicker(l.silence / 3)
	defer tick.Stop()
	last, silent := c.heard.Load(), time.Duration(0)
	for {
		select {
		case <-c.dead:
			return
		case <-tick.C:
		}
		if now := c.heard.Load(); now != last || c.busy.Load() == 0 {
			last, silent = now, 0
		} else if silent += l.silence / 3; silent > l.stall {
			c.cut()
			return
		}
		if _, _, err := c.ssh.SendRequest("keepalive@openssh.com", true, nil); err != nil {
			c.cut()
			return
		}
	}
}

func (c *conn) cut() { _ = c.ssh.Close() }

func (c *conn) isDead() bool {
	select {
	case <-c.dead:
		return true
	default:
		return false
	}
}

// lost reports whether an error is the connection's, and not the server's about a file.
func (c *conn) lost(err error) bool {
	var status *sftp.StatusError
	switch {
	case errors.Is(err, sftp.ErrSSHFxConnectionLost), c.isDead():
		return true
	case errors.As(err, &status), errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, store.ErrExists), errors.Is(err, store.ErrClutter),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return false
	}
	_, err = c.RealPath(".")
	return err != nil && !errors.As(err, &status)
}

// patient is a connection that fails when nothing comes, or nothing goes out, for so long.
type patient struct {
	net.Conn
	silence time.Duration
	now     func() time.Time
}

func (p *patient) Read(b []byte) (int, error) {
	if err := p.SetReadDeadline(p.now().Add(p.silence)); err != nil {
		return 0, err
	}
	return p.Conn.Read(b)
}

func (p *patient) Write(b []byte) (int, error) {
	if err := p.SetWriteDeadline(p.now().Add(p.silence)); err != nil {
		return 0, err
	}
	return p.Conn.Write(b)
}
