package scan

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"nightjar/repo/tree"
)

// nearby is how many entries before and after a name are looked at for what it may have been called.
const nearby = 64

// A former reads what the predecessor has of a directory, beside the walk and in order of names.
type former struct {
	s      *scanner
	path   string
	here   bool // it was at this path; else it is where the directory seems to come from
	next   func() (*tree.Node, error, bool)
	stop   func()
	ahead  []*tree.Node // read before they are due
	passed []*tree.Node // the last ones, in a ring
	count  int          // of all that were passed
}

// former returns a reader of a directory, nil for none.
func (s *scanner) former(path string, dir *tree.Node, here bool) *former {
	f := &former{s: s, path: path, here: here, stop: func() {}}
	if dir != nil && dir.IsDir() {
		f.next, f.stop = iter.Pull2(tree.Nodes(dir.Contents, s.fetch))
	}
	return f
}

// peek returns the entry that is i entries ahead, nil if there are not as many.
func (f *former) peek(i int) *tree.Node {
	for f.next != nil && len(f.ahead) <= i {
		n, err, ok := f.next()
		if err != nil && f.here {
			// Without its predecessor a file is read again: that costs time, and heals.
			f.s.o.Problem(f.path+"/", fmt.Errorf("compare with the archive before: %w", err))
		}
		if !ok || err != nil {
			f.next = nil
			break
		}
		f.ahead = append(f.ahead, n)
	}
	if len(f.ahead) <= i {
		return nil
	}
	return f.ahead[i]
}

// find, asked for names in ascending order, returns what stood under each; asked for "", it passes over the rest. What it passes over was deleted.
func (f *former) find(name string) *tree.Node {
	for n := f.peek(0); n != nil && (name == "" || n.Name <= name); n = f.peek(0) {
		if f.count < nearby {
			f.passed = append(f.passed, n)
		} else {
			f.passed[f.count%nearby] = n
		}
		f.count++
		f.ahead = append(f.ahead[:0], f.ahead[1:]...)
		if n.Name == name {
			return n
		}
		if f.here {
			f.s.deleted(n)
		}
	}
	return nil
}

// near iterates over the entries around the name that was found last, from the nearest on, those before it first.
func (f *former) near() iter.Seq[*tree.Node] {
	return func(yield func(*tree.Node) bool) {
		for i := range f.passed {
			if !yield(f.passed[(f.count-1-i)%nearby]) {
				return
			}
		}
		for i := range nearby {
			if n := f.peek(i); n == nil || !yield(n) {
				return
			}
		}
	}
}

// held returns the entry that was this one, as its inode tells, wherever it was; nil if there is none. File systems use the numbers of inodes again, so one
// that was made since is another.
func (f *former) held(n *tree.Node) *tree.Node {
	s := f.s
	if s.o.Previous == nil {
		return nil
	}
	born, known := s.stack.Top().Born(n.Name)
	if known && !born.Before(s.o.Previous.Start) {
		return nil
	}
	for old := range f.near() {
		if old.Inode == n.Inode && old.Type() == n.Type() {
			return old
		}
	}
	if known {
		return s.moved(n)
	}
	return nil
}

// like returns entries of n's type that have its name, but for numbers and punctuation: at most the two nearest.
func (f *former) like(n *tree.Node) (found []*tree.Node) {
	for old := range f.near() {
		if old.Type() == n.Type() && (old.Name == n.Name || alike(old.Name, n.Name)) {
			if found = append(found, old); len(found) == 2 {
				break
			}
		}
	}
	return found
}

// alike reports whether names have the same letters in the same order, or digits alone in the same places: shop-2026-11-24.sql and shop-2026-11-25.sql,
// log and log.1, 2026-11-24 and 2026-11-25.
func alike(a, b string) bool {
	x, y := fromLetter(a), fromLetter(b)
	if x == "" && y == "" {
		return len(a) == len(b) && strings.Map(dateless, a) == strings.Map(dateless, b)
	}
	for x != "" && y != "" && x[0] == y[0] {
		x, y = fromLetter(x[1:]), fromLetter(y[1:])
	}
	return x == "" && y == ""
}

// dateless makes all digits one.
func dateless(r rune) rune {
	if r >= '0' && r <= '9' {
		return '0'
	}
	return r
}

// fromLetter returns a name from its first byte on that is neither a digit nor punctuation.
func fromLetter(s string) string {
	for i := range len(s) {
		if c := s[i]; c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80 {
			return s[i:]
		}
	}
	return ""
}

// origin returns the directory that one which is new at its path seems to come from: as its inode tells, or as it is called. nil if there is none.
func (f *former) origin(n *tree.Node) *tree.Node {
	if f.s.counting {
		return nil
	}
	if old := f.held(n); old != nil {
		return old
	}
	if like := f.like(n); len(like) > 0 {
		return like[0]
	}
	return nil
}

// origins returns what a file may have held before: as its inode and its path tell, and as it is called.
func (f *former) origins(n, was *tree.Node) (held, like []tree.Contents) {
	if was != nil && was.Inode == n.Inode || n.Size < originsFrom {
		return contentsOf(was), nil
	}
	moved := f.held(n)
	guessed := f.like(n)
	guessed = slices.DeleteFunc(guessed, func(old *tree.Node) bool { return old == moved || old == was })
	return contentsOf(moved, was), contentsOf(guessed...)
}

// originsFrom is the size of files in bytes from which on it is worth knowing what else they resemble.
const originsFrom = 8 << 10

// contentsOf returns the contents of those nodes that have any.
func contentsOf(nodes ...*tree.Node) (all []tree.Contents) {
	for _, n := range nodes {
		if n != nil && len(n.Contents.Items) > 0 {
			all = append(all, n.Contents)
		}
	}
	return all
}
