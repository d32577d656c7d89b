package browse

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"path"
	"slices"
	"strings"
	"time"

	"nightjar/backup/filter"
	"nightjar/chunk"
	"nightjar/repo"
	"nightjar/repo/tree"
	"nightjar/repo/walk"
)

// FindOptions say what is looked for. Zero fields are for everything.
type FindOptions struct {
	Filter       *filter.Filter // of which only Include counts, and for the entries themselves, not for what is below them
	Larger       uint64         // files of more bytes
	Smaller      uint64         // files of fewer bytes
	Newer, Older time.Time      // what was modified after, before
	Differing    bool           // only what is not the same in all archives; folders that are the same are not looked into

	Problem func(archive, path string, err error) // told of directories that cannot be read, with the id of one of the archives that have them
}

// A Found is one state of an entry, and the archives that have it so.
type Found struct {
	Path     string
	Node     *tree.Node
	Archives []int // places in what Find was given, ascending
}

// Find looks through archives at once, and calls f for all that it finds, in order of paths. A directory that is the same in several is read once. Memory grows
// with the number of archives times the depth of the directories that differ between them, not with the number of entries; past 128 MiB, with at most 16 levels of it.
func Find(ctx context.Context, rd *repo.Reader, archives []repo.Archive, o FindOptions, f func(Found) error) error {
	s := &finder{ctx: ctx, get: rd.Fetcher(ctx), archives: archives, o: &o, found: f}
	var roots []version
	for i := range archives {
		n, err := Root(ctx, rd, &archives[i])
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			s.problem(i, "/", err)
			continue
		}
		roots = join(roots, n, []int{i}, sameContents)
	}
	return s.dir("/", roots)
}

// A finder looks at the same directory of all archives at a time.
type finder struct {
	ctx      context.Context
	get      func(chunk.ID) ([]byte, error)
	archives []repo.Archive
	o        *FindOptions
	found    func(Found) error
	guard    walk.Guard
	enough   error  // with which the search ends
	long     string // the last directory of which it was told that paths in it are too long

	levels [][]*head // on the way down
	held   int64     // bytes that their heads hold
	at     *head     // that is being advanced
	again  bool      // it was so far before
}

// fetch reads a tree or list, unless one of the archives is not to be searched to its end.
func (s *finder) fetch(id chunk.ID) ([]byte, error) {
	b, err := s.get(id)
	if cost := int64(len(b)) * findCost; cost > s.at.held {
		s.held += cost - s.at.held
		s.at.held = cost
	}
	if s.again {
		return b, err
	}
	if bomb := s.guard.Visit(id, len(b)); bomb != nil {
		s.enough = bomb
		return nil, bomb
	}
	return b, err
}

// A version is a state of an entry, and who has it.
type version struct {
	node     *tree.Node
	archives []int
}

// join adds n to the versions, or to the one that is the same.
func join(versions []version, n *tree.Node, archives []int, same func(a, b *tree.Node) bool) []version {
	for i := range versions {
		if v := &versions[i]; same(v.node, n) {
			v.archives = append(slices.Clip(v.archives), archives...)
			return versions
		}
	}
	return append(versions, version{n, archives})
}

func sameContents(a, b *tree.Node) bool {
	return a.Contents.Level == b.Contents.Level && slices.Equal(a.Contents.Items, b.Contents.Items)
}

// sameEntry compares what people see of an entry, and the content of all but directories, which say by their times whether a name has come or gone.
func sameEntry(a, b *tree.Node) bool {
	return a.Mode == b.Mode && a.Owner == b.Owner && a.Size == b.Size && a.Mtime == b.Mtime && a.Target == b.Target &&
		a.Major == b.Major && a.Minor == b.Minor && (a.IsDir() || sameContents(a, b))
}

func (s *finder) problem(archive int, at string, err error) {
	if s.o.Problem != nil {
		s.o.Problem(s.archives[archive].ID, at, err)
	}
}

// dir merges the versions of one directory by name.
func (s *finder) dir(at string, versions []version) error {
	heads := make([]*head, 0, len(versions))
	for _, v := range versions {
		heads = append(heads, &head{contents: v.node.Contents, archives: v.archives})
	}
	s.levels = append(s.levels, heads)
	defer func() {
		s.levels = s.levels[:len(s.levels)-1]
		for _, h := range heads {
			s.rest(h)
		}
	}()
	for _, h := range heads {
		s.open(h)
		s.advance(h, at)
	}
	for {
		if err := cmp.Or(s.ctx.Err(), s.enough); err != nil {
			return err
		}
		name := ""
		for _, h := range heads {
			if h.node != nil && (name == "" || h.node.Name < name) {
				name = h.node.Name
			}
		}
		if name == "" {
			return nil
		}
		var entries, dirs []version
		for _, h := range heads {
			if n := h.node; n != nil && n.Name == name {
				entries = join(entries, n, h.archives, sameEntry)
				if n.IsDir() {
					dirs = join(dirs, n, h.archives, sameContents)
				}
				s.advance(h, at)
			}
		}
		if err := s.entries(path.Join(at, name), entries, dirs); err != nil {
			return err
		}
		for _, h := range heads {
			if h.resting {
				s.resume(h, at)
			}
		}
	}
}

