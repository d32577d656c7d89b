package scan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"nightjar/backup/local"
	"nightjar/chunk"
	"nightjar/repo/tree"
)

// A scanner is a walk.
type scanner struct {
	ctx      context.Context
	o        *Options
	avoid    map[fileID]bool
	counts   Counts
	out      func(*Batch) error
	current  *Batch
	stack    *local.Stack
	device   uint64      // that the walk stays on, with OneFileSystem
	here     uint64      // the device of the directory on top of the stack
	called   []string    // other names of the directory on top of the stack, by which it was asked for
	inodes   *inodeTable // of the predecessor, once something was moved
	counting bool        // only to know how much there is
	lastDir  *local.Dir  // Dup of stack.Top, in the current batch
	lastDirs int         // depth and serial of what lastDir is of
	serial   int
}

type fileID struct{ device, inode uint64 }

// scan walks from the root.
func (s *scanner) scan(sel *Selection, owners *local.Owners) error {
	root, err := local.OpenDir("/", owners)
	if err != nil {
		return fmt.Errorf("open /: %w", err)
	}
	defer root.Close()
	s.avoid = identify(s.o.Avoid)
	s.stack = local.NewStack(root)
	defer s.stack.Close()
	s.current = newBatch()
	defer func() { s.current.Close() }()
	n := &tree.Node{}
	if err := root.StatSelf(n); err != nil {
		return fmt.Errorf("read /: %w", err)
	}
	n.Name, s.device, s.here = "root", n.Device, n.Device
	var previous *tree.Node
	if s.o.Previous != nil {
		previous = s.o.Previous.Root
	}
	if err := s.attributes(root.XattrsSelf, "/", n, previous); err != nil {
		return err
	}
	if err := s.directory("", n, sel, previous, nil); err != nil {
		return err
	}
	return s.send()
}

// send passes the current batch on.
func (s *scanner) send() error {
	b := s.current
	s.current, s.lastDir = newBatch(), nil
	if len(b.Reads) == 0 {
		close(b.Done)
	}
	return s.out(b)
}

func (s *scanner) emit(e Event, read int64) error {
	if read >= 0 && !s.counting {
		dir, err := s.handle()
		if err != nil {
			return err
		}
		e.Dir = dir
		s.current.Reads = append(s.current.Reads, len(s.current.Events))
		s.current.bytes += read
	}
	s.current.Events = append(s.current.Events, e)
	if s.current.bytes >= batchBytes || len(s.current.Events) >= batchEvents || len(s.current.dirs) >= batchDirs {
		return s.send()
	}
	return nil
}

// handle returns the current directory for a worker, which may come when the walk is elsewhere.
func (s *scanner) handle() (*local.Dir, error) {
	if s.lastDir != nil && s.lastDirs == s.serial {
		return s.lastDir, nil
	}
	d, err := s.stack.Top().Dup()
	if err != nil {
		return nil, err
	}
	s.lastDir, s.lastDirs = d, s.serial
	s.current.dirs = append(s.current.dirs, d)
	return d, nil
}

// directory walks the directory on top of the stack, beside what it was. like is what it resembles, if it was not there before.
func (s *scanner) directory(path string, n *tree.Node, sel *Selection, previous, like *tree.Node) error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	s.serial++
	old := s.former(path, previous, true)
	if previous == nil {
		old = s.former(path, like, false)
		previous = like
	}
	defer old.stop()
	if err := s.emit(Event{Kind: Enter, Node: n, Previous: previous}, -1); err != nil {
		return err
	}
	names, err := s.names(sel)
	if err != nil {
		s.unread(path+"/", err)
	}
	if s.o.ExcludeCaches && sel.everything() && s.isCache(names) {
		names = []string{"CACHEDIR.TAG"}
		s.met(path+"/**", nil, "of a cache, as its CACHEDIR.TAG says")
	}
	for _, name := range names {
		if s.stack.Top() == nil { // moved away while the walk was further down, and reported
			break
		}
		if err := s.entry(path+"/"+name, name, sel.child(name), old); err != nil {
			return err
		}
	}
	old.find("")
	s.serial++
	return s.emit(Event{Kind: Leave, Node: n}, -1)
}

