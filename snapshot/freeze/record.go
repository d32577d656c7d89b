package freeze

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nightjar/snapshot/host"
)

const (
	recordPrefix = "frozen-"
	maxRecord    = 4 << 20
)

// A record says what a watchdog holds. It has the file locked for as long as it lives.
type record struct {
	path string
	file *os.File
}

type recorded struct {
	Boot    string // of which boot of the machine it is: nothing stays frozen after that
	Targets []target
}

// bootID returns the kernel's name for this boot.
func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("find out which boot this is: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

func newRecord(path string, targets []target) (*record, error) {
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(recorded{Boot: boot, Targets: targets})
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("record what is frozen: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		_, err = f.Write(b)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("record what is frozen: %w", errors.Join(err, os.Remove(path)))
	}
	return &record{path, f}, nil
}

func (r *record) remove() error {
	defer r.file.Close()
	return removeRecord(r.path)
}

func removeRecord(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the record of what was frozen: %w", err)
	}
	return nil
}

// Thawed says what became of a file system that somebody wants thawed.
type Thawed struct {
	Path  string
	Was   bool  // it was frozen, and is not any more
	Holds bool  // it is left as it is: a watchdog lives that will thaw it by itself
	Err   error // why it may still be frozen
}

// Left thaws what records in a directory name, unless their watchdogs live. Nothing is an error of Left itself but what keeps it from reading the directory.
func Left(directory string, m host.Machine) ([]Thawed, error) {
	entries, err := os.ReadDir(directory)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for what is frozen: %w", err)
	}
	var all []Thawed
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), recordPrefix) && e.Type().IsRegular() {
			all = append(all, thawRecord(filepath.Join(directory, e.Name()), m)...)
		}
	}
	return all, nil
}

// thawRecord thaws what one record names, and removes it once nothing of it is frozen.
func thawRecord(path string, m host.Machine) []Thawed {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) { // whoever made it has removed it
		return nil
	}
	failed := func(err error) []Thawed {
		return []Thawed{{Path: path, Err: fmt.Errorf("read the record %q: %w", path, err)}}
	}
	if err != nil {
		return failed(err)
	}
	defer f.Close()
	holds := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == unix.EWOULDBLOCK
	r, err := readRecord(f)
	if err != nil {
		return failed(err)
	}
	boot, err := bootID()
	if err != nil {
		return failed(err)
	}
	var all []Thawed
	whole := true
	for _, t := range slices.Backward(r.Targets) {
		switch {
		case holds:
			all = append(all, Thawed{Path: t.Path, Holds: true})
		case r.Boot == boot:
			one := t.thaw(m)
			whole = whole && one.Err == nil
			all = append(all, one)
		}
	}
	if whole && !holds {
		if err := removeRecord(path); err != nil {
			all = append(all, Thawed{Path: path, Err: err})
		}
	}
	return all
}

func readRecord(r io.Reader) (out recorded, err error) {
	b, err := io.ReadAll(io.LimitReader(r, maxRecord+1))
	switch {
	case err != nil:
		return out, err
	case len(b) > maxRecord:
		return out, fmt.Errorf("it has more than %d bytes", maxRecord)
	case json.Unmarshal(b, &out) != nil || len(out.Targets) > maxTargets:
		return recorded{}, errors.New("it is no record of what is frozen")
	}
	return out, nil
}

// thaw thaws a file system wherever it is mounted. One that is mounted nowhere is not frozen for anybody.
func (t target) thaw(m host.Machine) Thawed {
	f, err := t.open()
	if err != nil {
		mounts, failed := m.Mounts()
		if failed != nil {
			return Thawed{Path: t.Path, Err: failed}
		}
		if !slices.ContainsFunc(mounts, func(m host.Mount) bool { return m.Number == t.Number }) {
			return Thawed{Path: t.Path}
		}
		path, failed := visible(mounts, t.Number)
		if failed != nil {
			return Thawed{Path: t.Path, Err: failed}
		}
		if f, err = (target{Path: path, Number: t.Number}).open(); err != nil {
			return Thawed{Path: t.Path, Err: err}
		}
	}
	defer f.Close()
	was, err := thaw(f)
	return Thawed{Path: t.Path, Was: was, Err: err}
}

// ThawPath thaws the file system that a path leads to, whoever has frozen it.
func ThawPath(path string) Thawed {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return Thawed{Path: path, Err: fmt.Errorf("open %q: %w", path, err)}
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	was, err := thaw(f)
	if err != nil {
		err = fmt.Errorf("thaw %q: %w", path, err)
	}
	return Thawed{Path: path, Was: was, Err: err}
}
