package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nightjar/internal/durable"
)

// ErrNoData says that a folder is no data directory.
var ErrNoData = errors.New("it is no data directory: it has no ibdata1")

// Adopt takes a folder that is a data directory already, as a snapshot of a disk has it. Nothing is changed. Who has it may not Fill, Settle or
// Finish it, but Adapt.
func Adopt(dir string) (*Dir, error) {
	d, err := adopt(dir)
	if err != nil {
		return nil, fmt.Errorf("adopt data directory %q: %w", dir, err)
	}
	return d, nil
}

func adopt(dir string) (_ *Dir, err error) {
	d := &Dir{}
	if d.path, err = filepath.EvalSymlinks(dir); err != nil {
		return nil, err
	}
	if d.path, err = filepath.Abs(d.path); err != nil {
		return nil, err
	}
	if d.root, err = os.OpenRoot(d.path); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			d.Close()
		}
	}()
	if info, err := d.root.Lstat("ibdata1"); err != nil || !info.Mode().IsRegular() {
		return nil, ErrNoData
	}
	if err := inUse(d.path); err != nil {
		return nil, err
	}
	if _, err := d.root.Lstat(Mark); err == nil {
		return nil, fmt.Errorf("%w: it has %s", ErrUnfinished, Mark)
	}
	if d.self, err = os.Open(d.path); err != nil {
		return nil, err
	}
	if err := unix.Flock(int(d.self.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, fmt.Errorf("%w: by another restore (%w)", ErrInUse, err)
	}
	return d, nil
}

// Flavor is which server a data directory is of, as far as its files tell.
func (d *Dir) Flavor() (mariadb bool) {
	_, err := d.root.Lstat("aria_log_control")
	return err == nil
}

// setAside begins the names of files that Adapt has put aside.
const setAside = "nightjar-was-"

// replicaFile are files by which a server goes on replicating when it is started.
var replicaFile = regexp.MustCompile(`^(multi-master|master|relay-log|master-.*|relay-log-.*)\.info$`)

// Adapt has a data directory that was adopted stay within itself: lists of logs name those that are in it, files by which a server would go on
// replicating are set aside, and its identity is taken away. What leads elsewhere and cannot be put right is an error that wraps ErrUnsafe. It
// may be called again. The identity is the server's UUID, where auto.cnf had one.
func (d *Dir) Adapt() (f Finished, identity string, err error) {
	if f, identity, err = d.adapt(); err != nil {
		err = fmt.Errorf("adapt data directory %q: %w", d.path, err)
	}
	return f, identity, err
}

var autoUUID = regexp.MustCompile(`(?m)^\s*server[-_]uuid\s*=\s*([0-9A-Fa-f-]{36})\s*$`)

func (d *Dir) adapt() (f Finished, identity string, err error) {
	if err := d.removeLeft(); err != nil {
		return f, "", err
	}
	err = d.walk(func(name string, e fs.DirEntry) error {
		if strings.HasSuffix(name, ".isl") && !e.IsDir() {
			return fmt.Errorf("%w: the file of table %s is outside of the data directory (%s says where)", ErrUnsafe, strings.TrimSuffix(name, ".isl"), name)
		}
		return nil
	})
	if err != nil {
		return f, "", err
	}
	names, err := d.names()
	if err != nil {
		return f, "", err
	}
	if err := d.relink(names, &f); err != nil {
		return f, "", err
	}
	for _, name := range names {
		if uid, gid, ok := ownerOf(d.path); ok && strings.HasSuffix(name, ".index") { // which may have been written anew
			if err := d.give(name, Owner{uid, gid}); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return f, "", err
			}
		}
		if !replicaFile.MatchString(name) {
			continue
		}
		if err := d.root.Rename(name, setAside+name); err != nil {
			return f, "", err
		}
		f.Notes = append(f.Notes, fmt.Sprintf("%s is set aside as %s: the server replicates from nobody until it is told to", name, setAside+name))
	}
	if slices.Contains(names, "auto.cnf") {
		text, err := readText(d.root, "auto.cnf")
		if err != nil {
			return f, "", err
		}
		if found := autoUUID.FindStringSubmatch(text); found != nil {
			identity = strings.ToLower(found[1])
		}
	}
	return f, identity, durable.Sync(d.self)
}

// Forget takes the server's UUID away, which Adapt has read, so that its next start makes another.
func (d *Dir) Forget() error {
	if err := d.root.Remove("auto.cnf"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("take the identity from data directory %q: %w", d.path, err)
	}
	return nil
}

// removeLeft removes sockets and pid files, which the server that was there has left.
func (d *Dir) removeLeft() error {
	sockets, _ := leaves(d.path)
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		base := e.Name()
		if e.Type().IsRegular() && strings.HasSuffix(base, ".pid") || strings.HasSuffix(base, ".sock.lock") || strings.HasSuffix(base, ".lock") && slices.Contains(sockets, strings.TrimSuffix(base, ".lock")) {
			sockets = append(sockets, base)
		}
	}
	for _, name := range sockets {
		if err := d.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Give gives all that is in the folder, and the folder, to an owner. Modes stay.
func (d *Dir) Give(o Owner) error {
	err := d.walk(func(name string, _ fs.DirEntry) error { return d.give(name, o) })
	if err == nil {
		err = d.give(".", o)
	}
	if err != nil {
		return fmt.Errorf("give data directory %q to user %d: %w", d.path, o.UID, err)
	}
	return nil
}

// Open opens a file in the folder to be read.
func (d *Dir) Open(name string) (*os.File, error) { return d.root.Open(name) }

// Text reads a small text file in the folder; no error and no text if it is not there.
func (d *Dir) Text(name string) (string, error) { return readText(d.root, name) }

// Write writes a small file into the folder, whole or not at all.
func (d *Dir) Write(name string, text []byte) error {
	if path.Base(name) != name {
		return fmt.Errorf("write %.100q: it is no name of a file", name)
	}
	return durable.WriteFile(path.Join(d.path, name), text, 0o600)
}
