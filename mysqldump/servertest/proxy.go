package servertest

import (
	"bytes"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy is a network between a client and a server, which does what networks do. It passes on what comes until it is told otherwise.
type Proxy struct {
	Addr string // host:port, for Config().Addr
	Host string
	Port int

	target   string
	listener net.Listener
	done     sync.WaitGroup

	mu      sync.Mutex
	refuse  bool
	resumed chan struct{} // closed when a stall ends; nil when there is none
	latency time.Duration
	left    int64 // bytes from the server until all is cut; below 0: no end
	awaited []byte
	action  func() // for when the client says what is awaited; nil: nothing is
	open    map[*line]bool
}

// line is one connection through a proxy.
type line struct {
	client, server net.Conn
	cut            chan struct{} // closed when it is
	once           sync.Once
}

func (l *line) close() {
	l.once.Do(func() {
		close(l.cut)
		l.client.Close()
		l.server.Close()
	})
}

// StartProxy listens on loopback for a target, host:port, until the end of the test.
func StartProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	addr := listener.Addr().(*net.TCPAddr)
	p := &Proxy{Addr: addr.String(), Host: addr.IP.String(), Port: addr.Port, target: target, listener: listener, left: -1, open: map[*line]bool{}}
	p.done.Go(p.accept)
	t.Cleanup(func() {
		listener.Close()
		p.Refuse(true)
		p.done.Wait()
	})
	return p
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.done.Go(func() { p.pass(client) })
	}
}

func (p *Proxy) pass(client net.Conn) {
	server, err := net.DialTimeout("tcp", p.target, patience)
	if err != nil {
		client.Close()
		return
	}
	l := &line{client: client, server: server, cut: make(chan struct{})}
	p.mu.Lock()
	if p.refuse {
		l.close()
	}
	p.open[l] = true
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.copy(l, server, client, false) })
	both.Go(func() { p.copy(l, client, server, true) })
	both.Wait()
	p.mu.Lock()
	delete(p.open, l)
	p.mu.Unlock()
}

// copy passes on one direction of a line, and ends the line with it.
func (p *Proxy) copy(l *line, to, from net.Conn, counted bool) {
	defer l.close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if !counted {
			p.heard(buf[:n])
		}
		if err != nil || !p.mayPass(l, n, counted) {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// When calls f, once, when a client says the text, before the server hears it. Of several calls the last one counts.
func (p *Proxy) When(text string, f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.awaited, p.action = []byte(text), f
}

// heard does what is to be done when a client says something.
func (p *Proxy) heard(said []byte) {
	p.mu.Lock()
	f := p.action
	if f != nil && !bytes.Contains(said, p.awaited) {
		f = nil
	}
	if f != nil {
		p.action = nil
	}
	p.mu.Unlock()
	if f != nil {
		f()
	}
}

// mayPass waits for as long as the network would, and says whether the line is still there.
func (p *Proxy) mayPass(l *line, n int, counted bool) bool {
	p.mu.Lock()
	latency := p.latency
	if counted && p.left >= 0 {
		if p.left -= int64(n); p.left < 0 {
			p.cut()
		}
	}
	p.mu.Unlock()
	if latency > 0 {
		select {
		case <-time.After(latency):
		case <-l.cut:
			return false
		}
	}
	for {
		p.mu.Lock()
		resumed := p.resumed
		p.mu.Unlock()
		if resumed == nil {
			break
		}
		select {
		case <-resumed:
		case <-l.cut:
			return false
		}
	}
	select {
	case <-l.cut:
		return false
	default:
		return true
	}
}

// Cut cuts all connections that there are; new ones are let through.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut()
}

// cut is Cut for those that hold the lock.
func (p *Proxy) cut() {
	for l := range p.open {
		l.close()
	}
}

// CutAfter cuts all connections, once, when more than so many bytes have come from the server from now on.
func (p *Proxy) CutAfter(bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = bytes
}

// Refuse cuts all connections, and each new one at once, until it is told false.
func (p *Proxy) Refuse(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = yes
	if yes {
		p.cut()
	}
}

// Stall holds back all bytes of both directions, as a network that loses all packets does: connections stay, and hear nothing. Stall(false) lets go of them.
func (p *Proxy) Stall(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case yes && p.resumed == nil:
		p.resumed = make(chan struct{})
	case !yes && p.resumed != nil:
		close(p.resumed)
		p.resumed = nil
	}
}

// Latency holds back what comes, up to 32 KiB at a time, for so long, in both directions; 0 no longer.
func (p *Proxy) Latency(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.latency = d
}
