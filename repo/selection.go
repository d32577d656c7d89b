package repo

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Selection narrows archives down. Zero fields select everything.
type Selection struct {
	Host   string
	Job    string
	Kinds  []string  // any of them
	Tags   []string  // all of them
	Labels Labels    // all of them, with these values
	At     time.Time // the newest not after this
}

// IsZero reports whether the selection has everything.
func (s Selection) IsZero() bool {
	return s.Host == "" && s.Job == "" && len(s.Kinds) == 0 && len(s.Tags) == 0 && len(s.Labels) == 0 && s.At.IsZero()
}

// Select returns the archives that fit, in the same order.
func (s Selection) Select(archives []Archive) []Archive {
	var out []Archive
	for i := range archives {
		if s.Fits(&archives[i]) {
			out = append(out, archives[i])
		}
	}
	return out
}

// Fits reports whether the selection has the archive.
func (s Selection) Fits(a *Archive) bool {
	if s.Host != "" && a.Host != s.Host || s.Job != "" && string(a.Job) != s.Job || !s.At.IsZero() && a.Time.After(s.At) {
		return false
	}
	if len(s.Kinds) > 0 && !slices.Contains(s.Kinds, string(a.Kind)) {
		return false
	}
	for _, want := range s.Tags {
		if !slices.Contains(a.Tags, Text(want)) {
			return false
		}
	}
	for name, want := range s.Labels {
		if value, ok := a.Labels[name]; !ok || value != want {
			return false
		}
	}
	return true
}

// OfPaths returns the same selection, of archives of files and streams alone unless it names kinds: so whoever asks for the latest gets what people named, and
// not, say, the binary logs of the last minutes.
func (s Selection) OfPaths() Selection {
	if len(s.Kinds) == 0 {
		s.Kinds = []string{string(Files), string(Stream)}
	}
	return s
}

// Latest returns the place of the newest archive that may displace others and was not given up; -1: there is none. archives are in order of time.
func Latest(archives []Archive) int {
	for i := len(archives) - 1; i >= 0; i-- {
		if archives[i].Displaces() && archives[i].Forgotten.IsZero() {
			return i
		}
	}
	return -1
}

// Find returns the archive that name stands for: "latest", the newest that may displace others and was not given up, or at least eight digits of an id.
// archives are in order of time.
func Find(archives []Archive, name string) (*Archive, error) {
	if name == "latest" {
		if i := Latest(archives); i >= 0 {
			return &archives[i], nil
		}
		if len(archives) > 0 { // a repository that was copied without its times: better than nothing at 3 a.m.
			return &archives[len(archives)-1], nil
		}
		return nil, fmt.Errorf("latest: %w", ErrNoArchive)
	}
	const short = 8
	if len(name) < short {
		return nil, fmt.Errorf("archive %q: give at least %d digits: %w", name, short, ErrNoArchive)
	}
	var found *Archive
	for i := range archives {
		if !strings.HasPrefix(archives[i].ID, name) {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("archive %q: several begin like this: %w", name, ErrNoArchive)
		}
		found = &archives[i]
	}
	if found == nil {
		return nil, fmt.Errorf("archive %q: %w", name, ErrNoArchive)
	}
	return found, nil
}
