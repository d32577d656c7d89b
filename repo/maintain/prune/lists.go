package prune

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/lists"
	"nightjar/repo/lookup"
	"nightjar/repo/maintain/retain"
	"nightjar/repo/pack"
	"nightjar/repo/record"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

// A list is a condemned or dropped list in the store.
type list struct {
	store.Info
	id    index.ObjectID
	ended time.Time // of a condemned one: when a list was stored that says what was dropped of it
	whole bool      // and that is all of it
	due   bool      // and none was, and the grace has passed
	gone  bool      // and it was removed

	// Of a dropped one.
	names bool           // an index object names something in it
	read  bool           // and it could be
	ends  index.ObjectID // a condemned list
}

// findLists notes which lists there are: condemned ones first.
func (p *pruner) findLists(ctx context.Context) error {
	for _, kind := range []string{record.CondemnedKind, record.DroppedKind} {
		into := &p.condemned
		if kind == record.DroppedKind {
			into = &p.dropped
		}
		err := p.r.Store().List(ctx, kind+"/", func(i store.Info) error {
			id, err := sealed.ObjectID(i.Name)
			if sealed.Kind(i.Name) == "" || err != nil {
				return nil
			}
			*into = append(*into, &list{Info: i, id: id})
			return nil
		})
		if err != nil {
			return fmt.Errorf("list %s objects: %w", kind, err)
		}
		slices.SortFunc(*into, func(a, b *list) int { return a.Time.Compare(b.Time) })
	}
	return nil
}

// read reads a record of maintenance into v, and reports whether it can be used.
func (p *pruner) read(ctx context.Context, info store.Info, v any) (bool, error) {
	content, _, err := p.r.Record(ctx, info)
	return p.decode(ctx, info.Name, content, err, v)
}

// decode decodes a record into v. One that has vanished was dealt with by another prune.
func (p *pruner) decode(ctx context.Context, name string, content []byte, err error, v any) (bool, error) {
	if err == nil {
		err = record.Decode(content, v)
	}
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case errors.Is(err, store.ErrNotExist):
		return false, fmt.Errorf("read %s: %w", name, errAgain)
	case errors.Is(err, repo.ErrUnread):
		return false, err
	case err != nil && !errors.Is(err, repo.ErrDisowned):
		if id, ok := store.SumOf(name); ok {
			p.unreadable[id] = err
		}
		p.o.Problem(fmt.Errorf("pass over %s: %w", name, err))
	}
	return err == nil, nil
}

