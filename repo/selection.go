package repo

import (
	"fmt"
	"strings"
	"time"
)

// A Selection narrows archives down. Zero fields select everything.
type Selection struct {
	Host string
	Job  string
	Tags []string  // all of them
	At   time.Time // the newest not after this
}

// Select returns the archives that match, in the same order.
func (s Selection) Select(archives []Archive) []Archive {
	var out []Archive
	for _, a := range archives {
		if s.Host != "" && a.Host != s.Host || s.Job != "" && string(a.Job) != s.Job || !s.At.IsZero() && a.Time.After(s.At) || !a.hasTags(s.Tags) {
			continue
		}
		out = append(out, a)
	}
	return out
}

func (a *Archive) hasTags(want []string) bool {
	for _, w := range want {
		found := false
		for _, have := range a.Tags {
			found = found || string(have) == w
		}
		if !found {
			return false
		}
	}
	return true
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
