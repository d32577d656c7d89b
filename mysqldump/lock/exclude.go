package lock

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"nightjar/mysqldump/server"
)

// userLock is the name by which backups of a server exclude each other, as GET_LOCK takes it.
const userLock = "nightjar.backup"

// guard is the session that keeps other backups out, watches, and kills.
type guard struct {
	mu      sync.Mutex
	session *server.Session
	file    *os.File
}

// open keeps other backups out.
func (g *guard) open(ctx context.Context, s *server.Server, o Options) (err error) {
	if g.session, err = s.Connect(ctx); err != nil {
		return err
	}
	if o.Directory != "" {
		id, err := g.session.Identity(ctx)
		if err != nil {
			return err
		}
		if g.file, err = lockFile(o.Directory, fileName(id)); err != nil {
			return err
		}
	}
	// Kept alive by Held: others need not wait for long after a client that was cut off.
	grace := 2*int64(o.Max/time.Second) + 30
	if err := g.session.Exec(ctx, fmt.Sprintf("SET SESSION wait_timeout=%d", grace)); err != nil {
		return err
	}
	row, err := g.session.Row(ctx, "SELECT GET_LOCK('"+userLock+"', 0), IS_USED_LOCK('"+userLock+"')")
	if err != nil {
		return err
	}
	if string(row[0]) != "1" {
		return fmt.Errorf("%w: session %s of the server", ErrBusy, row[1])
	}
	return nil
}

// do runs f with the session, which nobody else has meanwhile.
func (g *guard) do(f func(c *server.Session) error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return f(g.session)
}

// farewell is how long a server may take to give up what it would anyway, soon after the end of the session.
const farewell = 2 * time.Second

// forEach runs f, such as a way to kill, for each of several sessions. Their users find out.
func (g *guard) forEach(sessions []*server.Session, f func(c *server.Session, ctx context.Context, id uint64) error) {
	if g.session == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	_ = g.do(func(c *server.Session) (err error) {
		for _, s := range sessions {
			err = errors.Join(err, f(c, ctx, s.ID()))
		}
		return err
	})
}

// close lets other backups in.
func (g *guard) close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.session != nil {
		leave(g.session, "DO RELEASE_LOCK('"+userLock+"')")
		g.session = nil
	}
	if file := g.file; file != nil {
		g.file = nil
		err := unix.Flock(int(file.Fd()), unix.LOCK_UN) // closing does not suffice while a program that is being started has a copy of the descriptor
		return errors.Join(err, file.Close())
	}
	return nil
}

// leave has a session give something up and closes it. A server that has not heard of that sees the end of the connection.
func leave(s *server.Session, statement string) {
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	_ = s.Exec(ctx, statement)
	_ = s.Close()
}

// fileName is the same for all ways to a server.
func fileName(id server.Identity) string {
	plain := strings.Map(func(r rune) rune {
		if r == '-' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' {
			return r
		}
		return -1
	}, strings.ToLower(id.Hostname))
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %d %s", id.Hostname, id.Port, id.ServerID, id.ServerUUID))
	return fmt.Sprintf("mysql-%s-%x.lock", plain[:min(len(plain), 40)], sum[:6])
}

// lockFile locks a file for as long as it is open. It stays when it is closed.
func lockFile(directory, name string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(directory, name), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("exclude other backups: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == unix.EWOULDBLOCK {
		holder := make([]byte, 20)
		n, _ := f.ReadAt(holder, 0) // it may have written nothing yet
		err = fmt.Errorf("%w: process %s", ErrBusy, strconv.Quote(string(holder[:n])))
	}
	if err == nil {
		if err = f.Truncate(0); err == nil {
			_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", filepath.Join(directory, name), err)
	}
	return f, nil
}
