package repair

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/repo/index"
	"nightjar/repo/lists"
	"nightjar/repo/maintain/check"
	"nightjar/repo/maintain/losses"
	"nightjar/repo/pack"
	"nightjar/repo/record"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

// smallPart is how much of a repository a repair gives up without being told to.
const smallPart = 0.1

// ErrLargeLoss says that more is gone than a small part: as likely the store shows only some of what it has. It was not recorded as lost.
var ErrLargeLoss = fmt.Errorf("more than a small part of the repository is gone, and is not recorded as lost: %w", crypto.ErrIntegrity)

// large returns an ErrLargeLoss if the loss is not to be recorded.
func (m *mender) large(lost *record.Lost, share float64) error {
	missing := 0
	for _, f := range m.Findings {
		if f.What == check.Missing && sealed.Kind(f.Object) == "archive" {
			missing++
		}
	}
	if len(m.Gone) > 0 && missing < 2 { // the rest was saved again
		share *= float64(len(lost.Chunks)) / float64(len(m.Gone))
	}
	if m.o.AcceptLoss || m.o.DryRun || share <= smallPart || len(lost.Chunks) == 0 && missing < 2 {
		return nil
	}
	return fmt.Errorf("of its packs or archives %.0f%%: %w", 100*share, ErrLargeLoss)
}

// regain takes back what was recorded as lost and is there after all: a record replaces those of before, and what is still lost of them, or not known to be whole, is recorded anew.
func (m *mender) regain(ctx context.Context) error {
	var all record.Lost // that was recorded
	var records []index.ObjectID
	replaced := map[index.ObjectID]bool{}
	var found []record.Lost
	err := m.r.Records(ctx, record.LostKind, func(x sealed.Record) error {
		var l record.Lost
		if x.Err == nil {
			x.Err = record.Decode(x.Content, &l)
		}
		if errors.Is(x.Err, store.ErrUnread) {
			return x.Err
		}
		if x.Err != nil { // a check says so
			return nil
		}
		for _, id := range l.Replaces {
			replaced[id] = true
		}
		records, found = append(records, x.ID), append(found, l)
		return nil
	})
	if err != nil {
		return err
	}
	var replaces []index.ObjectID
	for i, l := range found {
		if replaced[records[i]] || len(l.Packs)+len(l.Blobs)+len(l.Objects)+len(l.Chunks)+len(l.Archives) == 0 {
			continue
		}
		replaces = append(replaces, records[i])
		all.Packs, all.Blobs, all.Objects = append(all.Packs, l.Packs...), append(all.Blobs, l.Blobs...), append(all.Objects, l.Objects...)
		all.Chunks, all.Archives = append(all.Chunks, l.Chunks...), append(all.Archives, l.Archives...)
	}
	if len(replaces) == 0 {
		return nil
	}
	left, back, err := m.stillLost(ctx, &all)
	if err != nil || back == 0 {
		return err
	}
	f := check.Finding{What: check.Mendable, Object: "lost", Err: fmt.Errorf("it is there after all, and would be built on again: packs and objects: %d", back)}
	if !m.o.DryRun {
		err := losses.Put(ctx, m.r, left)
		if err == nil {
			err = losses.PutRecord(ctx, m.r, &record.Lost{Replaces: replaces})
		}
		if err == nil {
			err = m.r.SyncLists(ctx)
		}
		if err != nil {
			return err
		}
		m.lost = m.r.Lists()
		f.What, f.Err = check.Repaired, fmt.Errorf("it is there after all, and is built on again: packs and objects: %d", back)
	}
	m.Findings = append(m.Findings, f)
	return nil
}

// stillLost returns what of a record is lost still, or cannot be seen to be whole, and how many packs and objects are back.
func (m *mender) stillLost(ctx context.Context, all *record.Lost) (left record.Lost, back int, err error) {
	kinds, err := m.stored(ctx)
	if err != nil {
		return left, 0, err
	}
	bad := m.found(check.Missing, check.Damaged, check.Lost, check.Unread)
	// A pack that was given up is read as a whole by every survey, if an index names it; if none does, nobody builds on it.
	whole := func(id index.ObjectID) bool { return kinds[id] != "" && !bad[id] && m.Bad[id] == nil }
	seen := map[index.ObjectID]bool{}
	keep := func(ids []index.ObjectID) (rest []index.ObjectID) {
		for _, id := range ids {
			switch {
			case !whole(id):
				rest = append(rest, id)
			case !seen[id]:
				seen[id] = true
				back++
			}
		}
		return rest
	}
	left.Packs, left.Objects = keep(all.Packs), keep(all.Objects)
	// Whether a list is whole is only seen where an archive needs it: those stay. A recipe is whole with its sources.
	there := map[index.ObjectID]bool{}
	for id, kind := range kinds {
		there[id] = (kind == "content" || kind == "metadata") && m.Bad[id] == nil
	}
	p := losses.New(lists.New(nil), there)
	for _, id := range left.Packs {
		p.AddPack(id)
	}
	for _, b := range all.Blobs {
		rest := record.Blobs{Pack: b.Pack, Trees: b.Trees}
		for _, key := range b.Recipes {
			stands := false
			if whole(b.Pack) {
				if stands, err = m.recipeStands(ctx, p, b.Pack, key); err != nil {
					return left, 0, err
				}
			}
			if !stands {
				rest.Recipes = append(rest.Recipes, key)
			}
		}
		if !whole(b.Pack) {
			rest.Chunks = b.Chunks
		}
		if len(rest.Recipes)+len(rest.Trees)+len(rest.Chunks) > 0 {
			left.Blobs = append(left.Blobs, rest)
		}
	}
	for _, c := range all.Chunks {
		if m.Gone[c.ID] != nil {
			left.Chunks = append(left.Chunks, c)
		}
	}
	if len(left.Chunks) > 0 {
		left.Archives = all.Archives
	}
	return left, back, nil
}

// found returns the objects of which something of this kind was found.
func (m *mender) found(what ...check.What) map[index.ObjectID]bool {
	found := map[index.ObjectID]bool{}
	for _, f := range m.Findings {
		if id, err := sealed.ObjectID(f.Object); err == nil && slices.Contains(what, f.What) {
			found[id] = true
		}
	}
	return found
}

// stored returns what is stored of the kinds that can be lost.
func (m *mender) stored(ctx context.Context) (kinds map[index.ObjectID]string, err error) {
	kinds = map[index.ObjectID]string{}
	for _, kind := range []string{"content", "metadata", "archive", "index"} {
		infos, err := m.r.ListRecords(ctx, kind)
		if err != nil {
			return nil, err
		}
		for _, info := range infos {
			if id, ok := store.SumOf(info.Name); ok {
				kinds[id] = kind
			}
		}
	}
	return kinds, nil
}

// recipeStands reports whether a recipe in a pack is whole. Of several that are the same, the last counts.
func (m *mender) recipeStands(ctx context.Context, p *losses.Set, in index.ObjectID, key chunk.Key) (stands bool, err error) {
	all, err := m.rd.LocationsOf(ctx, key, losses.Recipes()...)
	if err != nil {
		return false, err
	}
	for _, at := range all {
		if at.Pack.ID == in && at.Type >= pack.RecipeFor {
			if stands, err = p.Stands(ctx, m.rd, at); err != nil {
				return false, err
			}
		}
	}
	return stands, nil
}
