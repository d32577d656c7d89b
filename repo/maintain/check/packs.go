package check

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/lists"
	"nightjar/repo/pack"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

// packsOf compares the packs of one pass with what the indexes say of them.
func (c *checker) packsOf(ctx context.Context, pass, passes int) error {
	mine := func(id index.ObjectID) bool { return (int(id[0])<<8|int(id[1]))%passes == pass }
	stored := map[index.ObjectID]store.Info{}
	for _, kind := range []pack.Kind{pack.Content, pack.Metadata} {
		err := c.r.Store().List(ctx, kind.String()+"/", func(i store.Info) error {
			if sealed.Kind(i.Name) == "" {
				return nil
			}
			if id, err := sealed.ObjectID(i.Name); err == nil && mine(id) {
				stored[id] = i
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("list %v packs: %w", kind, err)
		}
	}
	c.sum.Packs += len(stored)
	total := len(stored)
	seen := map[index.ObjectID]index.Layout{}
	disputed := map[index.ObjectID]bool{} // those of which not all say the same
	counts := map[index.ObjectID]bool{}   // of those that are seen: false if all that names them is late, though not made so, for readers alone
	replaced := c.r.ReplacedIndexes()     // which may name what is gone
	dropped := c.r.Lists()
	look := func(x sealed.IndexRecord, again bool) error {
		if pass == 0 && !again {
			c.sum.Indexes++
			c.chosen = c.chosen || x.Err == nil && x.Object.Time.IsZero()
			if x.Err != nil {
				c.record(x.Name, x.Err)
			}
		}
		if x.Err != nil || replaced[x.ID] {
			return nil
		}
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(c.o.Connections)
		for _, run := range x.Object.Runs {
			for i := range run.Packs {
				p := &run.Packs[i]
				if !mine(p.ID) {
					continue
				}
				counts[p.ID] = counts[p.ID] || !x.Late || x.Object.Time.IsZero()
				layout := c.layout(p)
				if before, ok := seen[p.ID]; !again && ok {
					disputed[p.ID] = disputed[p.ID] || before != layout
					continue
				}
				if again && !disputed[p.ID] {
					continue
				}
				at, ok := stored[p.ID]
				if !ok && x.Late || dropped.Pack(p.ID)&lists.Dropped != 0 {
					continue
				}
				seen[p.ID] = layout
				name := sealed.PackName(p.Directory.Kind, p.ID)
				if !ok || at.Size != p.Size {
					if older, has := c.r.Recover(ctx, name); has {
						at, ok = older, true
					}
				}
				if again && (!ok || c.isBad(p.ID)) {
					continue
				}
				if !ok {
					var err error
					at, err = c.r.Store().Stat(ctx, name) // a listing may lag behind
					switch {
					case err == nil:
					case errors.Is(err, store.ErrNotExist):
						c.giveUp(p, Finding{What: Missing, Object: name, Err: c.clutter[name]})
						delete(c.clutter, name)
						continue
					case errors.Is(err, store.ErrUnavailable):
						return fmt.Errorf("look for a pack: %w", err)
					default:
						c.found(Finding{What: Unread, Object: name, Err: err})
						continue
					}
				}
				read := again || at.Size != p.Size || c.o.Again[p.ID] || c.o.ReadData && (c.o.Sample == 0 || c.o.Random.Float64() < c.o.Sample)
				g.Go(func() error { return c.pack(gctx, at, p, &x.Record, read) })
				if c.o.Progress != nil && c.o.ReadData {
					c.o.Progress(len(seen), total)
				}
			}
		}
		return g.Wait()
	}
	err := c.r.IndexObjects(ctx, func(x sealed.IndexRecord) error { return look(x, false) })
	if err == nil && len(disputed) > 0 {
		err = c.r.IndexObjects(ctx, func(x sealed.IndexRecord) error { return look(x, true) })
	}
	if err != nil {
		return err
	}
	for name, what := range c.clutter {
		if id, err := sealed.ObjectID(name); err == nil && mine(id) {
			c.found(Finding{What: Foreign, Object: name, Err: what})
		}
	}
	for id, info := range stored {
		if _, ok := seen[id]; !ok {
			c.found(Finding{What: Unindexed, Object: info.Name})
		} else if !counts[id] {
			c.found(Finding{What: Unindexed, Object: info.Name, Err: errors.New("the indexes that name it are late: they were stored again without their time")})
		}
	}
	return nil
}

// layout stands for what is said of a pack.
func (c *checker) layout(p *index.Pack) index.Layout {
	return p.Info(index.Origin{Owner: p.Directory.Owner}).Layout
}

// isFalse notes that what an index object says of a pack is not so, though the pack is as it should be. Of each object one pack is told.
func (c *checker) isFalse(p *index.Pack, by *sealed.Record, name, what string) {
	c.mu.Lock()
	told := c.liars[by.ID]
	c.liars[by.ID], c.wrong[c.layout(p)] = true, true
	c.mu.Unlock()
	if told {
		return
	}
	who := "the root"
	if host, err := c.r.Keys().Owner(by.Signer); err == nil {
		who = fmt.Sprintf("host %q", host)
	}
	f := Finding{What: False, Object: by.Name, Err: fmt.Errorf("%s says of %s, and maybe others, %s: the pack is as it should be", who, name, what)}
	if c.lost.Object(by.ID) {
		f.What = Lost
	}
	c.found(f)
}

// pack checks one stored pack, of which an index object says what p is.
func (c *checker) pack(ctx context.Context, info store.Info, p *index.Pack, by *sealed.Record, read bool) error {
	vouched := false
	if vouch, ok := c.r.Store().(store.Checksummer); ok && !read {
		sum, ok, err := vouch.Checksum(ctx, info.Name)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, store.ErrNotExist):
			c.giveUp(p, Finding{What: Missing, Object: info.Name})
		case err != nil:
			return fmt.Errorf("check %s: %w", info.Name, err)
		case ok:
			c.mu.Lock()
			c.sum.Checksums++
			c.mu.Unlock()
			vouched = true
			if sum != p.ID {
				_, whole := c.r.Recover(ctx, info.Name)
				read = !whole // look which part of it is damaged
			}
		default: // either the store keeps none, or that is not what we stored
			c.r.Recover(ctx, info.Name)
		}
	}
	if !read && (vouched || !c.givenUp(p)) { // what was given up may have been put back
		return nil
	}
	object, err := store.ReadAll(ctx, c.r.Store(), info.Name, sealed.MaxPack)
	if !errors.Is(err, store.ErrUnavailable) && (err != nil || sha256.Sum256(object) != p.ID) {
		if older, ok := c.r.Recover(ctx, info.Name); ok {
			info = older
			object, err = store.ReadAll(ctx, c.r.Store(), info.Name, sealed.MaxPack)
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, store.ErrUnavailable) {
		return fmt.Errorf("check %s: %w", info.Name, err)
	}
	if err != nil && !IsGone(err) {
		c.found(Finding{What: Unread, Object: info.Name, Err: err})
		return nil
	}
	if err != nil {
		c.giveUp(p, Finding{What: Damaged, Object: info.Name, Err: err})
		return nil
	}
	c.mu.Lock()
	c.sum.PacksRead++
	c.sum.BytesRead += int64(len(object))
	c.mu.Unlock()
	damaged := sealed.CheckFrames(object, p)
	if sha256.Sum256(object) != p.ID {
		c.spoilt(p, info.Name, damaged, fmt.Errorf("its %d bytes do not have that hash, and %d of %d frames are spoilt", len(object), len(damaged), len(p.Hashes)))
		return nil
	}
	if len(damaged) > 0 || int64(len(object)) != p.Size {
		c.isFalse(p, by, info.Name, fmt.Sprintf("other hashes of %d of %d frames, and %d bytes", len(damaged), len(p.Hashes), p.Size))
		return nil
	}
	if p.Directory.Kind == pack.Content && !c.r.CanReadContent() {
		return nil
	}
	opened, err := c.r.OpenPack(ctx, info, object)
	if errors.Is(err, store.ErrUnread) || ctx.Err() != nil {
		return errors.Join(err, ctx.Err())
	}
	if err == nil && (c.layout(opened) != c.layout(p) || !sameDirectory(&opened.Directory, &p.Directory)) {
		c.isFalse(p, by, info.Name, "other chunks, another key or another host")
		return nil
	}
	if errors.Is(err, repo.ErrDisowned) { // whoever needs what is in it goes by its index
		c.found(Finding{What: Disowned, Object: info.Name})
		return nil
	}
	if err != nil {
		c.giveUp(p, Finding{What: Damaged, Object: info.Name, Err: err})
	}
	return nil
}

func sameDirectory(a, b *pack.Directory) bool { return string(a.Append(nil)) == string(b.Append(nil)) }
