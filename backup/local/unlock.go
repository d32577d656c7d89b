package local

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"nightjar/repo/tree"
)

// A Locked is a directory whose mode kept its owner out, and that is open to the owner until Lock.
type Locked struct {
	dir  *Dir
	mode uint32
}

// Unlock lets the owner read the directory and put entries into it, if its mode does not: until Lock or Applier.Dir. It returns nil if nothing was changed.
func (d *Dir) Unlock() (*Locked, error) {
	if err := retry(func() error { return unix.Faccessat(d.fd, ".", unix.R_OK|unix.W_OK|unix.X_OK, unix.AT_EACCESS) }); err != unix.EACCES {
		return nil, nil
	}
	mode, err := handle{fd: d.fd}.unlock()
	if err != nil {
		return nil, err
	}
	return d.locked(mode)
}

// OpenLocked is OpenDir and Unlock for a directory that only opens after that.
func OpenLocked(path string, owners *Owners) (*Dir, *Locked, error) {
	return openLocked(unix.AT_FDCWD, path, 0, owners)
}

// SubLocked is Sub and Unlock for a directory in d that only opens after that.
func (d *Dir) SubLocked(name string) (*Dir, *Locked, error) {
	if err := checkName(name); err != nil {
		return nil, nil, err
	}
	return openLocked(d.fd, name, unix.O_NOFOLLOW, d.owners)
}

func openLocked(at int, name string, flags int, owners *Owners) (*Dir, *Locked, error) {
	fd, err := openat(at, name, unix.O_PATH|unix.O_DIRECTORY|flags, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open directory %s: %w", name, err)
	}
	h := handle{fd, "/proc/self/fd/" + strconv.Itoa(fd)}
	defer h.close()
	mode, err := h.unlock()
	if err != nil {
		return nil, nil, fmt.Errorf("open directory %s: %w", name, err)
	}
	opened, err := openQuietly(unix.AT_FDCWD, h.path, openDir)
	if err != nil {
		_ = h.chmod(mode)
		return nil, nil, fmt.Errorf("open directory %s: %w", name, err)
	}
	d := newDir(opened, owners)
	locked, err := d.locked(mode)
	if err != nil {
		_ = h.chmod(mode)
		_ = d.Close() // it was only read from
	}
	return d, locked, err
}

// unlock lets the owner into a directory, and returns the mode that it had.
func (h handle) unlock() (uint32, error) {
	var st unix.Stat_t
	err := fstat(h.fd, &st)
	mode := st.Mode &^ tree.TypeMask
	if err == nil {
		err = h.chmod(mode | 0o700)
	}
	if err != nil {
		return 0, fmt.Errorf("open directory to its owner: %w", err)
	}
	return mode, nil
}

func (d *Dir) locked(mode uint32) (*Locked, error) {
	dup, err := d.Dup()
	if err != nil {
		return nil, err
	}
	return &Locked{dup, mode}, nil
}

// Lock gives the directory the mode that it had.
func (l *Locked) Lock() error {
	defer l.Forget()
	if err := (handle{fd: l.dir.fd}).chmod(l.mode); err != nil {
		return fmt.Errorf("give directory its mode again: %w", err)
	}
	return nil
}

// Forget leaves the mode as it is. Nothing may follow.
func (l *Locked) Forget() { _ = l.dir.Close() }
