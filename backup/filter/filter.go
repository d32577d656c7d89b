// Package filter chooses entries by path and size: what is saved, put back, or found.
package filter

import (
	"fmt"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Options say which entries are dealt with. The rules of patterns are in doc/patterns.md: * stands for anything but a slash and ** for anything; a pattern that begins with a slash is
// for whole paths, another matches at any depth; one that ends with a slash is for folders. Below a directory that is excluded nothing is looked at.
type Options struct {
	Exclude    []string // the last that matches decides: one that begins with ! takes back
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

// New checks the patterns.
func New(o Options) (*Filter, error) {
	f := &Filter{largerThan: o.LargerThan, sample: o.Sample}
	for _, text := range o.Exclude {
		p, err := parseAfter(text, len(f.exclude) > 0)
		if err != nil {
			return nil, err
		}
		f.exclude = append(f.exclude, p)
	}
	for _, text := range o.Include {
		p, err := parse(text)
		if err != nil {
			return nil, err
		}
		if p.negated {
			return nil, fmt.Errorf("pattern %q: only patterns of what is left out are taken back by one with !; \\! stands for a name's own", text)
		}
		f.include = append(f.include, p)
	}
	return f, nil
}

// Check returns an error if a pattern of what is left out can match nothing, or takes nothing back as none comes before it.
func Check(text string, after bool) error {
	_, err := parseAfter(text, after)
	return err
}

// parseAfter reads a pattern that others come before, or not.
func parseAfter(text string, after bool) (pattern, error) {
	p, err := parse(text)
	if err == nil && p.negated && !after {
		err = fmt.Errorf("pattern %q: it takes nothing back, since no pattern before it leaves anything out; \\! stands for a name's own", text)
	}
	return p, err
}

// Excludes reports whether the entry, and what is below it, is left out. size is 0 but for files.
func (f *Filter) Excludes(name string, folder bool, size uint64) bool {
	if f == nil {
		return false
	}
	if f.largerThan > 0 && size > uint64(f.largerThan) {
		return true
	}
	for i := len(f.exclude) - 1; i >= 0; i-- {
		if p := &f.exclude[i]; p.matches(name, folder) {
			return !p.negated
		}
	}
	return false
}

// Includes reports whether the entry is asked for, given whether a directory above it is; and whether something below it may be.
func (f *Filter) Includes(name string, folder, above bool) (is, below bool) {
	if f != nil && f.sample != nil {
		return f.sample(name), true
	}
	if f == nil || len(f.include) == 0 || above {
		return true, true
	}
	for i := range f.include {
		p := &f.include[i]
		if p.matches(name, folder) {
			return true, true
		}
		below = below || !p.anchored || p.mayLeadTo(name)
	}
	return false, below
}

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
