package prune

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"nightjar/chunk"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/pack"
	"nightjar/repo/record"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
	"nightjar/repo/tree"
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
		m.broken = map[use]error{}
		takes := repo.Of(p.r.Circle(group[0]))
		m.circle, m.rd = make([]bool, len(p.f.Origins())), p.rd.For(takes)
		for i := range m.circle {
			m.circle[i] = takes(&p.f.Origins()[i])
		}
		for _, a := range group {
			if err := m.tree(a.Root.ID); err != nil {
				if ctx.Err() != nil || errors.Is(err, repo.ErrUnread) || errors.Is(err, index.ErrBroken) {
					return err
				}
				if overtaken, failed := p.overtaken(ctx, a); overtaken || failed != nil {
					return cmp.Or(failed, fmt.Errorf("walk archive %s: %w", a.ID, errAgain))
				}
				if e, ok := err.(*pathError); ok {
					err = &pathError{strings.TrimPrefix(e.path, "root"), e.err} // which stands for "/"
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

// A use is what an archive takes an id for. One that takes a tree for a chunk, or a list for one of another level, is broken, and nobody else for that.
type use struct {
	id    chunk.ID
	kind  pack.Type
	level int  // of a list's items
	trees bool // that is what a list is of
}

func (u use) need() need {
	switch u.kind {
	case pack.WholeContent:
		return anyContent
	case pack.WholeTree:
		return anyTree
	default:
		return anyList
	}
}

// begin keeps what serves a need, and reports whether this is the first time that archives of the group ask for it. What failed the first time fails again.
func (m *marker) begin(u use) (bool, error) {
	if err := m.broken[u]; err != nil {
		return false, err
	}
	id, n := u.id, u.need()
	all, err := m.places(id.Key(), m.outer[:0])
	m.outer = all
	if err != nil {
		return false, err
	}
	i := slices.IndexFunc(all, func(at index.Place) bool { return n.served(&at) && m.circle[at.Origin] })
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
func (m *marker) fail(u use, err error) error {
	if m.passing(err) == nil {
		m.broken[u] = err
	}
	return err
}

// tree marks a tree and all below.
func (m *marker) tree(id chunk.ID) error {
	u := use{id: id, kind: pack.WholeTree}
	data, err := m.metadata(u)
	if data == nil || err != nil {
		return err
	}
	nodes, err := tree.Decode(data)
	if err != nil {
		return m.fail(u, fmt.Errorf("tree %v: %w", id, err))
	}
	for i := range nodes {
		n := &nodes[i]
		err := m.items(n.Contents.Level, n.Contents.Items, n.IsDir())
		if err == nil && n.XattrContents != nil {
			err = m.items(n.XattrContents.Level, n.XattrContents.Items, false)
		}
		if err != nil {
			return m.fail(u, below(n.Name, err))
		}
	}
	return nil
}

// A pathError is about what lies at a path below a tree.
type pathError struct {
	path string
	err  error
}

func (e *pathError) Error() string { return e.path + ": " + e.err.Error() }

func (e *pathError) Unwrap() error { return e.err }

func below(name string, err error) error {
	if e, ok := err.(*pathError); ok {
		return &pathError{name + "/" + e.path, e.err}
	}
	return &pathError{name, err}
}

// metadata reads what it marks; nil if that was done before.
func (m *marker) metadata(u use) ([]byte, error) {
	if err := m.ctx.Err(); err != nil {
		return nil, err
	}
	if fresh, err := m.begin(u); !fresh || err != nil {
		return nil, err
	}
	data, err := m.rd.Metadata(m.ctx, u.id)
	if err != nil {
		return nil, m.fail(u, err)
	}
	return data, nil
}

func (m *marker) items(level int, items []tree.Item, directory bool) error {
	for i := range items {
		item := &items[i]
		var err error
		switch {
		case item.Hole:
		case level > 0:
			err = m.list(item.ID, level-1, directory)
		case directory:
			err = m.tree(item.ID)
		default:
			_, err = m.begin(use{id: item.ID, kind: pack.WholeContent})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *marker) list(id chunk.ID, level int, directory bool) error {
	u := use{id, pack.WholeList, level, directory}
	data, err := m.metadata(u)
	if data == nil || err != nil {
		return err
	}
	items, err := tree.DecodeList(data)
	if err != nil {
		return m.fail(u, fmt.Errorf("list %v: %w", id, err))
	}
	if err := m.items(level, items, directory); err != nil {
		if again := m.again(u); again != nil {
			return again
		}
		return m.fail(u, err)
	}
	return nil
}

// again has what was dealt with dealt with for another use, too: it may be whole for that.
func (m *marker) again(u use) error {
	all, err := m.places(u.id.Key(), m.outer[:0])
	m.outer = all
	for i := range all {
		if at := &all[i]; u.need().served(at) && m.circle[at.Origin] {
			m.walked.Unset(at.Entry)
		}
	}
	return err
}
