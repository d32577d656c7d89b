// Package content writes the contents of one run, each from its beginning to its end and many at the same time: it cuts
// them as files are cut, has savers that all share save the chunks, and makes the entry.
//
// The invariant: what is in the chunks is what was written, whatever the pieces, the memory and the order of the
// others; and memory is bounded by what all share, not by how many contents there are. The package does not know which
// contents there are, nor where they go.
package content

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"nightjar/backup/pending"
	"nightjar/chunk"
	"nightjar/repo/save"
	"nightjar/repo/tree"
)

// A Hint says more of a content than its path.
type Hint struct {
	Mode  uint32    // permission bits; 0: 0600
	Mtime time.Time // zero: when the content last changed, as the archives tell
	New   bool      // the run has nothing of that path that was closed: what takes the place of another is an error
	Page  int       // bytes of a page, if it has pages that change one by one, as database files have (see save.Place); 0: unknown
	Fine  bool      // it changes in few bytes at many places, as the rows of a table do (see save.Place)
	Base  string    // path of what it was in the predecessor; "": its own
	Like  string    // path of what it may resemble there, if that has nothing under Base
}

// A Place is where a content goes.
type Place struct {
	Path  string
	Done  func(n *tree.Node) error // takes the entry when it is closed
	Abort func()                   // is told when there will be none
}

// ErrNotSame says that Same has not taken all that it was asked for.
var ErrNotSame = errors.New("the archive before has no whole chunk there")

var (
	errClosed = errors.New("it was closed or aborted")
	errShared = errors.New("it was used from two goroutines at the same time")
)

// A Content is written from its beginning to its end. It is in the archive once Close has returned nil, and then in the
// place of what had its path before. But for Statistics it is for one goroutine: the run fails if two are seen in it at
// the same time, since nobody knows then what was written. An error of any method but Same's ErrNotSame and Note's is
// final: only Abort is left.
type Content struct {
	using  sync.Mutex // held by the goroutine that is in a method
	shared *Shared
	place  Place
	hint   Hint
	notes  []tree.Xattr

	buf      pending.Buffer
	splitter *chunk.Splitter // nil: nothing of the chunk was looked at for a boundary
	looked   int             // bytes of buf.Memory() that were

	offset int64 // where what is in buf begins
	list   *tree.Lister
	sent   []*part
	was    *save.Past // nil: none, or not asked yet
	asked  bool       // for was
	old    *oldItems  // nil: not asked yet
	counts counts
	err    error // final
	ended  bool
}

// fail makes an error final, and names the content. What made the run fail comes before what followed from it.
func (c *Content) fail(err error) error {
	if err != nil && c.err == nil {
		if c.err = context.Cause(c.shared.ctx); c.err == nil {
			c.err = fmt.Errorf("save %q: %w", c.place.Path, err)
		}
	}
	return c.err
}

// enter takes the content for a method, which leaves it at its end, unless another goroutine is in one.
func (c *Content) enter() error {
	if c.using.TryLock() {
		return nil
	}
	err := fmt.Errorf("save %q: %w", c.place.Path, errShared)
	c.shared.o.Fail(err)
	return err
}

// ready returns why nothing more can be written.
func (c *Content) ready() error {
	if c.err != nil {
		return c.err
	}
	return c.fail(context.Cause(c.shared.ctx))
}

// Write appends bytes, which are cut into chunks as those of a file are. It keeps nothing of p.
func (c *Content) Write(p []byte) (int, error) {
	if err := c.enter(); err != nil {
		return 0, err
	}
	defer c.using.Unlock()
	if err := c.ready(); err != nil {
		return 0, err
	}
	for rest := p; len(rest) > 0; {
		n := min(len(rest), pending.Piece)
		free, err := c.buf.Space(n)
		if err == nil {
			err = c.grown(copy(free, rest[:n]))
		}
		if err != nil {
			return len(p) - len(rest), c.fail(err)
		}
		rest = rest[n:]
	}
	return len(p), nil
}

// ReadFrom appends what r has, to its end. An error of r is final: a stream that has broken off cannot be closed.
func (c *Content) ReadFrom(r io.Reader) (n int64, err error) {
	if err := c.enter(); err != nil {
		return 0, err
	}
	defer c.using.Unlock()
	for vain := 0; ; {
		if err := c.ready(); err != nil {
			return n, err
		}
		free, err := c.buf.Space(pending.Piece)
		if err != nil {
			return n, c.fail(err)
		}
		k, broken := r.Read(free[:pending.Piece])
		n += int64(k)
		if err := c.grown(k); err != nil {
			return n, c.fail(err)
		}
		if broken == io.EOF {
			return n, nil
		}
		if vain++; k > 0 {
			vain = 0
		} else if broken == nil && vain == 100 {
			broken = io.ErrNoProgress
		}
		if broken != nil {
			return n, c.fail(broken)
		}
	}
}

// Block appends one chunk as it is: at most chunk.MaxSize bytes, with a boundary before and after it. So blocks that
// are replaced by others of their size move no boundary, and Same finds the others. It keeps nothing of data.
func (c *Content) Block(data []byte) error {
	if err := c.enter(); err != nil {
		return err
	}
	defer c.using.Unlock()
	if err := c.ready(); err != nil || len(data) == 0 {
		return err
	}
	if len(data) > chunk.MaxSize {
		return c.fail(fmt.Errorf("block of %d bytes, more than %d", len(data), chunk.MaxSize))
	}
	if err := c.flush(); err != nil {
		return c.fail(err)
	}
	if err := c.shared.depart(len(data)); err != nil {
		return c.fail(err)
	}
	c.counts.bytes.Add(uint64(len(data)))
	return c.fail(c.dispatch(c.shared.memory.Copy(data)))
}

