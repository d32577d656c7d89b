package scan

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"nightjar/backup/local"
	"nightjar/internal/where"
	"nightjar/repo/tree"
)

// A Selection is the way to what was asked for: a directory of the paths' parents, or something that is saved whole. It serves one walk.
type Selection struct {
	whole    bool
	within   bool     // it lies in something that is saved whole
	through  bool     // it is a link that is walked as the folder that it leads to
	itself   bool     // it was asked for by its own path
	aliases  []string // by which it was asked for that lead to it through links
	children map[string]*Selection
}

// child returns what was asked for under a name: nil if nothing was but, perhaps, all.
func (s *Selection) child(name string) *Selection {
	if s == nil {
		return nil
	}
	c := s.children[name]
	if c != nil && s.everything() {
		c.within = true
	}
	return c
}

func (s *Selection) everything() bool { return s == nil || s.whole || s.within }

func (s *Selection) names() []string {
	names := make([]string, 0, len(s.children))
	for name := range s.children {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// add selects a path, of which no parent may be a symbolic link.
func (s *Selection) add(path string) *Selection {
	s = s.at(path)
	s.whole = true
	return s
}

// at returns what is selected at a path, and makes the way to it.
func (s *Selection) at(path string) *Selection {
	for name := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if name == "" {
			break
		}
		if s.children == nil {
			s.children = map[string]*Selection{}
		}
		next := s.children[name]
		if next == nil {
			next = &Selection{}
			s.children[name] = next
		}
		s = next
	}
	return s
}

// called returns the names by which what is selected under a name was asked for, given those of its folder: none if it was by its own path, or for no reason.
func (s *Selection) called(name string, above []string) (names []string) {
	if s != nil && (s.itself || s.within && len(above) == 0) {
		return nil
	}
	for _, dir := range above {
		names = append(names, dir+"/"+name)
	}
	if s != nil && s.whole {
		names = append(names, s.aliases...)
	}
	return names
}

// excludes reports whether an entry is left out: by its path, or by all the names by which it was asked for.
func (s *scanner) excludes(path string, called []string, folder bool, size uint64) bool {
	if s.o.Filter.Excludes(path, folder, size) {
		return true
	}
	for _, name := range called {
		if !s.o.Filter.Excludes(name, folder, size) {
			return false
		}
	}
	return len(called) > 0
}

// leaves says why an entry is left out; "" if it is not.
func (s *scanner) leaves(path, name string, n *tree.Node, sel *Selection, called []string) string {
	size := uint64(0)
	if n.IsRegular() {
		size = n.Size
	}
	switch {
	case !n.IsDir() && local.IsBeside(name) && (sel == nil || !sel.whole):
		return "left over by a restore that was killed"
	case s.o.ExcludeNoDump && s.stack.Top().NoDump(name):
		return "marked by chattr +d"
	case s.avoid[fileID{n.Device, n.Inode}]:
		return "the repository, a copy of it or the cache"
	case !sel.everything() || !s.excludes(path, called, n.IsDir(), size):
		return ""
	case size > 0 && !s.excludes(path, called, false, 0):
		return "larger than is wanted"
	}
	return "excluded by a pattern"
}

// met tells what becomes of an entry, or of what is in a folder.
func (s *scanner) met(path string, n *tree.Node, left string) {
	if s.o.Met != nil {
		s.o.Met(path, n, left)
	}
}

// Select makes a selection of absolute paths. A path that leads through symbolic links selects the links and what they lead to, so that it
// can be restored under both names; of folders that the links go up from, no more than the folder. problem is told of paths that cannot be read; it is an error if none can.
func Select(paths []string, problem func(path string, err error)) (*Selection, error) {
	root := &Selection{}
	found := 0
	for _, p := range paths {
		if !filepath.IsAbs(p) {
			return nil, fmt.Errorf("path %q is not absolute", p)
		}
		if err := root.follow(p); err != nil {
			problem(p, err)
			continue
		}
		found++
	}
	if found == 0 {
		return nil, fmt.Errorf("none of the paths can be read: %w", fs.ErrNotExist)
	}
	return root, nil
}

// follow selects the links that a path leads through, and what it leads to.
func (s *Selection) follow(path string) error {
	to, err := where.Resolve(path)
	for _, link := range to.Links {
		s.add(link)
	}
	for _, dir := range to.Passed {
		s.at(dir)
	}
	if err != nil {
		if info, failed := os.Lstat(path); failed == nil && info.Mode()&fs.ModeSymlink != 0 && errors.Is(err, fs.ErrNotExist) {
			return nil // a link that leads nowhere is saved as that
		}
		return err
	}
	for _, link := range to.Through {
		s.at(link).through = true
	}
	end := s.add(to.Path)
	if name := filepath.Clean(path); name != to.Path {
		end.aliases = append(end.aliases, name)
	} else {
		end.itself = true
	}
	return nil
}
