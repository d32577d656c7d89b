// Package sshtest runs a real sshd for tests, and stands between it and them to
// break connections where they are told to.
//
// It is for tests alone. The server listens on the loopback address, knows one
// key, and gives SFTP to the user who runs the tests.
package sshtest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// A Server is an sshd, with what it takes to reach it.
type Server struct {
	Address    string // host:port
	Key        string // the file of the key that it knows
	KnownHosts string // a file with its host key
	HostKey    ssh.Signer

	t       testing.TB
	dir     string
	config  string
	program string
	run     *exec.Cmd
}

// Start starts a server until the end of the test, with more lines of configuration if there are any. Without an sshd the test fails in CI, and is
// skipped, aloud, elsewhere.
func Start(t testing.TB, config ...string) *Server {
	t.Helper()
	program, err := exec.LookPath("sshd")
	if err != nil {
		program = "/usr/sbin/sshd"
		_, err = os.Stat(program)
	}
	if err != nil && os.Getenv("CI") == "" {
		t.Skip("SKIPPED, NOTHING TESTED: ", err)
	}
	must(t, err)
	dir, err := os.MkdirTemp("", "sshtest-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	if os.Geteuid() == 0 {
		must(t, os.MkdirAll("/run/sshd", 0o755)) // as its packages do when it starts
	}
	s := &Server{t: t, dir: dir, program: program, Key: filepath.Join(dir, "id"), KnownHosts: filepath.Join(dir, "known_hosts")}
	s.Address = freeAddress(t)
	s.HostKey = NewKey(t, filepath.Join(dir, "host"), "")
	login := NewKey(t, s.Key, "")
	s.write("authorized_keys", ssh.MarshalAuthorizedKey(login.PublicKey()))
	s.write("known_hosts", []byte(knownhosts.Line([]string{s.Address}, s.HostKey.PublicKey())+"\n"))
	host, port, err := net.SplitHostPort(s.Address)
	must(t, err)
	lines := []string{
		"ListenAddress " + host, "Port " + port, "HostKey " + filepath.Join(dir, "host"), "AuthorizedKeysFile " + filepath.Join(dir, "authorized_keys"),
		"PidFile none", "StrictModes no", "UsePAM no", "PasswordAuthentication no", "KbdInteractiveAuthentication no", "PermitRootLogin prohibit-password",
		"MaxStartups 100", "LogLevel ERROR",
	}
	if !strings.Contains(strings.Join(config, "\n"), "Subsystem") {
		lines = append(lines, "Subsystem sftp internal-sftp")
	}
	s.config = filepath.Join(dir, "config")
	s.write("config", []byte(strings.Join(append(lines, config...), "\n")+"\n"))
	s.Run()
	t.Cleanup(s.Stop)
	return s
}

// Run starts the server again, which Stop has ended.
func (s *Server) Run() {
	s.t.Helper()
	log, err := os.Create(s.Path("log")) // which its children keep open
	must(s.t, err)
	defer log.Close()
	s.run = exec.Command(s.program, "-D", "-e", "-f", s.config)
	s.run.Stderr = log
	must(s.t, s.run.Start())
	for deadline := time.Now().Add(30 * time.Second); ; {
		c, err := net.Dial("tcp", s.Address)
		if err == nil {
			_, err = io.ReadFull(c, make([]byte, 4))
			c.Close()
		}
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			_ = s.run.Process.Kill()
			_ = s.run.Wait()
			said, _ := os.ReadFile(s.Path("log"))
			s.t.Fatalf("sshd does not answer: %v\n%s", err, said)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Stop ends the server; connections that there are go on.
func (s *Server) Stop() {
	if s.run != nil {
		_ = s.run.Process.Kill()
		_ = s.run.Wait()
		s.run = nil
	}
}

// User is who logs in.
func User(t testing.TB) string {
	me, err := user.Current()
	must(t, err)
	return me.Username
}

// URL names a folder of this machine as the server has it.
func (s *Server) URL(path string) string { return "sftp://" + User(s.t) + "@" + s.Address + path }

// Path is a file of the server's own.
func (s *Server) Path(name string) string { return filepath.Join(s.dir, name) }

func (s *Server) write(name string, data []byte) {
	must(s.t, os.WriteFile(s.Path(name), data, 0o600))
}

// NewKey makes a key, under a passphrase if there is one, and writes it to a file, and its public half to another.
func NewKey(t testing.TB, file, passphrase string) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	signer, err := ssh.NewSignerFromKey(key)
	must(t, err)
	var block *pem.Block
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(key, "test")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "test", []byte(passphrase))
	}
	must(t, err)
	must(t, os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
	must(t, os.WriteFile(file+".pub", ssh.MarshalAuthorizedKey(signer.PublicKey()), 0o600))
	return signer
}

func freeAddress(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A Line passes on what comes to it, until it is told otherwise. It has an address of its own, under which the server's host key is known to it.
type Line struct {
	Address    string
	KnownHosts string
	Made       atomic.Int64 // connections by now
	t          testing.TB
	to         string
	left       atomic.Int64 // bytes from the client until all is cut; below 0: no end
	mute       atomic.Bool
	mu         sync.Mutex
	open       map[net.Conn]bool
}

// Through returns a line to a server.
func (s *Server) Through(t testing.TB) *Line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	l := &Line{Address: listener.Addr().String(), t: t, to: s.Address, open: map[net.Conn]bool{}}
	l.left.Store(-1)
	l.KnownHosts = filepath.Join(t.TempDir(), "known_hosts")
	must(t, os.WriteFile(l.KnownHosts, []byte(knownhosts.Line([]string{l.Address}, s.HostKey.PublicKey())+"\n"), 0o600))
	t.Cleanup(func() {
		listener.Close()
		l.Cut()
	})
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			l.Made.Add(1)
			go l.pass(c)
		}
	}()
	return l
}

// URL names a folder behind the line.
func (l *Line) URL(path string) string { return "sftp://" + User(l.t) + "@" + l.Address + path }

// CutAfter has the line cut all connections, once, when so many more bytes have come from clients.
func (l *Line) CutAfter(bytes int64) { l.left.Store(bytes) }

// Mute has the line swallow all that comes, or not any more; those that are connected stay so, and hear nothing.
func (l *Line) Mute(yes bool) { l.mute.Store(yes) }

// Cut cuts all connections that there are.
func (l *Line) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		c.Close()
	}
	clear(l.open)
}

func (l *Line) pass(from net.Conn) {
	to, err := net.Dial("tcp", l.to)
	if err != nil {
		from.Close()
		return
	}
	l.mu.Lock()
	l.open[from], l.open[to] = true, true
	l.mu.Unlock()
	done := make(chan bool, 2)
	go func() { l.copy(to, from, true); done <- true }()
	go func() { l.copy(from, to, false); done <- true }()
	<-done
	from.Close()
	to.Close()
	l.mu.Lock()
	delete(l.open, from)
	delete(l.open, to)
	l.mu.Unlock()
}

func (l *Line) copy(to, from net.Conn, counted bool) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if l.mute.Load() {
			continue
		}
		if counted && l.left.Load() >= 0 && l.left.Add(-int64(n)) <= 0 {
			l.left.Store(-1)
			l.Cut()
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// String is for messages.
func (s *Server) String() string { return fmt.Sprintf("sshd at %s", s.Address) }
