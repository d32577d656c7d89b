package local

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"nightjar/repo/tree"
)

// Ownership says who is to own what is put back.
type Ownership int

const (
	// ByName is the user and the group of the same name, or of the same id where there is no such name.
	ByName Ownership = iota
	// Numeric is the same ids.
	Numeric
	// None leaves the user alone, and gives what is this process's own the group, as ByName does, where it may: whoever is not root can do no better.
	None
)

// An Applier gives back to entries what Stat and Xattrs told of them. Its methods may be used by several goroutines at once.
//
// They do all that can be done, and return together the errors of what could not. They change nothing that is as it is to be. A set-id bit comes back to a
// regular file only if the owner, or the group, that it stands for did.
type Applier struct {
	Owners      *Owners // for ByName, and for ACLs; nil: by id
	Ownership   Ownership
	Xattrs      bool                   // set the attributes, and remove others; Node.Xattrs has to hold large ones, too
	NumericACLs bool                   // entries of ACLs keep their numbers, and so do the groups of None; else they go by name where there is that name
	Flags       bool                   // set what chattr had set, which mostly takes root
	Times       *Times                 // what differs is only what file systems can keep; nil: all
	Unknown     func(tree.AccountName) // told once of each account in ACLs that is not known here and keeps its number, if not nil

	mu   sync.Mutex
	told map[tree.AccountName]bool

	look   sync.Once
	groups []int // that this process is in
}

// File gives an open file back its owner, attributes, mode and mtime, which is also its access time. It comes after the
// last write, which would change them.
func (a *Applier) File(f *os.File, n *tree.Node) error {
	defer runtime.KeepAlive(f)
	return a.apply(handle{fd: int(f.Fd())}, f.Name(), n)
}

// Dir is File and Protect for a directory, and takes back Begin when all else is done. It comes after the last entry was made.
func (a *Applier) Dir(d *Dir, n *tree.Node) error {
	if n.Mode&0o200 == 0 { // later only root could
		if err := d.finish(); err != nil {
			return err
		}
	}
	h := handle{fd: d.fd}
	return errors.Join(a.apply(h, "directory", n), d.finish(), a.protect(h, "directory", n))
}

// Entry is File for an entry that is not opened for that: a symbolic link, a device, a FIFO, a socket.
func (a *Applier) Entry(d *Dir, name string, n *tree.Node) error {
	h, err := d.hold(name)
	if err != nil {
		return fmt.Errorf("open %s: %w", name, err)
	}
	defer h.close()
	return a.apply(h, name, n)
}

func (a *Applier) apply(h handle, name string, n *tree.Node) error {
	st, err := stat(h, name, n)
	if err != nil {
		return err
	}
	var errs []error
	note := func(what string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("set %s of %s: %w", what, name, err))
		}
	}
	// To change the owner clears set-id bits and capabilities; who is not root can set no attribute once the file is read-only.
	mode, changed, err := a.setOwner(h, st, n)
	note("owner", err)
	if a.Xattrs {
		want, err := a.wanted(n)
		if err == nil {
			var set bool
			set, err = h.setXattrs(name, want)
			if errors.Is(err, unix.EACCES) && !n.IsSymlink() && h.chmod(mode|0o200) == nil {
				set, err = h.setXattrs(name, want)
				changed = true
			}
			changed = changed || set
		}
		if err != nil {
			errs = append(errs, err)
			mode = h.modeWithoutACL(n, mode)
		}
	}
	if timeOf(st) != n.Mtime {
		note("time", h.setTime(n.Mtime))
	}
	// The mode comes last: a directory that is open to others is done.
	if !n.IsSymlink() && (changed || mode != st.Mode&^tree.TypeMask) {
		note("mode", h.chmod(mode))
	}
	return errors.Join(errs...)
}

// stat looks at what is to have the attributes of n.
func stat(h handle, name string, n *tree.Node) (*unix.Stat_t, error) {
	var st unix.Stat_t
	if err := fstat(h.fd, &st); err != nil {
		return nil, fmt.Errorf("stat %s: %w", name, err)
	}
	if st.Mode&tree.TypeMask != n.Type() {
		return nil, fmt.Errorf("restore attributes of %s: it is of another type", name)
	}
	return &st, nil
}

// wanted returns the attributes that an entry is to have here.
func (a *Applier) wanted(n *tree.Node) ([]tree.Xattr, error) {
	if n.XattrContents != nil && len(n.Xattrs) == 0 {
		return nil, fmt.Errorf("set attributes of %s: not loaded", n.Name)
	}
	if len(n.Xattrs) == 0 {
		return nil, nil
	}
	var names []tree.AccountName
	if at, found := findXattr(n.Xattrs, tree.ACLNames); found && a.Owners != nil && !a.NumericACLs {
		var err error
		if names, err = tree.DecodeACLNames(n.Xattrs[at].Value); err != nil {
			return nil, fmt.Errorf("set attributes of %s: %w", n.Name, err)
		}
	}
	want := make([]tree.Xattr, 0, len(n.Xattrs))
	for _, x := range n.Xattrs {
		if passedOver(x.Name) || x.Name == unfinished {
			continue
		}
		if isACL(x.Name) {
			x.Value = a.localACL(x.Value, names)
		}
		want = append(want, x)
	}
	return want, nil
}

// noID is what chown takes for "leave it".
const noID = 1<<32 - 1

// owner returns whose an entry is to be.
func (a *Applier) owner(n *tree.Node) (uid, gid uint32) {
	if a.Ownership == Numeric || a.Ownership == None && a.NumericACLs {
		return n.Owner.UID, n.Owner.GID
	}
	return a.Owners.ids(n.Owner)
}

// setOwner returns the mode that goes with the owner that it achieved, and whether it changed anything.
func (a *Applier) setOwner(h handle, st *unix.Stat_t, n *tree.Node) (mode uint32, changed bool, err error) {
	uid, gid := a.owner(n)
	sameUser, sameGroup := uid == st.Uid, gid == st.Gid
	if a.Ownership == None && !sameGroup && a.mayGive(st, gid) {
		err = h.chown(noID, gid)
		if changed = err == nil; err == unix.EPERM { // a file system that knows no owners
			err = nil
		}
		return modeWith(n, sameUser, changed), changed, err
	}
	if !(sameUser && sameGroup) && a.Ownership != None {
		if uid == noID || gid == noID {
			err = fmt.Errorf("%d:%d: %w", uid, gid, unix.EINVAL)
		} else {
			err = h.chown(uid, gid)
		}
		if err == nil {
			return n.Mode &^ tree.TypeMask, true, nil
		}
	}
	return modeWith(n, sameUser, sameGroup), false, err
}

// mayGive reports whether this process may give an entry of its own to a group: one that it is in.
func (a *Applier) mayGive(st *unix.Stat_t, gid uint32) bool {
	a.look.Do(func() {
		a.groups, _ = os.Getgroups()
		a.groups = append(a.groups, os.Getegid())
	})
	return int(st.Uid) == os.Geteuid() && slices.Contains(a.groups, int(gid))
}

// modeWith returns the mode of an entry whose owner is, or is not, as it was.
func modeWith(n *tree.Node, sameUser, sameGroup bool) uint32 {
	mode := n.Mode &^ tree.TypeMask
	if n.IsRegular() && !sameUser {
		mode &^= unix.S_ISUID
	}
	if n.IsRegular() && !sameGroup {
		mode &^= unix.S_ISGID
	}
	return mode
}
