package jobfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// MaxBytes is how large a job file may be.
const MaxBytes = 1 << 20

// Read reads a job file, after it has looked at who else may write it, or read a secret in it: that is an error, and nothing is returned. Else error and file are Parse's.
func Read(path string) (*File, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find job file: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // a pipe would keep it waiting
	if err != nil {
		return nil, fmt.Errorf("read job file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read job file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read job file %s: it is no regular file", path)
	}
	me := os.Geteuid()
	if err := writable(path, info, me); err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read job file %s: %w", path, err)
	}
	file, err := Parse(path, content)
	if key := file.Secret(); key != "" {
		if err := readable(path, key, info, me); err != nil {
			return nil, err
		}
	}
	return file, err
}

// ErrExposed says that others may read a job file's secrets, or write its commands.
var ErrExposed = errors.New("others have access to it")

// An AccessError says who has access to a job file that may not.
type AccessError struct {
	Path string // the file, or a folder that it is in
	What string
	Mend string // a command of the shell that ends it
}

func (e *AccessError) Error() string { return fmt.Sprintf("read job file: %s %s", e.Path, e.What) }
func (e *AccessError) Unwrap() error { return ErrExposed }

// readable refuses a file with a secret that others may read.
func readable(path, key string, info fs.FileInfo, me int) error {
	uid, _ := owner(info)
	switch {
	case info.Mode().Perm()&0o077 != 0:
		return &AccessError{path, fmt.Sprintf("has a secret (%s), and its mode %04o lets others at it", key, info.Mode().Perm()), "chmod 0600 " + path}
	case uid != 0 && uid != me:
		return &AccessError{path, fmt.Sprintf("has a secret (%s), and belongs to user %d", key, uid), "chown root " + path}
	}
	return nil
}

// writable refuses a file that somebody else may write or replace, by it or by a folder above it, on the way that the path goes and where it leads: what stands in it is run. A user
// other than root is only warned of the whole world.
func writable(path string, info fs.FileInfo, me int) error {
	if err := others(path, info, me); err != nil || me != 0 {
		return err
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("read job file: %w", err)
	}
	for _, way := range []string{path, real} {
		for dir := filepath.Dir(way); ; dir = filepath.Dir(dir) {
			info, err := os.Stat(dir)
			if err != nil {
				return fmt.Errorf("read job file: %w", err)
			}
			if info.Mode()&fs.ModeSticky == 0 || ownedByOther(info) {
				if err := others(dir, info, me); err != nil {
					return err
				}
			}
			if dir == "/" {
				break
			}
		}
	}
	return nil
}

func others(path string, info fs.FileInfo, me int) error {
	uid, gid := owner(info)
	switch perm := info.Mode().Perm(); {
	case perm&0o002 != 0:
		return &AccessError{path, fmt.Sprintf("can be written by everybody: its mode is %04o", perm), "chmod o-w " + path}
	case me != 0:
	case uid != 0:
		return &AccessError{path, fmt.Sprintf("belongs to user %d, who could have root run anything", uid), "chown root " + path}
	case perm&0o020 != 0 && gid != 0:
		return &AccessError{path, fmt.Sprintf("can be written by group %d: its mode is %04o", gid, perm), "chmod g-w " + path}
	}
	return nil
}

func ownedByOther(info fs.FileInfo) bool { uid, _ := owner(info); return uid != 0 }
