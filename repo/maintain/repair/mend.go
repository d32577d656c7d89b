package repair

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"nightjar/chunk"
	"nightjar/repo/index"
	"nightjar/repo/lookup"
	"nightjar/repo/maintain/check"
	"nightjar/repo/maintain/losses"
	"nightjar/repo/pack"
	"nightjar/repo/record"
	"nightjar/repo/save"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

const pathsKept = 8 // of each chunk in a record of losses

// chunks saves again what can be had of bad packs and of the files that chunks were of, and returns what nobody may build on.
func (m *mender) chunks(ctx context.Context) (lost record.Lost, err error) {
	places := m.badPlaces()
	if err := m.useless(ctx, places); err != nil {
		return lost, err
	}
	healed := map[chunk.ID]bool{}
	if len(m.Bad)+len(m.Gone) > 0 {
		if err := m.save(ctx, places, healed); err != nil {
			return lost, err
		}
	}
	m.judge(healed)
	if err := m.leaning(ctx, places); err != nil {
		return lost, err
	}
	lost = places.Record()
	archives := map[string]bool{}
	for _, id := range slices.SortedFunc(maps.Keys(m.Gone), func(a, b chunk.ID) int { return bytes.Compare(a[:], b[:]) }) {
		g := m.Gone[id]
		if healed[id] || m.lost.Chunk(id) {
			continue
		}
		if found, err := m.indexed(ctx, id); err != nil {
			return lost, err
		} else if !found && !m.rebuilt { // it may be in a pack that has no index, which takes a recovery key
			continue
		}
		x := record.LostChunk{ID: id, Paths: []record.Text{}}
		for _, p := range g.Pieces {
			if text := record.Text(p.Path); len(x.Paths) < pathsKept && !slices.Contains(x.Paths, text) {
				x.Paths = append(x.Paths, text)
			}
		}
		lost.Chunks = append(lost.Chunks, x)
		maps.Copy(archives, g.Archives)
	}
	for _, a := range slices.Sorted(maps.Keys(archives)) {
		if id, err := index.ParseObjectID(a); err == nil {
			lost.Archives = append(lost.Archives, id)
		}
	}
	return lost, nil
}

// indexed reports whether any index names a chunk, tree or list, wherever that is.
func (m *mender) indexed(ctx context.Context, id chunk.ID) (bool, error) {
	all, err := m.rd.LocationsOf(ctx, id.Key(), append(losses.Recipes(), pack.WholeContent, pack.WholeTree, pack.WholeList)...)
	return len(all) > 0, err
}

// badPlaces returns those of bad packs.
func (m *mender) badPlaces() *losses.Set {
	p := losses.New(m.lost, nil)
	for id, b := range m.Bad {
		if b.All {
			p.AddPack(id)
			continue
		}
		for n := range b.Frames {
			for _, blob := range b.Pack.Directory.Frames[n].Blobs {
				p.Add(id, blob.Key, blob.Type)
			}
		}
	}
	return p
}

// useless adds the recipes of what is gone, none of which made it, and the lists that name it.
func (m *mender) useless(ctx context.Context, p *losses.Set) error {
	for id := range m.Gone {
		all, err := m.rd.LocationsOf(ctx, id.Key(), losses.Recipes()...)
		if err != nil {
			return err
		}
		for _, at := range all {
			p.Add(at.Pack.ID, id.Key(), at.Type)
		}
	}
	for id := range m.Broken {
		all, err := m.rd.LocationsOf(ctx, id.Key(), pack.WholeList)
		if err != nil {
			return err
		}
		for _, at := range all {
			p.Add(at.Pack.ID, id.Key(), at.Type)
		}
	}
	return nil
}

// save stores anew what good frames of bad packs hold, with a recovery key, and what source files still have; a dry run only looks.
func (m *mender) save(ctx context.Context, p *losses.Set, healed map[chunk.ID]bool) error {
	switch {
	case m.o.DryRun:
		return m.fromSource("", nil, healed)
	case !m.r.CanReadContent():
		self := ""
		if host := m.r.Host(); host != nil {
			var err error
			if self, err = m.r.Keys().HostName(host.Fingerprint()); err != nil {
				return err
			}
		}
		return save.Add(ctx, m.r, new(save.Sent), func(_ context.Context, w *save.Writer) error {
			saver, err := w.NewSaver()
			if err != nil {
				return err
			}
			return m.fromSource(self, saver.Again, healed)
		})
	}
	for _, kind := range []pack.Kind{pack.Content, pack.Metadata} { // which leans on content
		for _, owner := range m.owners() {
			err := save.Repack(ctx, m.r, owner, m.begin, new(save.Sent), func(to *save.Repacker) error {
				for id, b := range m.Bad {
					if b.Pack.Directory.Kind != kind || b.Pack.Directory.Owner != owner || b.All {
						continue
					}
					done, err := m.repack(ctx, p, to, b)
					if err != nil {
						return err
					}
					if done {
						p.AddPack(id)
					}
				}
				if kind == pack.Metadata {
					return nil
				}
				return m.fromSource(owner, to.Again, healed)
			})
			if err != nil {
				return err
			}
		}
		var err error
		if m.rd, err = m.r.NewReader(ctx); err != nil { // which knows what was saved
			return err
		}
	}
	return nil
}

