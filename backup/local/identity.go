package local

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"nightjar/repo/tree"
)

// A FileID tells one entry of this machine from all others that there are, by whatever name.
type FileID struct{ Device, Inode uint64 }

// IDOf returns the FileID of an entry that Stat has filled in.
func IDOf(n *tree.Node) FileID { return FileID{n.Device, n.Inode} }

// IDOfFile returns that of an open file.
func IDOfFile(f *os.File) (FileID, error) {
	defer runtime.KeepAlive(f)
	id, err := handle{fd: int(f.Fd())}.id()
	if err != nil {
		return id, fmt.Errorf("stat %s: %w", f.Name(), err)
	}
	return id, nil
}

// ID returns that of the directory itself.
func (d *Dir) ID() (FileID, error) { return handle{fd: d.fd}.id() }

func (h handle) id() (FileID, error) {
	var st unix.Stat_t
	err := fstat(h.fd, &st)
	return FileID{uint64(st.Dev), st.Ino}, err
}

// ErrOther says that an entry is not the one that was meant.
var ErrOther = errors.New("something else has taken its place")

// Link makes name another name of an entry in old; of a symbolic link itself if it is one. If that entry is not the one that was meant: ErrOther.
func (d *Dir) Link(old *Dir, oldName string, meant FileID, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	h, err := old.hold(oldName)
	if err != nil {
		return fmt.Errorf("link to %s: %w", oldName, err)
	}
	defer h.close()
	id, err := h.id()
	if err == nil && id != meant {
		err = ErrOther
	}
	if err != nil {
		return fmt.Errorf("link to %s: %w", oldName, err)
	}
	return d.do("link", name, func() error {
		return h.do(func() error { return unix.Linkat(unix.AT_FDCWD, h.path, d.fd, name, unix.AT_SYMLINK_FOLLOW) })
	})
}

// Amend gives an entry that was there before, and that is no directory, what File would. It has to be the one that was meant, and to have no other name: whoever
// has that would have his file changed. Else: ErrOther.
func (a *Applier) Amend(d *Dir, name string, meant FileID, n *tree.Node) error {
	h, err := d.hold(name)
	if err != nil {
		return fmt.Errorf("open %s: %w", name, err)
	}
	defer h.close()
	var st unix.Stat_t
	if err := fstat(h.fd, &st); err != nil {
		return fmt.Errorf("stat %s: %w", name, err)
	}
	if (FileID{uint64(st.Dev), st.Ino}) != meant || st.Nlink > 1 {
		return fmt.Errorf("change %s: %w", name, ErrOther)
	}
	return a.apply(h, name, n)
}

// Unprotected reports whether an entry lacks what Protect would set.
func (a *Applier) Unprotected(d *Dir, name string, n *tree.Node) bool {
	if !a.HasFlags(n) {
		return false
	}
	h, err := d.hold(name)
	if err != nil {
		return false
	}
	defer h.close()
	return a.lacks(h, n) != 0
}

// Differs compares an entry with what File, Dir or Entry would make of it, and returns what is not so.
func (a *Applier) Differs(d *Dir, name string, n *tree.Node) ([]string, error) {
	h, err := d.hold(name)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	defer h.close()
	return a.differs(d, h, name, n)
}

// SelfDiffers is Differs for the directory itself, and for what Protect sets.
func (a *Applier) SelfDiffers(d *Dir, n *tree.Node) ([]string, error) {
	h := handle{fd: d.fd}
	what, err := a.differs(d, h, "directory", n)
	if err == nil && a.lacks(h, n) != 0 {
		what = append(what, "flags of chattr")
	}
	return what, err
}

func (a *Applier) differs(d *Dir, h handle, name string, n *tree.Node) (what []string, err error) {
	st, err := stat(h, name, n)
	if err != nil {
		return nil, err
	}
	uid, gid := a.owner(n)
	sameUser, sameGroup := uid == st.Uid, gid == st.Gid
	switch {
	case a.Ownership != None && !(sameUser && sameGroup):
		what = append(what, "owner")
	case a.Ownership == None && !sameGroup && a.mayGive(st, gid):
		what = append(what, "group")
	}
	if !n.IsSymlink() && st.Mode&^tree.TypeMask != modeWith(n, sameUser, sameGroup) {
		what = append(what, "mode")
	}
	if !a.Times.Same(d, timeOf(st), n.Mtime) {
		what = append(what, "time")
	}
	if !a.Xattrs {
		return what, nil
	}
	want, err := a.wanted(n)
	if err != nil {
		return nil, err
	}
	have, err := h.xattrNames()
	if err != nil {
		return nil, fmt.Errorf("list attributes of %s: %w", name, err)
	}
	for _, x := range have {
		if _, wanted := findXattr(want, x); !wanted && isOurs(x) {
			what = append(what, "attribute "+x)
		}
	}
	for i := range want {
		if x := &want[i]; !h.has(have, x) && !h.isSecret(x.Name) {
			what = append(what, "attribute "+want[i].Name)
		}
	}
	return what, nil
}

// isSecret reports whether an attribute cannot be looked at: who is not root reads none of a file that he may not read, though he can set them.
func (h handle) isSecret(name string) bool {
	_, err := h.xattr(name)
	return err == unix.EACCES
}

// AppendOnly reports whether the directory only takes new entries, and keeps those that it has as they are.
func (d *Dir) AppendOnly() bool {
	st, err := handle{fd: d.fd}.statx(0)
	return err == nil && st.Attributes&(unix.STATX_ATTR_APPEND|unix.STATX_ATTR_IMMUTABLE) != 0
}

// unfinished is the attribute of a directory that a restore has made and not yet left. Who finishes it takes that away.
const unfinished = "user.nightjar.unfinished"

// Begin notes that the directory was made and does not yet have the attributes that it is to have, as long as that is so: until Applier.Dir. Not every file system can keep that.
func (d *Dir) Begin() { _ = handle{fd: d.fd}.setXattr(unfinished, []byte{1}) }

// MkdirBegun makes the directory at a path, for its owner only, and says Begin of it before anything else.
func MkdirBegun(path string) error {
	err := os.Mkdir(path, 0o700)
	if err == nil {
		_ = unix.Lsetxattr(path, unfinished, []byte{1}, 0)
	}
	return err
}

// finish takes back Begin.
func (d *Dir) finish() error {
	h := handle{fd: d.fd}
	if _, err := h.xattr(unfinished); err != nil {
		return nil
	}
	if err := h.removeXattr(unfinished); err != nil && err != unix.ENODATA {
		return fmt.Errorf("remove attribute %s of directory: %w", unfinished, err)
	}
	return nil
}

// Begun reports whether Begin was said of the directory and nobody has finished it. Nobody else can have said so: it is this user's, and closed to others.
func (d *Dir) Begun() bool {
	h := handle{fd: d.fd}
	var st unix.Stat_t
	if err := fstat(d.fd, &st); err != nil || int(st.Uid) != os.Geteuid() || st.Mode&0o077 != 0 {
		return false
	}
	_, err := h.xattr(unfinished)
	return err == nil
}
