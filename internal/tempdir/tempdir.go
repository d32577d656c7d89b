// Package tempdir is the one way to scratch space: whatever nightjar, or a
// program that it starts, writes for its own use goes into the one folder that
// was configured.
//
// The invariant: nothing here, and nothing that is started with Environ, falls
// back to another folder. The package does not read the environment, does not
// choose the folder, and does not limit how much is written.
package tempdir

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"nightjar/internal/where"
)

// Dir is a folder for scratch files. The zero Dir refuses to make any.
type Dir struct{ path string }

// New returns the Dir at path, which must be a folder in which files can be
// made: New makes one to see.
func New(path string) (Dir, error) {
	if path == "" {
		return Dir{}, errors.New("open temp directory: no path given")
	}
	abs, err := where.Absolute(path)
	if err != nil {
		return Dir{}, fmt.Errorf("open temp directory %s: %w", path, err)
	}
	info, err := os.Stat(abs)
	if err != nil {
		return Dir{}, fmt.Errorf("open temp directory: %w", err)
	}
	if !info.IsDir() {
		return Dir{}, fmt.Errorf("open temp directory %s: %w", abs, unix.ENOTDIR)
	}
	d := Dir{path: abs}
	f, err := d.Create("probe")
	if err != nil {
		return Dir{}, fmt.Errorf("open temp directory: %w", err)
	}
	return d, f.Close()
}

// Path returns the folder's absolute path, "" for the zero Dir.
func (d Dir) Path() string { return d.path }

// Create makes a file for reading and writing that has no name any more and is
// gone when it is closed, or when the process dies. pattern is as for
// os.CreateTemp, and shows in the file's Name only.
func (d Dir) Create(pattern string) (*os.File, error) {
	if err := d.check(pattern); err != nil {
		return nil, err
	}
	fd, err := unix.Open(d.path, unix.O_TMPFILE|unix.O_RDWR|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
	for err == unix.EINTR {
		fd, err = unix.Open(d.path, unix.O_TMPFILE|unix.O_RDWR|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
	}
	switch err {
	case nil:
		return os.NewFile(uintptr(fd), filepath.Join(d.path, pattern)), nil
	case unix.EOPNOTSUPP, unix.EISDIR, unix.EINVAL:
		return d.createUnlinked(pattern)
	}
	return nil, fmt.Errorf("create scratch file in %s: %w", d.path, err)
}

// createUnlinked serves on file systems without O_TMPFILE, such as NFS.
func (d Dir) createUnlinked(pattern string) (*os.File, error) {
	f, err := os.CreateTemp(d.path, pattern)
	if err != nil {
		return nil, fmt.Errorf("create scratch file: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, fmt.Errorf("create scratch file: %w", err)
	}
	return f, nil
}

// MkdirTemp makes a new folder (mode 0700), for programs that want names, and
// returns its path and a function that removes it with all that is in it.
// pattern is as for os.MkdirTemp.
func (d Dir) MkdirTemp(pattern string) (path string, cleanup func() error, err error) {
	if err := d.check(pattern); err != nil {
		return "", nil, err
	}
	path, err = os.MkdirTemp(d.path, pattern)
	if err != nil {
		return "", nil, fmt.Errorf("create scratch folder: %w", err)
	}
	return path, func() error {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("remove scratch folder: %w", err)
		}
		return nil
	}, nil
}

func (d Dir) check(pattern string) error {
	if d.path == "" {
		return errors.New("create scratch file: no temp directory is set")
	}
	if strings.ContainsRune(pattern, filepath.Separator) {
		return fmt.Errorf("create scratch file: pattern %q: %w", pattern, fs.ErrInvalid)
	}
	return nil
}

// Environ returns base, an environment for a program that we start, with
// TMPDIR, TMP and TEMP set to the folder and to nothing else; the zero Dir sets
// them to /dev/null, below which nothing can be made.
func (d Dir) Environ(base []string) []string {
	path := cmp.Or(d.path, "/dev/null")
	env := make([]string, 0, len(base)+3)
	for _, kv := range base {
		switch key, _, _ := strings.Cut(kv, "="); key {
		case "TMPDIR", "TMP", "TEMP":
		default:
			env = append(env, kv)
		}
	}
	return append(env, "TMPDIR="+path, "TMP="+path, "TEMP="+path)
}
