package prune

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"nightjar/chunk"
	"nightjar/repo"
	"nightjar/repo/lookup"
	"nightjar/repo/record"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
	"nightjar/repo/tree"
	"nightjar/repo/walk"
)

// walkArchives marks what archives need: those together that may be made of the same hosts' chunks. It fails once all were tried if one cannot be walked to its end.
func (p *pruner) walkArchives(ctx context.Context) error {
	m := &marker{pruner: p, ctx: ctx}
	groups := map[string][]*repo.Archive{}
	for i := range p.archives {
		a := &p.archives[i]
		name := p.r.Circle(a).Key()
		groups[name] = append(groups[name], a)
	}
	done := 0
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		group := groups[name]
		clear(p.walked)
		m.broken = map[walk.Use]error{}
		takes := repo.Of(p.r.Circle(group[0]))
		m.circle, m.rd = make([]bool, len(p.f.Origins())), p.rd.For(takes)
		for i := range m.circle {
			m.circle[i] = takes(&p.f.Origins()[i])
		}
		w := m.walk()
		for _, a := range group {
			if err := w.Root(a.Root.ID, a.Root.Length); err != nil {
				if ctx.Err() != nil || errors.Is(err, repo.ErrUnread) || errors.Is(err, lookup.ErrBroken) {
					return err
				}
				if overtaken, failed := p.overtaken(ctx, a); overtaken || failed != nil {
					return cmp.Or(failed, fmt.Errorf("walk archive %s: %w", a.ID, errAgain))
				}
				p.incomplete.add(a.ID, err)
			}
			done++
			if p.o.Progress != nil {
				p.o.Progress(done, len(p.archives))
			}
		}
	}
	if err := p.r.UnreadIndexes(); len(p.incomplete.Archives) > 0 && err != nil { // it may name what they seem to lack
		return err
	}
	if len(p.incomplete.Archives) > 0 && !p.caution {
		return &p.incomplete
	}
	return nil
}

// overtaken reports whether another prune has removed an archive since this one began, or dropped what it may have taken to be the only copy of something.
func (p *pruner) overtaken(ctx context.Context, a *repo.Archive) (bool, error) {
	if _, err := p.r.Store().Stat(ctx, "archive/"+a.ID); err != nil {
		if errors.Is(err, store.ErrNotExist) {
			return true, nil
		}
		return false, err
	}
	known := map[string]bool{}
	for _, l := range p.dropped {
		known[l.Name] = true
	}
	fresh := false
	err := p.r.Store().List(ctx, record.DroppedKind+"/", func(i store.Info) error {
		fresh = fresh || !known[i.Name] && sealed.Kind(i.Name) != ""
		return nil
	})
	return fresh, err
}

// needOf returns what serves a use.
func needOf(u walk.Use) need {
	switch u.Kind {
	case walk.Chunk:
		return anyContent
	case walk.Tree:
		return anyTree
	default:
		return anyList
	}
}

// walk returns what walks archives of the marker's circle: each tree and list once.
func (m *marker) walk() *walk.Walk {
	return &walk.Walk{
		Get: func(id chunk.ID) ([]byte, error) { return m.rd.Metadata(m.ctx, id) },
		Enter: func(u walk.Use, _ int64) (bool, error) {
			if err := m.ctx.Err(); err != nil {
				return false, err
			}
			return m.begin(u)
		},
		Chunk: func(item tree.Item, _ int64) error {
			_, err := m.begin(walk.Use{ID: item.ID})
			return err
		},
		Failed: m.fail,
		Leave: func(u walk.Use, err error) error {
			if err == nil {
				return nil
			}
			if u.Kind == walk.List {
				if again := m.again(u); again != nil {
					return again
				}
			}
			return m.fail(u, err)
		},
	}
}

// begin keeps what serves a need, and reports whether this is the first time that archives of the group ask for it. What failed the first time fails again.
func (m *marker) begin(u walk.Use) (bool, error) {
	if err := m.broken[u]; err != nil {
		return false, err
	}
	id, n := u.ID, needOf(u)
	all, err := m.places(id.Key(), m.outer[:0])
	m.outer = all
	if err != nil {
		return false, err
	}
	i := slices.IndexFunc(all, func(at lookup.Place) bool { return n.served(&at) && m.circle[at.Origin] })
	if i >= 0 && !m.walked.Set(all[i].Entry) {
		return false, nil
	}
	ok, err := m.keep(id.Key(), all, n)
	if err == nil {
		m.keepSignatures(id.Key(), all)
	}
	if ok || err != nil || m.lost.Chunk(id) {
		return ok, err
	}
	return false, m.fail(u, fmt.Errorf("%v: %w", id, errMissing))
}

// fail notes that what archives of the group need is not there, or not all below it.
func (m *marker) fail(u walk.Use, err error) error {
	if m.passing(err) == nil {
		m.broken[u] = err
	}
	return err
}

// again has what was dealt with dealt with for another use, too: it may be whole for that.
func (m *marker) again(u walk.Use) error {
	all, err := m.places(u.ID.Key(), m.outer[:0])
	m.outer = all
	for i := range all {
		if at := &all[i]; needOf(u).served(at) && m.circle[at.Origin] {
			m.walked.Unset(at.Entry)
		}
	}
	return err
}
