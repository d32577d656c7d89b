package servertest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const scratchPrefix = "nightjar-server-"

// locks holds the open lock of each scratch folder of this process.
var locks sync.Map

// newScratch makes a folder that a server of another user can reach, with a lock that tells for how long somebody wants it.
func newScratch() (string, error) {
	parent := os.TempDir()
	if !searchable(parent) { // such as a TMPDIR in a test's own folder
		parent = "/tmp"
	}
	sweep(parent)
	dir, err := os.MkdirTemp(parent, scratchPrefix)
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	lock, err := os.Create(filepath.Join(dir, "making"))
	if err != nil {
		return "", err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	locks.Store(dir, lock)
	return dir, os.Rename(lock.Name(), filepath.Join(dir, "lock"))
}

func removeScratch(dir string) error {
	err := os.RemoveAll(dir)
	if lock, ok := locks.LoadAndDelete(dir); ok {
		lock.(*os.File).Close()
	}
	return err
}

// sweep removes what tests left behind that were killed.
func sweep(parent string) {
	found, _ := filepath.Glob(filepath.Join(parent, scratchPrefix+"*", "lock"))
	for _, name := range found {
		lock, err := os.Open(name)
		if err != nil {
			continue // somebody else was quicker, or it is another user's
		}
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			_ = os.RemoveAll(filepath.Dir(name)) // else the next one tries
		}
		lock.Close()
	}
}

// prepared holds what preparedDatadir found for each kind.
var prepared struct {
	sync.Mutex
	dirs map[Kind]string
}

// preparedDatadir is a data directory of a new server, which nobody may start. It is made by the first who needs it, for all tests of this machine.
func preparedDatadir(b build) (string, error) {
	prepared.Lock()
	defer prepared.Unlock()
	if dir := prepared.dirs[b.kind]; dir != "" {
		return dir, nil
	}
	dir, err := findDatadir(b)
	if err != nil {
		return "", err
	}
	if prepared.dirs == nil {
		prepared.dirs = map[Kind]string{}
	}
	prepared.dirs[b.kind] = dir
	return dir, nil
}

func findDatadir(b build) (string, error) {
	version, err := b.version()
	if err != nil {
		return "", err
	}
	parent := filepath.Join(b.bin, "datadirs")
	recipe, _, err := b.initialize("")
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(version + strings.ReplaceAll(strings.Join(recipe, "\n"), b.dir, "")))
	dir := filepath.Join(parent, fmt.Sprintf("%s-%x", b.kind, sum[:6]))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(parent, string(b.kind)+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := waitForLock(lock); err != nil {
		return "", err
	}
	if _, err := os.Stat(dir); err == nil {
		return dir, nil // made while we waited
	}
	return dir, prepareDatadir(b, dir)
}

func waitForLock(f *os.File) error {
	for deadline := time.Now().Add(2 * patience); ; time.Sleep(20 * time.Millisecond) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) || time.Now().After(deadline) {
			return fmt.Errorf("lock %s: %w", f.Name(), err)
		}
	}
}

// prepareDatadir makes it where the server's user can write, and moves it to its place in one step.
func prepareDatadir(b build, dir string) error {
	scratch, err := newScratch()
	if err != nil {
		return err
	}
	defer removeScratch(scratch)
	user := credential(b)
	datadir := filepath.Join(scratch, "data")
	if err := os.Mkdir(datadir, 0o700); err != nil {
		return err
	}
	if err := own(scratch, user); err != nil {
		return err
	}
	argv, input, err := b.initialize(datadir)
	if err != nil {
		return err
	}
	argv = append(argv, "--tmpdir="+scratch)
	if user == nil && os.Geteuid() == 0 {
		argv = append(argv, "--user=root")
	}
	p, err := startProcess(argv, scratch, user, input)
	if err != nil {
		return err
	}
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.kill()
	}
	if !p.cmd.ProcessState.Success() {
		return fmt.Errorf("prepare a data directory of %s: %v\n%s", b.kind, p.state(), p.output())
	}
	_ = os.Remove(filepath.Join(datadir, "auto.cnf")) // each copy makes its own UUID
	moving := dir + ".new"
	if err := os.RemoveAll(moving); err != nil {
		return err
	}
	if err := copyTree(datadir, moving); err != nil {
		return err
	}
	if err := os.Rename(moving, dir); err != nil {
		return err
	}
	others, _ := filepath.Glob(filepath.Join(filepath.Dir(dir), string(b.kind)+"-*"))
	for _, other := range others { // those of versions that are no longer here
		if other != dir {
			if err := os.RemoveAll(other); err != nil {
				return err
			}
		}
	}
	return nil
}

// copyTree copies folders and regular files, which is all that a data directory has.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, relative)
		switch {
		case d.IsDir():
			return os.Mkdir(target, 0o700)
		case d.Type().IsRegular():
			return copyFile(path, target)
		}
		return nil // a link of the installer's
	})
}

// copyFile leaves holes where there are only zeros, of which a new data directory has many.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(copySparse(in, out), out.Close())
}

func copySparse(in, out *os.File) error {
	buf, zeros := make([]byte, 64<<10), make([]byte, 64<<10)
	for size := int64(0); ; {
		n, err := io.ReadFull(in, buf)
		if n > 0 && !bytes.Equal(buf[:n], zeros[:n]) {
			if _, err := out.WriteAt(buf[:n], size); err != nil {
				return err
			}
		}
		size += int64(n)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return out.Truncate(size)
		}
		if err != nil {
			return err
		}
	}
}

// own gives a folder, and all that is in it, to the server's user.
func own(dir string, user *syscall.Credential) error {
	if user == nil {
		return nil
	}
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(user.Uid), int(user.Gid))
	})
}

// reservePort finds a port outside of those that the kernel hands out, and keeps it from other tests on this machine until the end of this one: a server that is
// restarted has it again.
func reservePort(t testing.TB) (int, error) {
	for range 1000 {
		port := 15000 + rand.IntN(17000)
		reserved, err := net.Listen("unix", fmt.Sprintf("@nightjar-server-port-%d", port)) // an abstract name, which ends with the process
		if err != nil {
			continue
		}
		free, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			reserved.Close()
			continue
		}
		free.Close()
		t.Cleanup(func() { reserved.Close() })
		return port, nil
	}
	return 0, errors.New("find a free port: none in 1000 tries")
}
