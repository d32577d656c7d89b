package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nightjar/repo/tree"
)

// fewHandles lets the process open no more than n files while f runs.
func fewHandles(t *testing.T, n uint64, f func()) {
	t.Helper()
	var old unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &old))
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: old.Max}))
	defer func() { must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &old)) }()
	f()
}

func handles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(entries)
}

// depth is how many directories were pushed and not popped.
func (s *Stack) depth() int { return len(s.levels) - 1 }

// removeAll removes a directory with all that is in it, however deep, with few handles: os.RemoveAll holds one for each level.
func removeAll(d *Dir, name string) error {
	stack := NewStack(d)
	defer stack.Close()
	way := []emptied{{rest: []string{name}}} // one for each directory of stack
	for {
		var err error
		here := &way[len(way)-1]
		if last := len(here.rest) - 1; last >= 0 {
			entry := here.rest[last]
			here.rest = here.rest[:last]
			err = stack.Top().Remove(entry)
			if errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) {
				var names []string
				if err = stack.Push(entry); err == nil {
					names, err = stack.Top().Names()
					way = append(way, emptied{entry, names})
				}
			}
		} else {
			if stack.depth() == 0 {
				return nil
			}
			way = way[:len(way)-1]
			if err = stack.Pop(); err == nil {
				err = stack.Top().Remove(here.name)
			}
		}
		if err != nil {
			return fmt.Errorf("remove all of %s: %w", name, err)
		}
	}
}

// An emptied directory loses the entries in rest, from the last on, and then itself.
type emptied struct {
	name string
	rest []string
}

// makeDeep makes directories in one another, called "1", "2" and so on, and goes down into them.
func makeDeep(t *testing.T, s *Stack, depth int) {
	t.Helper()
	for i := range depth {
		name := strconv.Itoa(i + 1)
		must(t, s.Top().Mkdir(name))
		must(t, s.Push(name))
	}
}

func TestDeepTree(t *testing.T) {
	d, path := openTemp(t)
	const depth = 3000
	before := handles(t)
	fewHandles(t, uint64(before+maxOpen+10), func() {
		s := NewStack(d)
		makeDeep(t, s, depth)
		for i := depth; i > 0; i-- {
			names, err := s.Top().Names()
			must(t, err)
			if want := []string{strconv.Itoa(i + 1)}; i < depth && !slices.Equal(names, want) {
				t.Fatalf("level %d has %q", i, names)
			}
			if s.depth() != i {
				t.Fatalf("depth %d at level %d", s.depth(), i)
			}
			must(t, s.Pop())
		}
		if s.depth() != 0 || s.Top() != d || s.Pop() == nil {
			t.Errorf("not back at the root: depth %d", s.depth())
		}
		if n := handles(t); n != before {
			t.Errorf("%d handles, %d before", n, before)
		}
		makeOtherBranch(t, s)
		must(t, removeAll(d, "1"))
	})
	if entries, err := os.ReadDir(path); len(entries) != 0 {
		t.Errorf("%d entries remain: %v", len(entries), err)
	}
	if n := handles(t); n != before {
		t.Errorf("%d handles, %d before", n, before)
	}
}

// makeOtherBranch makes 100 more directories, in the tenth, and ends at the root.
func makeOtherBranch(t *testing.T, s *Stack) {
	t.Helper()
	for i := range 10 {
		must(t, s.Push(strconv.Itoa(i+1)))
	}
	for i := range 100 {
		must(t, s.Top().Mkdir(fmt.Sprint("b", i)))
		must(t, s.Push(fmt.Sprint("b", i)))
	}
	s.Close()
}

func pathTo(root string, level int) string {
	for i := range level {
		root = filepath.Join(root, strconv.Itoa(i+1))
	}
	return root
}

func TestStackAfterMoves(t *testing.T) {
	for _, c := range []struct {
		what  string
		moved []int
		lost  func(level int) bool
	}{
		// Level 100's parent is found from the root.
		{"one", []int{100}, func(int) bool { return false }},
		// What is above both is found again; what lies between has no known way to it.
		{"two", []int{100, 50}, func(level int) bool { return level >= 50 && level < 100 }},
	} {
		t.Run(c.what, func(t *testing.T) {
			d, path := openTemp(t)
			outside := t.TempDir()
			s := NewStack(d)
			defer s.Close()
			makeDeep(t, s, 200)
			before := handles(t)
			for _, m := range c.moved {
				must(t, os.Rename(pathTo(path, m), filepath.Join(outside, strconv.Itoa(m))))
				// What takes the place must not be taken for it.
				must(t, os.Mkdir(pathTo(path, m), 0o700))
			}
			for level := 199; level > 0; level-- {
				err := s.Pop()
				if errors.Is(err, errMoved) != c.lost(level) || (err == nil) != (s.Top() != nil) {
					t.Fatalf("level %d: %v", level, err)
				}
				if err != nil {
					continue
				}
				names, err := s.Top().Names()
				must(t, err)
				if !slices.Equal(names, []string{strconv.Itoa(level + 1)}) && !slices.Contains(c.moved, level+1) {
					t.Fatalf("level %d has %q", level, names)
				}
			}
			must(t, s.Pop())
			if n := handles(t); s.Top() != d || n != before-maxOpen {
				t.Errorf("%d handles, %d before", n, before)
			}
		})
	}
}

func TestRemove(t *testing.T) {
	d, path := openTemp(t)
	must(t, os.MkdirAll(filepath.Join(path, "full/empty"), 0o700))
	must(t, os.Symlink("full", filepath.Join(path, "link")))
	if err := d.Remove("full"); !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.EEXIST) {
		t.Errorf("a full directory: %v", err)
	}
	must(t, d.Remove("link"))
	full, err := d.Sub("full")
	must(t, err)
	must(t, full.Remove("empty"))
	full.Close()
	must(t, d.Remove("full"))
}

// A link may be gone through as the directory that it leads to, and is found again from far below.
func TestStackThrough(t *testing.T) {
	root, path := openTemp(t)
	must(t, os.MkdirAll(filepath.Join(path, "elsewhere", strings.Repeat("d/", 3*maxOpen)), 0o700))
	must(t, os.Mkdir(filepath.Join(path, "here"), 0o700))
	must(t, os.Symlink("../elsewhere", filepath.Join(path, "here/link")))
	var n tree.Node
	s := NewStack(root)
	defer s.Close()
	must(t, s.Push("here"))
	must(t, s.Top().StatThrough("link", &n))
	if n.Name != "link" || !n.IsDir() {
		t.Errorf("%+v", n)
	}
	if s.Push("link") == nil {
		t.Fatal("a link is taken for a directory")
	}
	must(t, s.PushThrough("link"))
	for range 3 * maxOpen {
		must(t, s.Push("d"))
	}
	for s.depth() > 2 {
		must(t, s.Pop())
	}
	if names, err := s.Top().Names(); err != nil || !slices.Equal(names, []string{"d"}) {
		t.Errorf("%q, %v", names, err)
	}
	must(t, s.Pop())
	if names, err := s.Top().Names(); err != nil || !slices.Equal(names, []string{"link"}) {
		t.Errorf("%q, %v", names, err)
	}
}