func (s *scanner) names(sel *Selection) ([]string, error) {
	if sel.everything() {
		return s.stack.Top().Names()
	}
	return sel.names(), nil
}

// cacheTag begins a CACHEDIR.TAG (https://bford.info/cachedir/).
const cacheTag = "Signature: 8a477f597d28d172789f06886806bc55"

// isCache reports whether a directory says of itself that it is a cache.
func (s *scanner) isCache(names []string) bool {
	for _, name := range names {
		if name != "CACHEDIR.TAG" {
			continue
		}
		f, err := s.stack.Top().Open(name)
		if err != nil {
			return false
		}
		defer f.Close()
		var n tree.Node
		if _, err := s.stack.Top().StatFile(f, &n); err != nil || !n.IsRegular() {
			return false
		}
		head := make([]byte, len(cacheTag))
		_, err = io.ReadFull(f, head)
		return err == nil && string(head) == cacheTag
	}
	return false
}

func (s *scanner) fetch(id chunk.ID) ([]byte, error) { return s.o.Previous.Fetch(id) }

// deleted counts what is gone, with all that was in it.
func (s *scanner) deleted(n *tree.Node) {
	if !n.IsDir() {
		s.counts.Deleted++
		return
	}
	for child, err := range tree.Nodes(n.Contents, s.fetch) {
		if err != nil {
			return
		}
		s.deleted(child)
	}
}

// entry deals with one name in the directory on top of the stack.
func (s *scanner) entry(path, name string, sel *Selection, old *former) error {
	was := old.find(name)
	if !old.here {
		was = nil
	}
	if len(path) > tree.MaxPath {
		s.unread(path, tree.ErrLong)
		return nil
	}
	n := &tree.Node{}
	dir := s.stack.Top()
	stat := dir.Stat
	if sel != nil && sel.through {
		stat = dir.StatThrough
	}
	if err := stat(name, n); err != nil {
		s.unread(path, err)
		return nil
	}
	called := sel.called(name, s.called)
	left := s.leaves(path, name, n, sel, called)
	if left != "" || sel.everything() {
		s.met(path, n, left)
	}
	if left != "" {
		if was != nil {
			s.deleted(was)
		}
		return nil
	}
	if was != nil && was.Type() != n.Type() {
		s.deleted(was)
		was = nil
	}
	if s.o.Now().Sub(n.Ctime.Time()) < Settled {
		n.Flags |= tree.Unsettled
	}
	switch {
	case n.IsDir():
		defer func(before []string) { s.called = before }(s.called)
		s.called = called
		return s.enter(path, name, n, sel, was, old)
	case n.IsRegular():
		return s.file(path, n, was, old)
	}
	if n.IsSymlink() {
		target, err := dir.Readlink(name)
		if err != nil {
			s.unread(path, err)
			return nil
		}
		n.Target = target
	}
	if err := s.attributes(func() ([]tree.Xattr, error) { return dir.Xattrs(name) }, path, n, was); err != nil {
		return err
	}
	s.counts.Others++
	s.o.Progress.Files.Add(1)
	return s.emit(Event{Kind: Entry, Node: n}, -1)
}

