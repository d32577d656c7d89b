package scan

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// A Selection is the way to what was asked for: a directory of the paths' parents, or something that is saved whole. It serves one walk.
type Selection struct {
	whole    bool
	within   bool // it lies in something that is saved whole
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
func (s *Selection) add(path string) {
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
	s.whole = true
}

const maxLinks = 40 // as the kernel

// Select makes a selection of absolute paths. A path that leads through symbolic links selects the links and what they lead to, so that it
// can be restored under both names. problem is told of paths that cannot be read; it is an error if none can.
func Select(paths []string, problem func(path string, err error)) (*Selection, error) {
	root := &Selection{}
	found := 0
	for _, p := range paths {
		if !filepath.IsAbs(p) {
			return nil, fmt.Errorf("path %q is not absolute", p)
		}
		if err := root.follow(filepath.Clean(p)); err != nil {
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

func (s *Selection) follow(path string) error {
	for links := 0; ; links++ {
		if links > maxLinks {
			return errors.New("too many symbolic links")
		}
		link, err := firstLink(path)
		if err != nil {
			return err
		}
		if link == "" {
			s.add(path)
			return nil
		}
		s.add(link)
		target, err := os.Readlink(link)
		if err != nil {
			return err
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(link), target)
		}
		rest := strings.TrimPrefix(path, link)
		path = filepath.Join(target, rest)
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) && rest == "" {
			return nil // a link that leads nowhere is saved as that
		}
	}
}

// firstLink returns the shortest prefix of path that is a symbolic link, or "".
func firstLink(path string) (string, error) {
	for i := 1; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' {
			continue
		}
		info, err := os.Lstat(path[:i])
		if err != nil {
			return "", errors.Unwrap(err)
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			return path[:i], nil
		}
	}
	return "", nil
}