// readLists marks what lists name. One list is in memory at a time.
func (p *pruner) readLists(ctx context.Context) error {
	ended := map[index.ObjectID]time.Time{}
	for _, l := range p.dropped {
		var d record.Dropped
		ok, err := p.read(ctx, l.Info, &d)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		l.read = true
		if d.Void(l.Time, p.grace(l.Time)) {
			// It may be one that counted and was stored again: then it has to stay as long.
			for _, id := range d.Packs {
				l.names = p.note(id, 0)&named != 0 || l.names
			}
			for _, b := range d.Blobs {
				l.names = p.note(b.Pack, 0)&named != 0 || l.names
			}
			continue
		}
		l.ends = d.Condemned
		if at, ok := ended[d.Condemned]; !ok || l.Time.Before(at) {
			ended[d.Condemned] = l.Time
		}
		for _, id := range d.Packs {
			l.names = p.note(id, dropped)&named != 0 || l.names
		}
		for _, b := range d.Blobs {
			l.names = p.note(b.Pack, 0)&named != 0 || l.names
		}
		if err := p.blobs(d.Blobs, func(at *lookup.Place) { p.gone.Set(at.Entry) }); err != nil {
			return err
		}
	}
	for _, l := range p.condemned {
		var c record.Condemned
		ok, err := p.read(ctx, l.Info, &c)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		l.ended = ended[l.id]
		l.due = l.ended.IsZero() && p.now.After(p.ripens(l)) && !p.r.Lists().Ended(l.id)
		s, marks := condemned, []lookup.Marks{p.held}
		if l.due {
			s, marks = s|ripe, append(marks, p.due)
		}
		l.whole = true
		for _, id := range c.Packs {
			l.whole = p.note(id, s)&dropped != 0 && l.whole
		}
		err = p.blobs(c.Blobs, func(at *lookup.Place) {
			for _, m := range marks {
				m.Set(at.Entry)
			}
			l.whole = l.whole && p.gone.Has(at.Entry)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// ripens returns when a condemned list is due: nobody who does not know it can store anything that counts after that.
func (p *pruner) ripens(l *list) time.Time {
	ripe := l.Time.Add(p.grace(l.Time) + sealed.MaxSkew)
	if ripe.Before(p.hold) {
		return p.hold
	}
	return ripe
}

// keepCondemned has nothing dropped until a grace period after an archive that cannot be read was given up: what it needs nobody can say, and one that can be read
// would keep that as long.
func (p *pruner) keepCondemned(givenUp time.Time) {
	if until := givenUp.Add(p.grace(givenUp)); until.After(p.hold) {
		p.hold = until
	}
}

// readLost notes what repair gave up, and returns since when of objects.
func (p *pruner) readLost(ctx context.Context) (map[index.ObjectID]time.Time, error) {
	all, at := map[index.ObjectID]lists.List{}, map[index.ObjectID]time.Time{}
	err := p.r.Records(ctx, record.LostKind, func(x sealed.Record) error {
		var l record.Lost
		ok, err := p.decode(ctx, x.Name, x.Content, x.Err, &l)
		if !ok {
			return err
		}
		for _, id := range l.Objects {
			if before, ok := at[id]; !ok || x.Time.Before(before) {
				at[id] = x.Time
			}
		}
		all[x.ID], err = lists.Parse(record.LostKind, x.Content, x.Time, 0)
		return err
	})
	p.lost = lists.New(all)
	return at, err
}

// blobs calls f for each place that a list names in packs that stay.
func (p *pruner) blobs(blobs []record.Blobs, f func(*lookup.Place)) error {
	for _, b := range blobs {
		for _, part := range []struct {
			keys   record.Keys
			recipe bool
		}{{b.Recipes, true}, {b.Trees, false}} {
			for _, key := range part.keys {
				if err := p.inPack(b.Pack, key, part.recipe, f); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// inPack calls f for each place of a key in a pack that is a recipe, or a tree or list.
func (p *pruner) inPack(id index.ObjectID, key chunk.Key, recipe bool, f func(*lookup.Place)) error {
	first, end := p.f.Numbers(id)
	if first == end {
		return nil
	}
	places, err := p.f.Places(key, p.inner[:0])
	p.inner = places
	for i := range places {
		if at := &places[i]; first <= at.Pack && at.Pack < end && leans(at.Type) && isRecipe(at.Type) == recipe {
			f(at)
		}
	}
	return err
}

func isRecipe(t pack.Type) bool { return t > pack.RecipeFor && t < pack.SignatureOf }

// leans reports whether a blob is of no use without others.
func leans(t pack.Type) bool { return isRecipe(t) || t == pack.WholeTree || t == pack.WholeList }

// readArchives notes what counts, and removes what was forgotten long ago.
func (p *pruner) readArchives(ctx context.Context) error {
	forgotten, err := retain.Forgotten(ctx, p.r, func(name string, err error) { p.o.Problem(fmt.Errorf("pass over %s: %w", name, err)) })
	if err != nil {
		return err
	}
	over := func(at time.Time) bool { return p.now.After(at.Add(p.grace(at))) }
	lostAt, err := p.readLost(ctx)
	if err != nil {
		return err
	}
	var names []string // to remove
	listed := map[index.ObjectID]bool{}
	all, err := p.r.Archives(ctx, func(name string, err error) {
		id, _ := store.SumOf(name)
		listed[id] = true
		at, given := forgotten[id]
		switch {
		case given && over(at.At):
			names = append(names, name)
		case errors.Is(err, store.ErrNotExist): // another prune
		case errors.Is(err, repo.ErrDisowned): // it does not count
		case given:
			p.keepCondemned(at.At)
		case p.lost.Object(id) && over(lostAt[id]) && errors.Is(err, crypto.ErrIntegrity): // its bytes are no archive, and nobody has put it back
			names = append(names, name)
		case p.lost.Object(id):
			p.keepCondemned(lostAt[id])
		default:
			p.incomplete.add(name, err)
		}
	})
	if err != nil {
		return err
	}
	for i := range all {
		a := &all[i]
		id, err := index.ParseObjectID(a.ID)
		if err != nil {
			return err
		}
		listed[id] = true
		at, given := forgotten[id]
		if given && !over(at.At) {
			p.sum.ArchivesForgotten++
			p.dueAt(at.At.Add(p.grace(at.At)))
		}
		switch {
		case given && over(at.At):
			names = append(names, "archive/"+a.ID)
		case p.caution && given: // what it needs may be condemned at any time
		case a.Counts(), p.caution && a.Is(repo.Redated):
			p.archives = append(p.archives, *a)
		case a.Is(repo.Redated):
			p.incomplete.add(a.ID, ErrRedated)
		default:
			p.sum.ArchivesLate++
			p.o.Problem(fmt.Errorf("archive %s was stored too late: it does not count, and what it needs may go", a.ID))
		}
	}
	p.sum.Archives = len(p.archives)
	known := func(id index.ObjectID) bool { return listed[id] || p.lost.Object(id) }
	if err := p.findGaps(ctx, all, forgotten, known); err != nil {
		return err
	}
	if len(p.incomplete.Archives) > 0 || p.caution {
		return nil // which the walk tells of, with those that it cannot walk
	}
	return p.removeArchives(ctx, names)
}

func (p *pruner) removeArchives(ctx context.Context, names []string) error {
	for _, name := range names {
		if err := p.remove(ctx, name); err != nil {
			return err
		}
		p.sum.ArchivesRemoved++
	}
	return nil
}

// findGaps notes the archives that are gone though nobody forgot them.
func (p *pruner) findGaps(ctx context.Context, all []repo.Archive, forgotten map[index.ObjectID]retain.GivenUp, known func(index.ObjectID) bool) error {
	gaps := retain.Gaps(all, forgotten, known)
	maps.Copy(gaps, retain.Unseen(p.o.Seen, forgotten, known))
	var gap *retain.GapError
	if err := retain.Unbroken(ctx, p.r, gaps); errors.As(err, &gap) && !gap.Stored {
		p.incomplete.add(gap.Archive.String(), err)
	} else if err != nil {
		return err
	}
	return nil
}
