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
	"nightjar/repo/lookup"
	"nightjar/repo/pack"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

// packsOf compares the packs of one pass with what the indexes say of them.
func (c *checker) packsOf(ctx context.Context, pass, passes int) error {
	p := &packPass{
		checker: c, mine: func(id index.ObjectID) bool { return (int(id[0])<<8|int(id[1]))%passes == pass }, first: pass == 0, dropped: c.r.Lists(),
		seen: map[index.ObjectID]lookup.Layout{}, disputed: map[index.ObjectID]bool{}, counts: map[index.ObjectID]bool{},
	}
	if err := p.list(ctx); err != nil {
		return err
	}
	replaced := c.r.ReplacedIndexes() // which may name what is gone
	look := func(again bool) error {
		return c.r.IndexObjects(ctx, func(x sealed.IndexRecord) error {
			if gone, err := c.hasGone(ctx, x.Name, x.Err); gone || err != nil {
				return err
			}
			if !again {
				p.index(&x)
			}
			if x.Err != nil || replaced[x.ID] {
				return nil
			}
			return p.look(ctx, &x, again)
		})
	}
	err := look(false)
	if err == nil && len(p.disputed) > 0 {
		err = look(true)
	}
	if err == nil {
		err = c.settle(ctx)
	}
	if err == nil {
		p.rest()
	}
	return err
}

// A packPass goes through some packs.
type packPass struct {
	*checker
	mine    func(index.ObjectID) bool
	first   bool // it counts the indexes, too
	dropped *lists.Set

	stored   map[index.ObjectID]store.Info
	total    int // of stored, when the pass began
	seen     map[index.ObjectID]lookup.Layout
	disputed map[index.ObjectID]bool // those of which not all say the same
	counts   map[index.ObjectID]bool // of those that are seen: false if all that names them is late, though not made so, for readers alone
}

