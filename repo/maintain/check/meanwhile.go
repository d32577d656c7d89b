package check

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/lists"
	"nightjar/repo/store"
)

// A check reads for hours what backups, prunes and their records change beside it. So nothing is called gone by an old view: a new one is taken first, and what
// somebody with the right to do so has removed meanwhile, and recorded that, is no fault.

const (
	heldMost = 1024 // findings of one archive that wait for a new view
	triesMax = 5    // of an archive, each by a new view
)

// errChanging says of an archive that all that can be said of it is old before it is said.
var errChanging = store.Unread(errors.New("the repository changed each time that it was looked at"))

// A missed pack is one that was not there when it was looked for.
type missed struct {
	pack *index.Pack
	Finding
}

// renew takes a new view.
func (c *checker) renew(ctx context.Context) error {
	if err := c.r.SyncIndex(ctx); err != nil {
		return err
	}
	c.lost = c.r.Lists()
	return nil
}

// settle tells of packs that are gone, but for those that prune has dropped or no index object names any more.
func (c *checker) settle(ctx context.Context) error {
	if len(c.missed) == 0 {
		return nil
	}
	if err := c.renew(ctx); err != nil {
		return err
	}
	for _, m := range c.missed {
		named, err := c.named(ctx, m.pack)
		if err != nil {
			return err
		}
		if !named {
			delete(c.bad, m.pack.ID)
			continue
		}
		if c.lost.Pack(m.pack.ID)&(lists.Lost|lists.Condemned) != 0 {
			m.What = Lost
		}
		c.found(m.Finding)
	}
	c.missed = nil
	return nil
}

// named reports whether anything is still said to be in a pack.
func (c *checker) named(ctx context.Context, p *index.Pack) (bool, error) {
	blobs := 0
	for _, f := range p.Directory.Frames {
		for _, b := range f.Blobs {
			all, err := c.rd.LocationsOf(ctx, b.Key, b.Type)
			if err != nil {
				return false, err
			}
			for i := range all {
				if all[i].Pack.ID == p.ID {
					return true, nil
				}
			}
			blobs++
		}
	}
	return blobs == 0, nil // of one that is said to be empty nobody can tell
}

// hasGone reports whether an object that was listed, and could not be read since it is not there, is not listed any more: records that have served are removed.
func (c *checker) hasGone(ctx context.Context, name string, err error) (bool, error) {
	if !errors.Is(err, store.ErrNotExist) {
		return false, nil
	}
	gone := true
	err = c.r.Store().List(ctx, name, func(store.Info) error { gone = false; return nil })
	if err != nil {
		return false, fmt.Errorf("look for %s: %w", name, err)
	}
	return gone, nil
}

// removed reports whether an archive has been removed since it was listed. One that nobody forgot is missing.
func (c *checker) removed(ctx context.Context, a *repo.Archive) (bool, error) {
	id, err := index.ParseObjectID(a.ID)
	if err != nil {
		return false, err
	}
	if there, err := isStored(ctx, c.r, id); there || err != nil {
		return false, err
	}
	gone, err := Vanished(ctx, c.r, func(index.ObjectID) bool { return false }, []Seen{{ID: id, Job: string(a.Job)}})
	if err == nil && len(gone) > 0 {
		c.found(Finding{What: Missing, Object: archiveName(id), Err: errVanished})
	}
	return true, err
}

var errVanished = errors.New("it was there when the check began, and nobody forgot it")

// An attempt is one walk through an archive, of which the findings wait until it is known that what they go by still holds.
type attempt struct {
	c       *checker
	ctx     context.Context
	a       *repo.Archive
	mark    [sha256.Size]byte // of the view that it began with
	held    []Finding
	sure    bool   // what is found is told at once
	stop    func() // ends the walk
	stopped error  // why that was called
}

// errOld says that an attempt goes by what holds no more.
var errOld = errors.New("the view is old")

// errRemoved says that there is no such archive any more.
var errRemoved = errors.New("the archive was removed")

// add takes a finding.
func (t *attempt) add(f Finding) {
	if t.sure {
		t.c.found(f)
		return
	}
	if t.held = append(t.held, f); len(t.held) < heldMost || t.stopped != nil {
		return
	}
	if t.stopped = t.confirm(); t.stopped != nil {
		t.stop()
	}
}

// confirm tells what was found, if that still holds: an error is errOld or errRemoved, or the store's.
func (t *attempt) confirm() error {
	if t.sure || len(t.held) == 0 {
		return nil
	}
	if err := t.c.renew(t.ctx); err != nil {
		return err
	}
	gone, err := t.c.removed(t.ctx, t.a)
	switch {
	case err != nil:
		return err
	case gone:
		return errRemoved
	case t.c.r.View().Mark() != t.mark:
		return errOld
	}
	t.sure = true
	for _, f := range t.held {
		t.c.found(f)
	}
	t.held = nil
	return nil
}

// walkNow walks one archive by what holds now, and tells what is wrong with it.
func (c *checker) walkNow(ctx context.Context, a *repo.Archive) error {
	for try := 1; ; try++ {
		archives, trees, files := c.sum.Archives, c.sum.Trees, c.sum.Files
		walking, stop := context.WithCancel(ctx)
		t := &attempt{c: c, ctx: ctx, a: a, mark: c.r.View().Mark(), stop: stop}
		err := c.walkOne(walking, a, t)
		stop()
		if t.stopped != nil {
			err = t.stopped
		} else if err == nil {
			err = t.confirm()
		}
		switch {
		case errors.Is(err, errRemoved):
			c.sum.Archives, c.sum.Trees, c.sum.Files = archives, trees, files
			return nil
		case !errors.Is(err, errOld):
			return err
		case try == triesMax:
			c.found(Finding{What: Unread, Archive: a.ID, Path: "/", Err: errChanging})
			return nil
		}
		c.sum.Archives, c.sum.Trees, c.sum.Files = archives, trees, files
		c.whole.Clear() // some of it before its recipes were tried
		clear(c.made)
	}
}

// vanished reports whether an archive that was listed was gone when it was read.
func (c *checker) vanished(ctx context.Context, id index.ObjectID, err error) (bool, error) {
	if !errors.Is(err, store.ErrNotExist) {
		return false, nil
	}
	there, err := isStored(ctx, c.r, id)
	return err == nil && !there, err
}
