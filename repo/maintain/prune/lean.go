package prune

import (
	"cmp"
	"context"
	"slices"

	"nightjar/chunk"
	"nightjar/repo/lookup"
	"nightjar/repo/pack"
	"nightjar/repo/tree"
)

// leanBatch is how many recipes and trees are dealt with in the order in which they lie.
const leanBatch = 1 << 18

// A leaner is a recipe, tree or list.
type leaner struct {
	key chunk.Key
	at  lookup.Place
}

// mayRun tells what a run that may not have ended has indexed, or whoever builds on that.
func (p *pruner) mayRun(at *lookup.Place) bool {
	return p.packs[at.Pack]&running != 0 && p.firm(at)
}

// usable tells what nobody has been told long enough not to use.
func (p *pruner) usable(at *lookup.Place) bool {
	return p.packs[at.Pack]&ripe == 0 && !p.due.Has(at.Entry)
}

// lean marks the recipes, trees and lists that root accepts, needed or not, and all that they lean on: since a backup may build on them, that has
// to stay as long as they do.
func (p *pruner) lean(ctx context.Context, root func(*lookup.Place) bool) error {
	m := &marker{pruner: p, ctx: ctx, rd: p.rd}
	var todo []leaner
	m.fresh = func(key chunk.Key, at *lookup.Place) { todo = append(todo, leaner{key, *at}) }
	return p.leaners(ctx, func(at *lookup.Place) bool {
		return p.there(at) && !p.gone.Has(at.Entry) && !p.needs.Has(at.Entry) && root(at)
	}, func(batch []leaner) error {
		for i := range batch {
			m.mark(batch[i].key, &batch[i].at, []lookup.Place{batch[i].at})
			for len(todo) > 0 {
				next := todo[len(todo)-1]
				todo = todo[:len(todo)-1]
				if err := m.follow(&next); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// leaners calls f with the recipes, trees and lists that want accepts: some at a time, as they lie.
func (p *pruner) leaners(ctx context.Context, want func(*lookup.Place) bool, f func([]leaner) error) error {
	var batch []leaner
	flush := func() error {
		slices.SortFunc(batch, func(a, b leaner) int {
			return cmp.Or(cmp.Compare(a.at.Pack, b.at.Pack), cmp.Compare(a.at.Frame(), b.at.Frame()), slices.Compare(a.key[:], b.key[:]), cmp.Compare(a.at.Type, b.at.Type))
		})
		err := f(batch)
		batch = batch[:0]
		return cmp.Or(err, ctx.Err())
	}
	err := p.each(ctx, func(key chunk.Key, at *lookup.Place) error {
		if !leans(at.Type) || !want(at) {
			return nil
		}
		if batch = append(batch, leaner{key, *at}); len(batch) < leanBatch {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}

// follow keeps what a recipe, tree or list leans on. What cannot be read, nobody can use.
func (m *marker) follow(l *leaner) error {
	if isRecipe(l.at.Type) {
		if _, err := m.keepSources(&l.at); err != nil || l.at.Type == pack.RecipeFor+pack.WholeContent {
			return err
		}
	}
	location, err := m.f.Location(&l.at)
	if err != nil {
		return err
	}
	data, err := m.rd.MetadataAt(m.ctx, l.key, location)
	if err != nil {
		return m.passing(err)
	}
	if l.at.Type == pack.WholeList {
		items, err := tree.DecodeList(data)
		if err != nil {
			return nil
		}
		return m.keepItems(items, anything) // who names the list knows its level
	}
	nodes, err := tree.Decode(data)
	if err != nil {
		return nil
	}
	for i := range nodes {
		n := &nodes[i]
		leaves := anyContent
		if n.IsDir() {
			leaves = anyTree
		}
		err := m.keepContents(n.Contents, leaves)
		if err == nil && n.XattrContents != nil {
			err = m.keepContents(*n.XattrContents, anyContent)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *marker) keepContents(c tree.Contents, leaves need) error {
	if c.Level > 0 {
		leaves = anyList
	}
	return m.keepItems(c.Items, leaves)
}

func (m *marker) keepItems(items []tree.Item, want need) error {
	for i := range items {
		if items[i].Hole {
			continue
		}
		key := items[i].ID.Key()
		all, err := m.places(key, m.outer[:0])
		m.outer = all
		if err != nil {
			return err
		}
		if _, err := m.keep(key, all, want); err != nil {
			return err
		}
		m.keepSignatures(key, all)
	}
	return nil
}
