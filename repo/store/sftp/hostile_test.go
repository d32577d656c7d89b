package sftp_test

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"nightjar/internal/sshtest"
	"nightjar/repo/store"
	nightjarsftp "nightjar/repo/store/sftp"
)

// An entry is what a server says that it has.
type entry struct {
	name string
	size int64
	mode fs.FileMode
}

func (e entry) Name() string       { return e.name }
func (e entry) Size() int64        { return e.size }
func (e entry) Mode() fs.FileMode  { return e.mode }
func (e entry) ModTime() time.Time { return time.Unix(1_700_000_000, 0) }
func (e entry) IsDir() bool        { return e.mode.IsDir() }
func (e entry) Sys() any           { return nil }

// A liar answers whatever a test wants.
type liar struct {
	look func(path string) (entry, error)
	list func(path string, n int64) (entry, bool)
}

func (l liar) Fileread(*sftp.Request) (io.ReaderAt, error) { return l, nil }
func (l liar) ReadAt([]byte, int64) (int, error)           { return 0, io.EOF }
func (l liar) Lstat(r *sftp.Request) (sftp.ListerAt, error) {
	e, err := l.look(r.Filepath)
	return listing(func(n int64) (entry, bool) { return e, n == 0 }), err
}

func (l liar) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	if r.Method == "List" {
		return listing(func(n int64) (entry, bool) { return l.list(r.Filepath, n) }), nil
	}
	return l.Lstat(r)
}

type listing func(n int64) (entry, bool)

func (l listing) ListAt(to []os.FileInfo, offset int64) (int, error) {
	for i := range to {
		e, ok := l(offset + int64(i))
		if !ok {
			return i, io.EOF
		}
		to[i] = e
	}
	return len(to), nil
}

// serve is a server of SSH that is a liar's; it returns how one opens it.
func serve(t *testing.T, l liar) func(listed int64) (*nightjarsftp.Store, error) {
	t.Helper()
	dir := t.TempDir()
	host := sshtest.NewKey(t, filepath.Join(dir, "host"), "")
	sshtest.NewKey(t, filepath.Join(dir, "id"), "")
	config := &ssh.ServerConfig{PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, nil }}
	config.AddHostKey(host)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { listener.Close() })
	known := filepath.Join(dir, "known")
	must(t, os.WriteFile(known, []byte(knownhosts.Line([]string{listener.Addr().String()}, host.PublicKey())+"\n"), 0o600))
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go session(c, config, l)
		}
	}()
	return func(listed int64) (*nightjarsftp.Store, error) {
		o := settings(t, filepath.Join(dir, "id"), known)
		o.Create = false
		s, err := nightjarsftp.OpenImpatient(t.Context(), location(t, "sftp://me@"+listener.Addr().String()+"/store"), o, 3, listed)
		if err == nil {
			t.Cleanup(func() { s.Close() })
		}
		return s, err
	}
}

func session(c net.Conn, config *ssh.ServerConfig, l liar) {
	defer c.Close()
	_, channels, requests, err := ssh.NewServerConn(c, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for wanted := range channels {
		channel, asked, err := wanted.Accept()
		if err != nil {
			return
		}
		go func() {
			for r := range asked {
				_ = r.Reply(r.Type == "subsystem", nil)
			}
		}()
		go func() {
			server := sftp.NewRequestServer(channel, sftp.Handlers{FileGet: l, FileList: l})
			_ = server.Serve()
			_ = channel.Close()
		}()
	}
}

// Whatever a server says costs bounded memory and time, and what makes no sense is nothing or an error.
func TestHostileServer(t *testing.T) {
	t.Parallel()
	ctx, folder := t.Context(), entry{name: "x", mode: fs.ModeDir | 0o700}
	look := func(path string) (entry, error) {
		switch {
		case strings.HasSuffix(path, "/huge"):
			return entry{"huge", 1 << 62, 0o600}, nil
		case strings.HasSuffix(path, "/negative"):
			return entry{"negative", -5, 0o600}, nil
		case strings.HasSuffix(path, "/short"):
			return entry{"short", 100, 0o600}, nil
		}
		return folder, nil
	}
	names := []string{"..", "a/b", "../../etc/passwd", "", ".hidden", "UPPER", strings.Repeat("a", 300), "a\nb", "good"}
	open := serve(t, liar{look, func(_ string, n int64) (entry, bool) {
		if n >= int64(len(names)) {
			return entry{}, false
		}
		return entry{names[n], 1, 0o600}, true
	}})
	s, err := open(1 << 20)
	must(t, err)
	if got := list(t, s, ""); !slices.Contains(got, "good") || slices.ContainsFunc(got, func(name string) bool { return !store.ValidName(name) }) {
		t.Errorf("listed %q", got)
	}
	buf := make([]byte, 10)
	for name, want := range map[string]error{"huge": store.ErrTooLarge, "short": io.ErrUnexpectedEOF} {
		if err := s.GetInto(ctx, name, 0, buf); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	if _, err := store.ReadAll(ctx, s, "huge", 0); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("all of what is huge: %v", err)
	}
	if _, err := s.Stat(ctx, "negative"); err == nil || errors.Is(err, store.ErrNotExist) {
		t.Errorf("less than nothing: %v", err)
	}

	endless := serve(t, liar{look, func(_ string, n int64) (entry, bool) { return entry{"object", 1, 0o600}, true }})
	s, err = endless(1 << 20)
	must(t, err)
	if err := s.List(ctx, "", func(store.Info) error { return nil }); err == nil || !strings.Contains(err.Error(), "no end") {
		t.Errorf("a folder without end: %v", err)
	}
	deep := serve(t, liar{look, func(_ string, n int64) (entry, bool) { return entry{"deep", 0, fs.ModeDir | 0o700}, n == 0 }})
	s, err = deep(1 << 20)
	must(t, err)
	if got := list(t, s, ""); len(got) > 0 {
		t.Errorf("folders without end: %q", got)
	}
}
