package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/maintain/retain"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

// Seen is an archive that this host has seen in the repository.
type Seen = retain.Seen

// list returns all archives, oldest first, and tells of those that are damaged, or gone though nobody forgot them.
func (c *checker) list(ctx context.Context) ([]repo.Archive, error) {
	present := map[index.ObjectID]bool{}
	var vanished []Seen
	var failed error
	all, err := c.r.Archives(ctx, func(name string, err error) {
		if id, badName := sealed.ObjectID(name); badName == nil {
			gone, asked := c.vanished(ctx, id, err)
			failed = errors.Join(failed, asked)
			if gone { // whether by a record, is seen below
				vanished = append(vanished, Seen{ID: id})
				return
			}
			present[id] = true
		}
		c.record(name, err)
	})
	if err = errors.Join(err, failed); err != nil {
		return nil, err
	}
	for i := range all {
		a := &all[i]
		if id, err := index.ParseObjectID(a.ID); err == nil {
			present[id] = true
		}
		if a.Is(repo.Redated) {
			c.found(Finding{What: Redated, Object: "archive/" + a.ID, Err: fmt.Errorf("it says %s, and the store %s", a.Time.Format(time.RFC3339), a.Stored.Format(time.RFC3339))})
		}
	}
	gaps, err := c.gaps(ctx, all, present)
	if err != nil {
		return nil, err
	}
	if vanished, err = Vanished(ctx, c.r, func(index.ObjectID) bool { return false }, vanished); err != nil {
		return nil, err
	}
	for _, v := range vanished {
		gaps[v.ID] = errVanished
	}
	for id, why := range gaps {
		if there, err := isStored(ctx, c.r, id); err != nil {
			return nil, err
		} else if there {
			continue
		}
		f := Finding{What: Missing, Object: archiveName(id), Err: why}
		if c.lost.Object(id) {
			f.What = Lost
		}
		c.found(f)
	}
	return all, c.needs(ctx, all, present)
}

// needs tells of archives that need others, which their host does not have.
func (c *checker) needs(ctx context.Context, all []repo.Archive, present map[index.ObjectID]bool) error {
	hosts := map[index.ObjectID]string{}
	for i := range all {
		if id, err := index.ParseObjectID(all[i].ID); err == nil {
			hosts[id] = all[i].Host
		}
	}
	for i := range all {
		a := &all[i]
		if id, err := index.ParseObjectID(a.ID); err == nil {
			if _, forgotten := c.forgotten[id]; forgotten {
				continue
			}
		}
		first, lacks := "", 0
		for _, need := range a.Labels.Needs() {
			id, err := index.ParseObjectID(need)
			if host, readable := hosts[id]; err != nil || host == a.Host || !readable && present[id] {
				continue
			}
			if lacks == 0 && !present[id] { // one is enough to ask for: a host may name as many as it likes
				if there, err := isStored(ctx, c.r, id); err != nil {
					return err
				} else if there {
					continue
				}
			}
			first, lacks = cmp.Or(first, need), lacks+1
		}
		if lacks > 0 {
			err := fmt.Errorf("archives that it needs, and that host %q does not have: %d; the first is %.8s", a.Host, lacks, first)
			c.found(Finding{What: Unmet, Archive: a.ID, Path: "/", Err: err})
		}
	}
	return nil
}

// isStored asks for one archive: a listing may lag behind.
func isStored(ctx context.Context, r *repo.Repository, id index.ObjectID) (bool, error) {
	_, err := r.Store().Stat(ctx, archiveName(id))
	if errors.Is(err, store.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for an archive: %w", err)
	}
	return true, nil
}

func archiveName(id index.ObjectID) string { return "archive/" + id.String() }

// gaps returns the archives that should be there and are not, with who says so.
func (c *checker) gaps(ctx context.Context, all []repo.Archive, present map[index.ObjectID]bool) (map[index.ObjectID]error, error) {
	forgotten, err := retain.Forgotten(ctx, c.r, passOver)
	if err != nil {
		return nil, err
	}
	listed := func(id index.ObjectID) bool { return present[id] }
	unlisted := retain.Unseen(c.o.Seen, forgotten, listed)
	if c.chosen {
		if c.chosen, err = retain.MayBeCopy(ctx, c.r); err != nil {
			return nil, err
		}
	}
	if !c.chosen {
		maps.Copy(unlisted, retain.Gaps(all, forgotten, listed))
	}
	gaps := map[index.ObjectID]error{}
	for id, said := range unlisted {
		gaps[id] = fmt.Errorf("%s, and nobody forgot it: it was deleted, or is hidden", said)
	}
	return gaps, nil
}

// Vanished returns which of the archives that a host has seen are gone, though nobody forgot them and no repair gave them up. all is what is there.
func Vanished(ctx context.Context, r *repo.Repository, present func(index.ObjectID) bool, seen []Seen) ([]Seen, error) {
	var gone []Seen
	var forgotten map[index.ObjectID]retain.GivenUp
	for _, s := range seen {
		if present(s.ID) {
			continue
		}
		if forgotten == nil {
			var err error
			if forgotten, err = retain.Forgotten(ctx, r, passOver); err != nil {
				return nil, err
			}
			if err := r.SyncLists(ctx); err != nil {
				return nil, err
			}
		}
		if _, ok := forgotten[s.ID]; ok || r.Lists().Object(s.ID) {
			continue
		}
		there, err := isStored(ctx, r, s.ID)
		if err != nil {
			return nil, err
		}
		if !there {
			gone = append(gone, s)
		}
	}
	return gone, nil
}

// passOver passes over a record that cannot be read: a check has told of it.
func passOver(string, error) {}
