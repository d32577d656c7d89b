package retain

import (
	"errors"
	"fmt"

	"nightjar/repo"
)

// An archive may need others, as its label says: binary logs are of no use without the dump that they follow. Only archives of its own host are heeded: what
// one host writes keeps nothing of another's, where it could fill the repository with what its owner wants gone. A host can keep its own for as long as it
// writes archives anyway.

// ErrNeeded says that an archive cannot be given up, since another that stays needs it.
var ErrNeeded = errors.New("another archive needs it")

// keepNeeded keeps what archives need that stay, and what that needs. Of those that need it the newest is named.
func keepNeeded(decisions []Decision, archives []repo.Archive) {
	judged, known := map[string]*Decision{}, map[string]*repo.Archive{}
	for i := range decisions {
		judged[decisions[i].ID] = &decisions[i]
	}
	var stay []*repo.Archive
	for i := len(archives) - 1; i >= 0; i-- {
		a := &archives[i]
		known[a.ID] = a
		if d := judged[a.ID]; d == nil && a.Forgotten.IsZero() || d != nil && d.Keep {
			stay = append(stay, a)
		}
	}
	for len(stay) > 0 {
		a := stay[0]
		stay = stay[1:]
		var absent, givenUp []string
		for _, id := range a.Labels.Needs() {
			other, d := known[id], judged[id]
			switch {
			case other == nil || other.Host != a.Host:
				absent = append(absent, id)
			case !other.Forgotten.IsZero():
				givenUp = append(givenUp, id)
			case d != nil && !d.Keep:
				d.keep(fmt.Sprintf("needed by %.8s", a.ID))
				stay = append(stay, other)
			}
		}
		if d := judged[a.ID]; d != nil {
			d.lacks(absent, "this host does not have", "this host does not have")
			d.lacks(givenUp, "was given up", "were given up")
		}
	}
}

// lacks notes with an archive that stays what it needs and will not have.
func (d *Decision) lacks(ids []string, one, more string) {
	switch n := len(ids); n {
	case 0:
	case 1:
		d.Reasons = append(d.Reasons, fmt.Sprintf("needs %.8s, which %s", ids[0], one))
	default:
		d.Reasons = append(d.Reasons, fmt.Sprintf("needs %.8s and %d more, which %s", ids[0], n-1, more))
	}
}

// Needed returns which of the archives some of them need, and what that needs, without those some.
func Needed(archives, some []repo.Archive) (needed []repo.Archive) {
	known, has := map[string]*repo.Archive{}, map[string]bool{}
	for i := range archives {
		known[archives[i].ID] = &archives[i]
	}
	for i := range some {
		has[some[i].ID] = true
	}
	add := func(a *repo.Archive) {
		for _, id := range a.Labels.Needs() {
			if other := known[id]; other != nil && other.Host == a.Host && !has[id] {
				has[id] = true
				needed = append(needed, *other)
			}
		}
	}
	for i := range some {
		add(&some[i])
	}
	for i := 0; i < len(needed); i++ {
		a := needed[i]
		add(&a)
	}
	return needed
}

// Unneeded returns an ErrNeeded if one that is named is needed by an archive that stays.
func Unneeded(archives []repo.Archive, named func(id string) bool) error {
	hosts := map[string]string{}
	for i := range archives {
		hosts[archives[i].ID] = archives[i].Host
	}
	for i := len(archives) - 1; i >= 0; i-- {
		a := &archives[i]
		if !a.Forgotten.IsZero() || named(a.ID) {
			continue
		}
		for _, id := range a.Labels.Needs() {
			if named(id) && hosts[id] == a.Host {
				return fmt.Errorf("give up archive %.8s: archive %.8s of job %q: %w", id, a.ID, a.Job, ErrNeeded)
			}
		}
	}
	return nil
}