// list notes what is stored.
func (p *packPass) list(ctx context.Context) error {
	p.stored = map[index.ObjectID]store.Info{}
	for _, kind := range []pack.Kind{pack.Content, pack.Metadata} {
		err := p.r.Store().List(ctx, kind.String()+"/", func(i store.Info) error {
			if sealed.Kind(i.Name) == "" {
				return nil
			}
			if id, err := sealed.ObjectID(i.Name); err == nil && p.mine(id) {
				p.stored[id] = i
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("list %v packs: %w", kind, err)
		}
	}
	p.total = len(p.stored)
	p.sum.Packs += p.total
	return nil
}

// index counts an index object.
func (p *packPass) index(x *sealed.IndexRecord) {
	if !p.first {
		return
	}
	p.sum.Indexes++
	p.chosen = p.chosen || x.Err == nil && x.Object.Time.IsZero()
	if x.Err != nil {
		p.record(x.Name, x.Err)
	}
}

// look checks the packs that an index object names and that no other named before; again, those of which not all say the same, by what each says.
func (p *packPass) look(ctx context.Context, x *sealed.IndexRecord, again bool) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(p.o.Connections)
	for _, run := range x.Object.Runs {
		for i := range run.Packs {
			of := &run.Packs[i]
			if !p.mine(of.ID) || !p.due(of, x, again) {
				continue
			}
			at, ok, err := p.find(ctx, of, again)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			read := again || at.Size != of.Size || p.o.Again[of.ID] || p.o.ReadData && (p.o.Sample == 0 || p.o.Random.Float64() < p.o.Sample)
			g.Go(func() error { return p.pack(gctx, at, of, &x.Record, read) })
			if p.o.Progress != nil && p.o.ReadData {
				p.o.Progress(len(p.seen), p.total)
			}
		}
	}
	return g.Wait()
}

// due notes what is said of a pack, and reports whether it is to be checked by that.
func (p *packPass) due(of *index.Pack, x *sealed.IndexRecord, again bool) bool {
	p.counts[of.ID] = p.counts[of.ID] || !x.Late || x.Object.Time.IsZero()
	layout := p.layout(of)
	if before, ok := p.seen[of.ID]; !again && ok {
		p.disputed[of.ID] = p.disputed[of.ID] || before != layout
		return false
	}
	if again && !p.disputed[of.ID] {
		return false
	}
	if _, ok := p.stored[of.ID]; !ok && x.Late || p.dropped.Pack(of.ID)&lists.Dropped != 0 {
		return false
	}
	p.seen[of.ID] = layout
	return true
}

// find returns where a pack is stored: an older version, if that is what it should be. It tells of one that is nowhere.
func (p *packPass) find(ctx context.Context, of *index.Pack, again bool) (at store.Info, ok bool, err error) {
	at, ok = p.stored[of.ID]
	name := sealed.PackName(of.Directory.Kind, of.ID)
	if !ok || at.Size != of.Size {
		if older, has := p.r.Recover(ctx, name); has {
			at, ok = older, true
		}
	}
	if again && (!ok || p.isBad(of.ID)) {
		return at, false, nil
	}
	if ok {
		return at, true, nil
	}
	at, err = p.r.Store().Stat(ctx, name) // a listing may lag behind
	switch {
	case err == nil:
		return at, true, nil
	case errors.Is(err, store.ErrNotExist):
		p.giveUp(of, Finding{What: Missing, Object: name, Err: p.clutter[name]})
		delete(p.clutter, name)
	case errors.Is(err, store.ErrUnavailable):
		return at, false, fmt.Errorf("look for a pack: %w", err)
	default:
		p.found(Finding{What: Unread, Object: name, Err: err})
	}
	return at, false, nil
}

// rest tells of what no index names, or none that counts.
func (p *packPass) rest() {
	for name, what := range p.clutter {
		if id, err := sealed.ObjectID(name); err == nil && p.mine(id) {
			p.found(Finding{What: Foreign, Object: name, Err: what})
		}
	}
	for id, info := range p.stored {
		if _, ok := p.seen[id]; !ok {
			p.found(Finding{What: Unindexed, Object: info.Name})
		} else if !p.counts[id] {
			p.found(Finding{What: Unindexed, Object: info.Name, Err: errors.New("the indexes that name it are late: they were stored again without their time")})
		}
	}
}

// layout stands for what is said of a pack.
func (c *checker) layout(p *index.Pack) lookup.Layout {
	return lookup.InfoOf(p, lookup.Origin{Owner: p.Directory.Owner}).Layout
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
	if !read {
		var err error
		if vouched, read, err = c.vouched(ctx, info, p); err != nil {
			return err
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

// vouched reports whether the store knows a checksum of a pack, if it keeps any; and whether that says that the pack has to be read, to see which part of it is damaged.
func (c *checker) vouched(ctx context.Context, info store.Info, p *index.Pack) (vouched, read bool, err error) {
	vouch, ok := c.r.Store().(store.Checksummer)
	if !ok {
		return false, false, nil
	}
	sum, ok, err := vouch.Checksum(ctx, info.Name)
	switch {
	case ctx.Err() != nil:
		return false, false, ctx.Err()
	case errors.Is(err, store.ErrNotExist):
		c.giveUp(p, Finding{What: Missing, Object: info.Name})
		return false, false, nil
	case err != nil:
		return false, false, fmt.Errorf("check %s: %w", info.Name, err)
	case !ok: // either the store keeps none, or that is not what we stored
		c.r.Recover(ctx, info.Name)
		return false, false, nil
	}
	c.mu.Lock()
	c.sum.Checksums++
	c.mu.Unlock()
	if sum != p.ID {
		_, whole := c.r.Recover(ctx, info.Name)
		read = !whole
	}
	return true, read, nil
}

func sameDirectory(a, b *pack.Directory) bool { return string(a.Append(nil)) == string(b.Append(nil)) }
