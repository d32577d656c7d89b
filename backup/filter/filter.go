// Package filter chooses entries by path and size: what is saved, put back, or found.
package filter

import (
	"fmt"
	"path"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Options say which entries are dealt with. In patterns, * stands for anything but a slash and ** for anything. A pattern that begins with a slash is
// for whole paths; another matches at any depth. Below a directory that is excluded nothing is looked at.
type Options struct {
	Exclude    []string
	Include    []string // if any: only these, what is below them, and the directories above them
	LargerThan int64    // leave out larger files, in bytes; 0: none
	// Sample is asked of each path by itself, whatever is above it: only those that it chooses, and the directories above them. nil: it is not asked. It goes without Include.
	Sample func(path string) bool
}

// A Filter chooses entries. nil chooses everything.
type Filter struct {
	exclude, include []pattern
	largerThan       int64
	sample           func(path string) bool
}

type pattern struct {
	glob     string
	anchored bool
}

// New checks the patterns.
func New(o Options) (*Filter, error) {
	f := &Filter{largerThan: o.LargerThan, sample: o.Sample}
	for _, list := range []struct {
		from []string
		to   *[]pattern
	}{{o.Exclude, &f.exclude}, {o.Include, &f.include}} {
		for _, text := range list.from {
			p := pattern{glob: strings.TrimSuffix(text, "/"), anchored: strings.HasPrefix(text, "/")}
			if p.glob == "" || !doublestar.ValidatePattern(p.glob) {
				return nil, fmt.Errorf("pattern %q is malformed", text)
			}
			if !p.anchored && strings.Contains(p.glob, "/") {
				p.glob, p.anchored = "/**/"+p.glob, true
			}
			*list.to = append(*list.to, p)
		}
	}
	return f, nil
}

// matches reports whether the pattern is for the absolute path.
func (p pattern) matches(name string) bool {
	if !p.anchored {
		name = path.Base(name)
	}
	return doublestar.MatchUnvalidated(p.glob, name)
}

// Excludes reports whether the entry, and what is below it, is left out.
func (f *Filter) Excludes(name string, size uint64) bool {
	if f == nil {
		return false
	}
	if f.largerThan > 0 && size > uint64(f.largerThan) {
		return true
	}
	for _, p := range f.exclude {
		if p.matches(name) {
			return true
		}
	}
	return false
}

// Includes reports whether the entry is asked for, given whether a directory above it is; and whether something below it may be.
func (f *Filter) Includes(name string, above bool) (is, below bool) {
	if f != nil && f.sample != nil {
		return f.sample(name), true
	}
	if f == nil || len(f.include) == 0 || above {
		return true, true
	}
	for _, p := range f.include {
		if p.matches(name) {
			return true, true
		}
		below = below || !p.anchored || mayLeadTo(name, p.glob)
	}
	return false, below
}

// mayLeadTo reports whether something below a directory can match an anchored pattern.
func mayLeadTo(dir, glob string) bool {
	dirs, parts := strings.Split(strings.Trim(dir, "/"), "/"), strings.Split(strings.Trim(glob, "/"), "/")
	for i, d := range dirs {
		if i >= len(parts) {
			return false
		}
		if strings.Contains(parts[i], "**") || strings.ContainsAny(parts[i], "{}") { // alternatives may have slashes in them
			return true
		}
		if !doublestar.MatchUnvalidated(parts[i], d) {
			return false
		}
	}
	return true
}