// What heads hold: of folders that are many levels up it is given up when all is too much, and read again when the search comes back.
const (
	findMost   = 128 << 20
	findLevels = 16
	findCost   = 16 // bytes of a decoded tree for each that is encoded, about
)

// A head is the next entry of one version of a directory; nil at its end.
type head struct {
	contents tree.Contents
	next     func() (*tree.Node, error, bool)
	stop     func()
	node     *tree.Node
	archives []int
	held     int64
	resting  bool // next is to be called until it comes to the name after, again
	after    string
}

func (s *finder) open(h *head) {
	h.next, h.stop = iter.Pull2(tree.Nodes(h.contents, s.fetch))
}

// rest gives up what a head holds.
func (s *finder) rest(h *head) {
	h.stop()
	s.held -= h.held
	h.held, h.next, h.node = 0, nil, nil
}

// spare has those rest that are far up, if all hold too much.
func (s *finder) spare() {
	for _, heads := range s.levels[:max(len(s.levels)-findLevels, 0)] {
		if s.held <= findMost {
			return
		}
		for _, h := range heads {
			if h.node != nil {
				h.after, h.resting = strings.Clone(h.node.Name), true
			}
			s.rest(h)
		}
	}
}

// resume has a head go on where it was.
func (s *finder) resume(h *head, at string) {
	h.resting, s.again = false, true
	s.open(h)
	for s.advance(h, at); h.node != nil && h.node.Name < h.after; {
		s.advance(h, at)
	}
	s.again = false
}

func (s *finder) advance(h *head, at string) {
	s.at = h
	n, err, ok := h.next()
	if s.enough != nil {
		s.enough = fmt.Errorf("search archive %s: %w", s.archives[h.archives[0]].ID, err)
	} else if err != nil && s.ctx.Err() == nil {
		s.problem(h.archives[0], at, fmt.Errorf("read directory: %w", err))
	}
	h.node = nil
	if ok && err == nil {
		h.node = n
	}
}

func (s *finder) entries(at string, entries, dirs []version) error {
	if len(at) > tree.MaxPath {
		if dir := path.Dir(at); dir != s.long {
			s.long = dir
			s.problem(entries[0].archives[0], dir, fmt.Errorf("entry %q: %w", path.Base(at), tree.ErrLong))
		}
		return nil
	}
	folder, below := s.o.Filter.Includes(at, true, false)
	other, _ := s.o.Filter.Includes(at, false, false)
	same := false
	if s.o.Differing {
		same, below = s.inAll(entries), below && !s.inAll(dirs)
	}
	for _, v := range entries {
		is := other
		if v.node.IsDir() {
			is = folder
		}
		if !is || same || !s.wanted(v.node) {
			continue
		}
		slices.Sort(v.archives)
		if err := s.found(Found{Path: at, Node: v.node, Archives: v.archives}); err != nil {
			return err
		}
	}
	if !below || len(dirs) == 0 {
		return nil
	}
	for i, v := range dirs { // of the trees that they are from nothing else is held
		dirs[i].node = &tree.Node{Contents: tree.Contents{Level: v.node.Contents.Level, Items: slices.Clone(v.node.Contents.Items)}}
	}
	s.spare()
	return s.dir(at, dirs)
}

// inAll reports whether there is one version, which all archives have.
func (s *finder) inAll(versions []version) bool {
	return len(versions) == 1 && len(versions[0].archives) == len(s.archives)
}

// wanted compares size and time; only files have a size.
func (s *finder) wanted(n *tree.Node) bool {
	o := s.o
	switch at := n.Mtime.Time(); {
	case (o.Larger > 0 || o.Smaller > 0) && !n.IsRegular(),
		o.Larger > 0 && n.Size <= o.Larger,
		o.Smaller > 0 && n.Size >= o.Smaller,
		!o.Newer.IsZero() && !at.After(o.Newer),
		!o.Older.IsZero() && !at.Before(o.Older):
		return false
	}
	return true
}
