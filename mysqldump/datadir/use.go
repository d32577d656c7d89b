package datadir

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// inUse returns an error that wraps ErrInUse if a server uses a data directory.
func inUse(dir string) error {
	for _, name := range []string{"ibdata1", "aria_log_control"} { // which servers lock
		pid, err := locker(filepath.Join(dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if pid != 0 {
			return fmt.Errorf("%w: process %d holds a lock on %s", ErrInUse, pid, name)
		}
	}
	sockets, pids := leaves(dir)
	for _, name := range sockets {
		if c, err := net.Dial("unix", filepath.Join(dir, name)); err == nil {
			c.Close()
			return fmt.Errorf("%w: a server listens on %s in it", ErrInUse, name)
		}
	}
	for _, pid := range pids {
		if isServer(pid) {
			return fmt.Errorf("%w: its pid file names process %d, which is a server", ErrInUse, pid)
		}
	}
	if pid := worker(dir); pid != 0 {
		return fmt.Errorf("%w: process %d is a server that runs in it", ErrInUse, pid)
	}
	return nil
}

// locker returns the process that holds a lock on a file, of any part of it; 0: none.
func locker(path string) (int, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_GETLK, &lock); err != nil {
		return 0, fmt.Errorf("look who has locked %s: %w", path, err)
	}
	if lock.Type == unix.F_UNLCK {
		return 0, nil
	}
	return int(lock.Pid), nil
}

// leaves returns the sockets, and the processes of pid files, that are in a folder.
func leaves(dir string) (sockets []string, pids []int) {
	entries, _ := os.ReadDir(dir) // what cannot be read, Claim says
	for _, e := range entries {
		switch {
		case e.Type()&fs.ModeSocket != 0:
			sockets = append(sockets, e.Name())
		case e.Type().IsRegular() && strings.HasSuffix(e.Name(), ".pid"):
			if info, err := e.Info(); err != nil || info.Size() > 32 {
				continue
			}
			text, _ := os.ReadFile(filepath.Join(dir, e.Name()))
			if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && pid > 0 {
				pids = append(pids, pid)
			}
		}
	}
	return sockets, pids
}

// worker returns a server whose working directory is a folder, as each server's is its data directory; 0: none.
func worker(dir string) int {
	self, err := os.Stat(dir)
	if err != nil {
		return 0
	}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if at, err := os.Stat(filepath.Join("/proc", e.Name(), "cwd")); err == nil && os.SameFile(at, self) && isServer(pid) {
			return pid
		}
	}
	return 0
}

// isServer reports whether a process is a database server: by the program, or what a loader was told to run.
func isServer(pid int) bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return false
	}
	args := bytes.Split(line, []byte{0})
	return slices.ContainsFunc(args[:min(len(args), 5)], func(arg []byte) bool {
		base := filepath.Base(string(arg))
		return base == "mariadbd" || base == "mysqld"
	})
}
