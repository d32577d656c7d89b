package repo

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

// A Standing is what the repository makes of an archive, in the words of doc/format.md, sections 8 and 9. Zero is that of an archive like any other.
type Standing uint8

// What an archive may be, several at once.
const (
	Late      Standing = 1 << iota // the store dated it too long after its last view, or otherwise than it says: what it refers to may be gone
	Verified                       // a record says that it counts, late or not
	Vouched                        // it counts by such a record alone: nobody but its signer says of when it is
	Redated                        // it is late and counted once, as it seems: it was stored again, alone or with the whole repository
	Backdated                      // it says that it is older than its job's predecessor
	Repeated                       // another says the same, word for word, and comes first

	lateByItself // whatever the store says: so it never counted
	rooted       // Verified by the root
)

// Is reports whether the archive is all of that.
func (s Standing) Is(what Standing) bool { return s&what == what }

// Counts reports whether prune keeps what the archive needs.
func (s Standing) Counts() bool { return s.Is(Verified) || !s.Is(Late) }

// Displaces reports whether the archive may stand before others of its job: as the latest, as the predecessor of the next, in retention.
func (s Standing) Displaces() bool { return s.Counts() && !s.Is(Backdated) && !s.Is(Repeated) }

// Faults returns why an archive may not stand before others, in words for people; none if it may.
func (s Standing) Faults() (words []string) {
	for _, is := range []struct {
		so   bool
		word string
	}{{!s.Counts(), "late"}, {s.Is(Backdated), "backdated"}, {s.Is(Repeated), "repeated"}} {
		if is.so {
			words = append(words, is.word)
		}
	}
	return words
}

func (s *Standing) set(what Standing, is bool) {
	if *s &^= what; is {
		*s |= what
	}
}

// StandAt sets when the archive was stored, and what follows from that for its standing. Where it is among others is not looked at.
func (r *Repository) StandAt(a *Archive, stored time.Time) {
	a.Stored = stored
	skewed, grace := sealed.Skewed(a.Time, stored), r.Keys().Allowance(a.View())
	a.set(Late, skewed || stored.Sub(a.View()) > grace)
	a.set(lateByItself, a.Time.Sub(a.View()) > grace)
	a.set(Vouched, skewed && a.Is(Verified))
}

// stand sets how archives stand among each other. Only those of one host have to do with each other, so it takes all of a host.
func stand(all []Archive, contents map[string][sha256.Size]byte, arrived time.Time) {
	byID, named := map[string]*Archive{}, map[string]bool{}
	for i := range all {
		byID[all[i].ID] = &all[i]
	}
	before := func(a *Archive) *Archive {
		if p := byID[a.Predecessor]; p != nil && p.Host == a.Host {
			return p
		}
		return nil
	}
	for i := range all {
		if p := before(&all[i]); p != nil {
			named[p.ID] = true
		}
	}
	for i := range all {
		a := &all[i]
		p := before(a)
		a.set(Backdated, p != nil && a.Time.Before(p.Time))
		a.set(Redated, !a.Counts() && !a.Is(lateByItself) && (named[a.ID] || arrived.Sub(a.Time) > sealed.MaxSkew))
	}
	markRepeated(all, contents, named)
}

// markRepeated marks all but one of those that say the same. Whoever can open an archive can seal it anew, signature and all, and X25519 takes other points for
// the same: so a signed archive may come again under another name, and another host could fill the places of a job with its own archives. The one is the first of
// those that count, else of those that others name. While one counts, it keeps what the others need, too: so of them it does not matter when they were stored.
func markRepeated(archives []Archive, contents map[string][sha256.Size]byte, named map[string]bool) {
	before := func(a, b *Archive) bool {
		switch {
		case a.Counts() != b.Counts():
			return a.Counts()
		case !a.Counts() && named[a.ID] != named[b.ID]:
			return named[a.ID]
		}
		return a.Stored.Before(b.Stored)
	}
	first := map[[sha256.Size]byte]*Archive{}
	for i := range archives {
		a := &archives[i]
		if other := first[contents[a.ID]]; other == nil || before(a, other) {
			first[contents[a.ID]] = a
		}
	}
	for i := range archives {
		a := &archives[i]
		one := first[contents[a.ID]]
		a.set(Repeated, one != a)
		a.set(Redated, a.Is(Redated) && (one == a || !one.Counts()))
	}
}

// arrived returns since when the store has the config, the first object of any repository. Nobody asks unless an archive is late.
func (r *Repository) arrived(ctx context.Context, all []Archive) (time.Time, error) {
	if !slices.ContainsFunc(all, func(a Archive) bool { return !a.Counts() }) {
		return time.Time{}, nil
	}
	info, err := r.Store().Stat(ctx, sealed.Config)
	if err == nil {
		info.Time, err = store.HomeTime(ctx, r.Store(), info)
	}
	if errors.Is(err, store.ErrNotExist) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("ask since when the store has the repository: %w", err)
	}
	return info.Time, nil
}