func (s *scanner) enter(path, name string, n *tree.Node, sel *Selection, was *tree.Node, old *former) error {
	if s.o.OneFileSystem && n.Device != s.device {
		if sel == nil { // met on the way: its own content belongs to another file system
			sel = &Selection{}
			s.met(path+"/**", nil, "on another file system")
		} else {
			sel.within = false // so it is, but for what was asked for
			device := s.device
			s.device = n.Device
			defer func() { s.device = device }()
		}
	}
	var like *tree.Node
	if was == nil {
		like = old.origin(n)
	}
	push := s.stack.Push
	if sel != nil && sel.through {
		push = s.stack.PushThrough
	}
	if err := push(name); err != nil {
		s.unread(path, err)
		return nil
	}
	// What was opened may be another directory than what was looked at.
	var opened tree.Node
	if err := s.stack.Top().StatSelf(&opened); err == nil {
		opened.Name, opened.Flags = n.Name, n.Flags
		*n = opened
	}
	sel = s.passPseudo(path, n, sel)
	defer func(before uint64) { s.here = before }(s.here)
	s.here = n.Device
	if err := s.attributes(s.stack.Top().XattrsSelf, path, n, was); err != nil {
		return err
	}
	s.counts.Dirs++
	if was == nil {
		s.counts.NewDirs++
	} else if was.Ctime != n.Ctime {
		s.counts.ChangedDirs++
	}
	if err := s.directory(path, n, sel, was, like); err != nil {
		return err
	}
	s.serial++
	if err := s.stack.Pop(); err != nil {
		s.unread(path[:strings.LastIndexByte(path, '/')+1], err) // what is left of the one above
	}
	return nil
}

// file reuses what the predecessor has of an unchanged file, and has others read.
func (s *scanner) file(path string, n, was *tree.Node, old *former) error {
	if s.counting {
		s.counted(n)
	}
	if was != nil && !s.o.Rehash && unchanged(n, was) {
		stored, err := s.o.Previous.Holds(was.Contents)
		if err == nil && stored {
			stored, err = s.holdsXattrs(was)
		}
		if err != nil {
			return err
		}
		if stored {
			n.Contents, n.XattrContents = was.Contents, was.XattrContents
			n.Xattrs = s.stack.Top().NameACLs(was.Xattrs) // accounts are renamed without a trace in the file
			n.Flags = 0
			s.counts.Unchanged++
			s.counted(n)
			return s.emit(Event{Kind: Entry, Node: n}, -1)
		}
	}
	e := Event{Kind: Entry, Node: n, Path: path, Previous: was}
	if !s.counting {
		e.Held, e.Like = old.origins(n, was)
	}
	return s.emit(e, int64(n.Size))
}

func (s *scanner) counted(n *tree.Node) {
	s.counts.Files++
	s.counts.Bytes += n.Size
	s.o.Progress.Files.Add(1)
	s.o.Progress.Bytes.Add(n.Size)
}

// unchanged reports whether a file is what it was, as far as its inode tells.
func unchanged(n, was *tree.Node) bool {
	return was.Flags&tree.Unsettled == 0 && n.Size == was.Size && n.Mtime == was.Mtime && n.Ctime == was.Ctime && n.Inode == was.Inode
}

// holdsXattrs reports whether the attributes of an entry of the predecessor may be named again.
func (s *scanner) holdsXattrs(was *tree.Node) (bool, error) {
	if was.XattrContents == nil {
		return true, nil
	}
	return s.o.Previous.Holds(*was.XattrContents)
}

// attributes fills in the extended attributes, which cannot have changed when ctime has not.
func (s *scanner) attributes(read func() ([]tree.Xattr, error), path string, n, was *tree.Node) error {
	if s.counting {
		return nil
	}
	if was != nil && was.Flags&tree.Unsettled == 0 && was.Ctime == n.Ctime && was.Inode == n.Inode && !s.o.Rehash {
		stored, err := s.holdsXattrs(was)
		if err != nil {
			return err
		}
		if stored {
			n.Xattrs, n.XattrContents = s.stack.Top().NameACLs(was.Xattrs), was.XattrContents
			return nil
		}
	}
	xattrs, err := read()
	if err != nil {
		s.o.Problem(path, err)
	}
	n.Xattrs = xattrs
	return nil
}

// unread reports an entry that is not in the archive.
func (s *scanner) unread(path string, err error) {
	s.counts.Unread++
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("vanished before it was read: %w", err)
	}
	s.o.Problem(strings.TrimPrefix(path, "//"), err)
}