// owners returns the hosts whose packs or archives are hit.
func (m *mender) owners() []string {
	all := map[string]bool{}
	for _, b := range m.Bad {
		all[b.Pack.Directory.Owner] = true
	}
	for _, g := range m.Gone {
		maps.Copy(all, g.Hosts)
	}
	return slices.Sorted(maps.Keys(all))
}

// repack stores anew what the good frames of a pack hold, unless it can be had elsewhere, and reports whether the pack is needed no more.
func (m *mender) repack(ctx context.Context, p *losses.Set, to *save.Repacker, b *check.BadPack) (done bool, err error) {
	name := sealed.PackName(b.Pack.Directory.Kind, b.Pack.ID)
	object, err := store.ReadAll(ctx, m.r.Store(), name, sealed.MaxPack)
	if errors.Is(err, store.ErrUnread) || ctx.Err() != nil {
		return false, fmt.Errorf("repair %s: %w", name, errors.Join(err, ctx.Err()))
	}
	if err != nil {
		return false, nil
	}
	p.AddPack(b.Pack.ID)
	err = to.Frames(object, b.Pack, func(x pack.Blob) (bool, error) {
		elsewhere, err := m.lives(ctx, p, x.Key, x.Type)
		return !elsewhere, err
	})
	if err != nil {
		return false, fmt.Errorf("repair %s: %w", name, err)
	}
	for i := range m.Findings {
		if f := &m.Findings[i]; f.Object == name && f.What == check.Damaged {
			f.What, f.Err = check.Repaired, fmt.Errorf("%d of its %d frames were packed anew", len(b.Pack.Hashes)-len(b.Frames), len(b.Pack.Hashes))
		}
	}
	return true, nil
}

// fromSource looks for chunks that are gone where they were in their files, and saves those that are still there and that archives of a host need, as that
// host's. Without save it only looks.
func (m *mender) fromSource(host string, save func(data []byte) error, healed map[chunk.ID]bool) error {
	if m.o.Source == nil {
		return nil
	}
	files := map[string][]check.Piece{}
	for _, g := range m.Gone {
		for _, p := range g.Pieces {
			if g.Content && p.Offset >= 0 && (save == nil || g.Hosts[host]) {
				files[p.Path] = append(files[p.Path], p)
			}
		}
	}
	namer := m.r.Namer()
	found := map[chunk.ID]bool{}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		f, err := m.o.Source(path)
		if err != nil {
			continue // it is not there any more, or something else is
		}
		pieces := files[path]
		slices.SortFunc(pieces, func(a, b check.Piece) int { return cmp.Compare(a.Offset, b.Offset) })
		for _, p := range pieces {
			if found[p.ID] || p.Length > chunk.MaxSize {
				continue
			}
			data := make([]byte, p.Length)
			if n, err := f.ReadAt(data, p.Offset); n < len(data) && err != nil || namer.ID(data) != p.ID {
				continue
			}
			if save != nil {
				if err := save(data); err != nil {
					f.Close()
					return fmt.Errorf("save %s again: %w", path, err)
				}
			}
			found[p.ID] = true
			hosts := m.Gone[p.ID].Hosts
			if delete(hosts, host); save == nil || len(hosts) == 0 {
				healed[p.ID] = true
			}
		}
		f.Close()
	}
	return nil
}

// judge says of the files that were hit what has become of them.
func (m *mender) judge(healed map[chunk.ID]bool) {
	for i := range m.Findings {
		f := &m.Findings[i]
		if f.Archive == "" || len(f.Chunks) == 0 || f.What != check.Damaged && f.What != check.Lost {
			continue
		}
		if slices.ContainsFunc(f.Chunks, func(id chunk.ID) bool { return !healed[id] }) {
			continue
		}
		f.What, f.Err = check.Repaired, errors.New("saved again from the file itself")
		if m.o.DryRun {
			f.What, f.Err = check.Mendable, errors.New("the file itself still has it")
		}
	}
}

// leaning adds the recipes, wherever they lie, that lean on chunks which can be had nowhere as themselves.
func (m *mender) leaning(ctx context.Context, p *losses.Set) error {
	if p.Empty() || m.o.DryRun {
		return nil
	}
	return m.r.IndexObjects(ctx, func(x sealed.IndexRecord) error {
		if x.Err != nil {
			return nil
		}
		for _, run := range x.Object.Runs {
			for i := range run.Packs {
				if err := p.Lean(ctx, m.rd, &run.Packs[i]); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// lives reports whether something is stored as itself in a place that was not given up.
func (m *mender) lives(ctx context.Context, p *losses.Set, key chunk.Key, whole pack.Type) (bool, error) {
	all, err := m.rd.LocationsOf(ctx, key, whole)
	return slices.ContainsFunc(all, func(at lookup.Location) bool { return !p.Has(at.Pack.ID, key, whole) }), err
}