// Hole appends n zeros that no chunk holds, as a hole of a sparse file; a restore makes one of it. A chunk ends before it.
func (c *Content) Hole(n int64) error {
	if err := c.enter(); err != nil {
		return err
	}
	defer c.using.Unlock()
	if err := c.ready(); err != nil || n == 0 {
		return err
	}
	if n < 0 {
		return c.fail(fmt.Errorf("hole of %d bytes", n))
	}
	if err := c.flush(); err != nil {
		return c.fail(err)
	}
	c.insert(tree.Item{Length: n, Hole: true})
	return c.fail(c.collect(false))
}

// insert appends what need not be saved.
func (c *Content) insert(item tree.Item) {
	c.sent = append(c.sent, &part{item: item})
	c.offset += item.Length
	c.counts.bytes.Add(uint64(item.Length))
}

// Close ends the content, and puts it in the place of what had its path before.
func (c *Content) Close() error {
	if err := c.enter(); err != nil {
		return err
	}
	defer c.using.Unlock()
	if err := c.ready(); err != nil {
		return err
	}
	err := c.flush()
	if err == nil {
		err = c.collect(true)
	}
	if err != nil {
		return c.fail(err)
	}
	contents, err := c.list.Finish()
	if err != nil {
		return c.fail(err)
	}
	node := c.node(contents)
	if len(c.notes) > 0 {
		err = c.shared.savers.use(func(s *save.Saver) error { return SaveXattrs(s, node) })
	}
	if err == nil {
		err = c.place.Done(node)
	}
	if err != nil {
		return c.fail(err)
	}
	c.end()
	return nil
}

// Abort gives the content up: what had its path before stays. After Close it does nothing, so that it may be deferred.
func (c *Content) Abort() {
	if c.enter() != nil {
		return
	}
	defer c.using.Unlock()
	if !c.ended {
		c.place.Abort()
		c.end()
	}
}

func (c *Content) end() {
	c.ended = true
	c.err = fmt.Errorf("save %q: %w", c.place.Path, errClosed)
	c.buf.Release()
	c.shared.giveBack(c.splitter)
	if c.was != nil {
		c.was.Close()
	}
	if c.old != nil {
		c.old.stop()
	}
}

// node returns the entry. What is as its base was has the times that it had there: so an archive of the same contents is
// made of the same trees.
func (c *Content) node(contents tree.Contents) *tree.Node {
	now := tree.TimeOf(c.shared.o.Start)
	n := &tree.Node{Name: path.Base(c.place.Path), Mode: tree.Regular | c.hint.Mode, Mtime: now, Ctime: now, Links: 1, Size: uint64(contents.Size()), Xattrs: c.notes, Contents: contents}
	if !c.hint.Mtime.IsZero() {
		n.Mtime = tree.TimeOf(c.hint.Mtime)
	}
	was := c.base()
	if was == nil || !SameContent(n, was) || was.Mode != n.Mode || was.XattrContents != nil || !slices.EqualFunc(was.Xattrs, n.Xattrs, sameXattr) {
		return n
	}
	if c.hint.Mtime.IsZero() {
		n.Mtime = was.Mtime
	}
	if n.Mtime == was.Mtime {
		n.Ctime = was.Ctime
	}
	return n
}

// SameContent reports whether two entries are files with the same bytes, which were cut at the same places.
func SameContent(a, b *tree.Node) bool {
	return a.IsRegular() && b.IsRegular() && a.Size == b.Size && a.Contents.Level == b.Contents.Level && slices.Equal(a.Contents.Items, b.Contents.Items)
}

func sameXattr(a, b tree.Xattr) bool { return a.Name == b.Name && string(a.Value) == string(b.Value) }

// Note notes something of the content that is not in it, such as a number of rows: a name of lower-case letters,
// digits, ".", "_" and "-", and a value of at most MaxNote bytes. It stands in the archive as the attribute
// nightjar.NAME of the entry, and no restore sets it. The same name again replaces the value; "acl" is taken.
func (c *Content) Note(name, value string) error {
	if err := c.enter(); err != nil {
		return err
	}
	defer c.using.Unlock()
	attribute, err := tree.Note(name)
	switch {
	case c.err != nil:
		return c.err
	case err != nil:
	case len(value) > MaxNote:
		err = fmt.Errorf("value of %d bytes, more than %d", len(value), MaxNote)
	}
	i, found := slices.BinarySearchFunc(c.notes, attribute, func(x tree.Xattr, name string) int { return strings.Compare(x.Name, name) })
	switch {
	case err != nil:
	case found:
		c.notes[i].Value = []byte(value)
	case len(c.notes) == maxNotes:
		err = fmt.Errorf("more than %d notes", maxNotes)
	default:
		c.notes = slices.Insert(c.notes, i, tree.Xattr{Name: attribute, Value: []byte(value)})
	}
	if err != nil {
		return fmt.Errorf("note %q of %q: %w", name, c.place.Path, err)
	}
	return nil
}

// Bounds of notes: of a value in bytes, and of their number for a content.
const (
	MaxNote  = 64 << 10
	maxNotes = 64
)
