// Package datadir makes a server's data directory of the files of a hot backup.
//
// Claim takes an empty folder, somebody else puts the files of the backup into it, Settle takes out what is not of the backup, Prepare
// has the tool that took the backup apply its log, and Finish gives the files to the server's user. A mark in the folder says that it is
// ours and not finished: who is killed goes on with the same archive, or begins anew. Start runs a private server on a data directory.
//
// The invariant: a folder that a server uses, or that holds anything that is not ours, is left as it is. What is finished opens no file
// outside of it: links, and paths in the files that servers read, lead nowhere else, or are refused. The position of the backup is read
// from the backup, and compared with what the archive says, before the tool changes anything.
//
// The package fetches nothing, writes no option file, and starts no server for good.
package datadir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nightjar/internal/durable"
)

var (
	// ErrNotEmpty says that something is in the folder that is not ours.
	ErrNotEmpty = errors.New("it is not empty")
	// ErrInUse says that a server, or another restore, is at it.
	ErrInUse = errors.New("it is in use")
	// ErrUnfinished says that another archive was being restored into the folder.
	ErrUnfinished = errors.New("the restore of another archive into it is not finished")
	// ErrUnsafe says that the backup has something that would lead a server out of its data directory.
	ErrUnsafe = errors.New("a server on it would open files that are elsewhere")
)

// Mark is the file that says that a data directory is not finished.
const Mark = ".nightjar-unfinished"

// leftover begins the names of files that a restore has not finished.
const leftover = ".nightjar-"

// A Stage is how far a data directory has come.
type Stage string

// The stages, in their order.
const (
	Filling   Stage = "filling"   // files are being put into it
	Preparing Stage = "preparing" // the tool changes them
	Prepared  Stage = "prepared"  // they are as the server needs them
)

// A Dir is a data directory that is claimed. It is for one goroutine.
type Dir struct {
	path string
	root *os.Root
	self *os.File // holds the lock
	mark mark
	made bool
}

// mark is what the file Mark has.
type mark struct {
	Archive string `json:"archive"`
	Stage   Stage  `json:"stage"`
	Boot    string `json:"boot"` // of the machine: what was written before it crashed may not be there
}

// Claim takes a folder for an archive's files: one that is not there, is empty, or was left by an earlier try with the same archive. Of a
// try before the machine was started anew nothing is kept.
func Claim(path, archive string) (*Dir, error) {
	d, err := claim(path, archive)
	if err != nil {
		return nil, fmt.Errorf("claim data directory %q: %w", path, err)
	}
	return d, nil
}

func claim(path, archive string) (_ *Dir, err error) {
	d := &Dir{}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		d.made = true
		if err := durable.MkdirAll(path, 0o700); err != nil {
			return nil, err
		}
	}
	if d.path, err = filepath.EvalSymlinks(path); err != nil {
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
	if err := inUse(d.path); err != nil {
		return nil, err
	}
	if d.self, err = os.Open(d.path); err != nil {
		return nil, err
	}
	if err := unix.Flock(int(d.self.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, fmt.Errorf("%w: by another restore (%w)", ErrInUse, err)
	}
	names, err := d.names()
	if err != nil {
		return nil, err
	}
	if !slices.Contains(names, Mark) {
		if len(names) > 0 {
			return nil, fmt.Errorf("%w: it has %q", ErrNotEmpty, names[0])
		}
		return d, d.begin(archive)
	}
	return d, d.resume(archive)
}

func (d *Dir) begin(archive string) error {
	d.mark = mark{Archive: archive, Boot: boot()}
	return d.enter(Filling)
}

// resume goes on where an earlier try stopped.
func (d *Dir) resume(archive string) error {
	text, err := d.root.ReadFile(Mark)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &d.mark); err != nil {
		return fmt.Errorf("read %s: %w", Mark, err)
	}
	switch {
	case d.mark.Archive != archive:
		return fmt.Errorf("%w: %.16s", ErrUnfinished, d.mark.Archive)
	case d.mark.Boot == boot() && d.mark.Boot != "":
		return nil
	}
	names, err := d.names()
	if err != nil {
		return err
	}
	for _, name := range names {
		if name != Mark {
			if err := d.root.RemoveAll(name); err != nil {
				return err
			}
		}
	}
	return d.begin(archive)
}

func boot() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // without it nothing of an earlier try is kept
	return strings.TrimSpace(string(id))
}

// names are what is in the folder, but for lost+found.
func (d *Dir) names() ([]string, error) {
	f, err := d.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return slices.DeleteFunc(names, func(name string) bool { return name == "lost+found" }), err
}

// enter notes a stage.
func (d *Dir) enter(s Stage) error {
	d.mark.Stage = s
	text, err := json.Marshal(d.mark)
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(d.path, Mark), append(text, '\n'), 0o600)
}

// Path is the folder's absolute path, without links.
func (d *Dir) Path() string { return d.path }

// Stage is how far it has come. Who finds it Prepared calls Finish next.
func (d *Dir) Stage() Stage { return d.mark.Stage }

// Close lets go of the folder, and leaves it as it is.
func (d *Dir) Close() {
	if d.self != nil {
		d.self.Close()
	}
	d.root.Close()
}

// Fill notes that files are put into the folder from now on.
func (d *Dir) Fill() error { return d.enter(Filling) }

// Settle removes what is not of the backup, such as what a tool made that was killed. Of reports whether a file is: a path in the folder,
// with slashes. What is neither file nor folder is an error that wraps ErrUnsafe.
func (d *Dir) Settle(of func(name string) bool) error {
	err := d.walk(func(name string, e fs.DirEntry) error {
		switch {
		case e.IsDir() || name == Mark || of(name):
			return nil
		}
		return d.root.Remove(name)
	})
	if err != nil {
		return fmt.Errorf("settle data directory %q: %w", d.path, err)
	}
	return nil
}

// walk calls f with all that is in the folder but lost+found, folders before what is in them.
func (d *Dir) walk(f func(name string, e fs.DirEntry) error) error {
	return fs.WalkDir(d.root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name == ".":
			return nil
		case name == "lost+found":
			return fs.SkipDir
		case !e.IsDir() && !e.Type().IsRegular():
			return fmt.Errorf("%w: %q is neither file nor folder", ErrUnsafe, name)
		}
		return f(name, e)
	})
}
