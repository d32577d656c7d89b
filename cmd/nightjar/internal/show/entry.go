package show

import (
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"time"

	"nightjar/internal/human"
	"nightjar/internal/quote"
	"nightjar/repo/tree"
)

// Long prints an entry as ls -l does.
func Long(w io.Writer, path string, n *tree.Node) error {
	user := cmp.Or(quote.Display(n.Owner.User), strconv.FormatUint(uint64(n.Owner.UID), 10))
	group := cmp.Or(quote.Display(n.Owner.Group), strconv.FormatUint(uint64(n.Owner.GID), 10))
	bytes := strconv.FormatUint(n.Size, 10)
	if n.IsDevice() {
		bytes = fmt.Sprintf("%d,%d", n.Major, n.Minor)
	}
	name := quote.Display(path)
	if n.IsSymlink() {
		name += " -> " + quote.Display(n.Target)
	}
	if set := n.Chattr(); set != "" {
		name += " (chattr +" + set + ")"
	}
	_, err := fmt.Fprintf(w, "%s %-8s %-8s %12s %s %s\n", modeText(n.Mode), user, group, bytes, human.Time(n.Mtime.Time()), name)
	return err
}

// modeText writes a mode as ls does.
func modeText(mode uint32) string {
	kinds := map[uint32]byte{
		tree.Regular: '-', tree.Directory: 'd', tree.Symlink: 'l', tree.FIFO: 'p', tree.Socket: 's', tree.CharDevice: 'c', tree.BlockDevice: 'b',
	}
	text := []byte(fs.FileMode(mode & 0o777).String())
	text[0] = cmp.Or(kinds[mode&tree.TypeMask], '?')
	for _, special := range []struct {
		bit        uint32
		at         int
		with, bare byte
	}{{0o4000, 3, 's', 'S'}, {0o2000, 6, 's', 'S'}, {0o1000, 9, 't', 'T'}} {
		if mode&special.bit != 0 {
			if text[special.at] == 'x' {
				text[special.at] = special.with
			} else {
				text[special.at] = special.bare
			}
		}
	}
	return string(text)
}

// EntryJSON is what --json tells of an entry of an archive.
type EntryJSON struct {
	Path   string    `json:"path"`
	Type   string    `json:"type"`
	Mode   string    `json:"mode"`
	UID    uint32    `json:"uid"`
	GID    uint32    `json:"gid"`
	User   string    `json:"user,omitempty"`
	Group  string    `json:"group,omitempty"`
	Size   uint64    `json:"size"`
	Mtime  time.Time `json:"mtime"`
	Target string    `json:"target,omitempty"`
	Links  uint64    `json:"links"`
	Inode  uint64    `json:"inode"`
	Major  uint32    `json:"major,omitempty"`
	Minor  uint32    `json:"minor,omitempty"`

	Birth  *time.Time `json:"birth,omitempty"`  // when it was made, if that is known and not among attributes of more than a few kilobytes
	Chattr string     `json:"chattr,omitempty"` // the letters of what chattr had set, likewise

	Notes map[string]string `json:"notes,omitempty"` // of the program that wrote it, but for those of more than a few kilobytes
}

// Entry returns what --json tells of an entry.
func Entry(path string, n *tree.Node) EntryJSON {
	var notes map[string]string
	for name, value := range n.Notes() {
		if notes == nil {
			notes = map[string]string{}
		}
		notes[quote.Text(name)] = quote.Text(value)
	}
	types := map[uint32]string{
		tree.Regular: "file", tree.Directory: "dir", tree.Symlink: "symlink", tree.FIFO: "fifo", tree.Socket: "socket",
		tree.CharDevice: "chardev", tree.BlockDevice: "blockdev",
	}
	var birth *time.Time
	if t, ok := n.Birth(); ok {
		at := jsonTime(t)
		birth = &at
	}
	return EntryJSON{
		Path: quote.Text(path), Type: types[n.Type()], Mode: fmt.Sprintf("%04o", n.Mode&0o7777), UID: n.Owner.UID, GID: n.Owner.GID,
		User: quote.Text(n.Owner.User), Group: quote.Text(n.Owner.Group), Size: n.Size, Mtime: jsonTime(n.Mtime), Target: quote.Text(n.Target),
		Links: n.Links, Inode: n.Inode, Major: n.Major, Minor: n.Minor, Birth: birth, Chattr: n.Chattr(), Notes: notes,
	}
}

// jsonTime keeps to the years that JSON's times can have; file systems know others.
func jsonTime(t tree.Time) time.Time {
	first, last := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	switch at := t.Time(); {
	case at.Before(first):
		return first
	case at.After(last):
		return last
	default:
		return at
	}
}
