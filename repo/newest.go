package repo

import (
	"cmp"
	"context"
	"crypto/sha256"
	"slices"
	"strings"
	"time"

	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

// Found is what came of looking for the newest archive.
type Found struct {
	Newest *Archive  // nil: there is none
	Opened []Archive // those that were read, oldest first; if there is none, all, as Archives returns them
	More   bool      // there are others, which were not read
}

// Newest looks for the newest archive of a host, of any if it is "", that may displace others and fits. damaged is told of each that cannot be read.
//
// It reads the newest first, and stops as soon as no other can be newer, or say the same and come first. Such a one would count. Those that count since a record
// says so are all read before. What else counts was stored within MaxSkew of the time that it says, and the store lists nothing with an earlier time than
// that of when it was stored: so it is not among those that are listed more than MaxSkew before the time of the one that was found. Whether that one is dated
// before its predecessor, only the predecessor can say, which is read, too.
func (l *Roll) Newest(ctx context.Context, host string, fits func(*Archive) bool, damaged func(name string, err error)) (Found, error) {
	s := search{l: l, ctx: ctx, host: host, damaged: damaged, contents: map[string][sha256.Size]byte{}, byName: map[string]store.Info{}}
	var first []store.Info
	for _, info := range l.r.Of(l.infos, host) {
		if id, ok := store.SumOf(info.Name); ok && l.verified.Late[id] {
			first = append(first, info)
			continue
		}
		s.left = append(s.left, info)
		s.byName[info.Name] = info
	}
	slices.SortFunc(s.left, func(a, b store.Info) int { return cmp.Or(b.Time.Compare(a.Time), strings.Compare(a.Name, b.Name)) })
	if err := s.read(first); err != nil {
		return Found{}, err
	}
	for n := 2; ; n *= 2 {
		next := s.next(n)
		if err := s.read(next); err != nil {
			return Found{}, err
		}
		if newest, err := s.find(fits); newest != nil || err != nil {
			return Found{newest, s.opened, len(s.byName) > 0}, err
		}
		if len(next) == 0 {
			break
		}
	}
	arrived, err := l.r.arrived(ctx, s.opened)
	if err != nil {
		return Found{}, err
	}
	stand(s.opened, s.contents, arrived)
	return Found{Opened: s.opened}, nil
}

// A search looks for the newest archive that fits.
type search struct {
	l       *Roll
	ctx     context.Context
	host    string
	damaged func(name string, err error)

	left     []store.Info          // not read yet, the newest first
	byName   map[string]store.Info // the same
	opened   []Archive             // oldest first
	contents map[string][sha256.Size]byte
	ahead    bool // the home's clock is ahead of that of the copy: when the copy got an archive says nothing
}

// next takes the newest n of those that were not read.
func (s *search) next(n int) (next []store.Info) {
	for len(s.left) > 0 && len(next) < n {
		if _, ok := s.byName[s.left[0].Name]; ok {
			next = append(next, s.left[0])
		}
		s.left = s.left[1:]
	}
	return next
}

func (s *search) read(infos []store.Info) error {
	listed := map[string]time.Time{}
	for _, info := range infos {
		delete(s.byName, info.Name)
		listed[strings.TrimPrefix(info.Name, "archive/")] = info.Time
	}
	more, contents, err := s.l.read(s.ctx, infos, s.damaged)
	if err != nil {
		return err
	}
	for _, a := range more {
		if s.host == "" || a.Host == s.host {
			s.opened = append(s.opened, a)
			s.contents[a.ID] = contents[a.ID]
			s.ahead = s.ahead || a.Stored.After(listed[a.ID])
		}
	}
	slices.SortFunc(s.opened, func(a, b Archive) int { return older(&a, &b) })
	return nil
}

// certain reports whether no archive that was not read can be newer than a, or say the same and come first.
func (s *search) certain(a *Archive) bool {
	for len(s.left) > 0 {
		if last, ok := s.byName[s.left[0].Name]; ok {
			return !s.ahead && a.Time.After(last.Time.Add(sealed.MaxSkew))
		}
		s.left = s.left[1:]
	}
	return true
}

// find returns the newest of those that were read, if it is certain that it is the one. It reads at most one predecessor more: whoever floods a repository with
// archives that are dated before theirs makes nobody sort them again for each.
func (s *search) find(fits func(*Archive) bool) (*Archive, error) {
	stood, asked := false, false
	for i := len(s.opened) - 1; i >= 0; i-- {
		a := &s.opened[i]
		if !s.certain(a) {
			return nil, nil
		}
		if !a.Counts() || !fits(a) {
			continue
		}
		if p, ok := s.byName["archive/"+a.Predecessor]; ok {
			if asked {
				return nil, nil
			}
			if err := s.read([]store.Info{p}); err != nil {
				return nil, err
			}
			i, stood, asked = len(s.opened), false, true // the predecessor may stand anywhere
			continue
		}
		if !stood {
			stand(s.opened, s.contents, time.Time{})
			stood = true
		}
		if a.Displaces() {
			return a, nil
		}
	}
	return nil, nil
}
