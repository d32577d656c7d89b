// Package check looks whether all that a repository should hold is there and whole.
//
// A check walks from what archives promise down to the bytes that keep the promise, and says of everything that is not as it should be which files of
// which archives it touches. It changes nothing: a repair takes a Survey, and goes on from there.
//
// Memory does not grow with the repository: packs are dealt with in passes, trees that are known to be whole are remembered up to a bound.
package check

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"golang.org/x/sync/errgroup"

	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/lists"
	"nightjar/repo/pack"
	"nightjar/repo/record"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

// Options say how deep a check goes.
type Options struct {
	ReadData    bool    // read packs too, and with a recovery key open them
	Sample      float64 // the share of packs that is read, up to 1; 0: all
	Connections int     // packs read at the same time; 0: 4
	Random      *rand.Rand
	Seen        []Seen                // archives that this host remembers
	Found       func(Finding)         // told of each; calls may come from any goroutine
	Progress    func(done, total int) // of packs to be read; may be nil
}

// What says how something is wrong.
type What string

// The ways.
const (
	Missing   What = "missing"   // an index or an archive names it
	Damaged   What = "damaged"   // its bytes are not what they should be
	Replaced  What = "replaced"  // somebody has replaced or deleted it: an older version is as it should be
	Hidden    What = "hidden"    // somebody has deleted it, but not its older versions
	Foreign   What = "foreign"   // nothing of this format
	Unindexed What = "unindexed" // no index that counts names it, or prune has dropped it: left by a run that died; no fault
	Lost      What = "lost"      // repair gave it up, and has recorded that; no fault
	Disowned  What = "disowned"  // the key that signed it is marked compromised, and nobody vouches for it; no fault
	Repaired  What = "repaired"  // it was missing or damaged
	Mendable  What = "mendable"  // it is missing or damaged, and could be repaired
	Redated   What = "redated"   // it counted once, and was stored again without its time: so it is late, and prune gives up nothing until it counts or is forgotten
	Uncounted What = "uncounted" // parts of an archive are gone that does not count, since it is late: prune keeps nothing for it; no fault
)

// A Finding is one thing that is not as it should be.
type Finding struct {
	What    What
	Object  string // the object, if it is one
	Archive string // the archive that is touched, if it is known
	Path    string // the file in it
	Err     error  // the reason, if there is more to say

	Chunks []chunk.ID // that are gone, of a file, folder or list
}

// Fault reports whether something is wrong that nobody knew of, or somebody tried that.
func (f Finding) Fault() bool {
	switch f.What {
	case Foreign, Unindexed, Lost, Disowned, Repaired, Uncounted:
		return false
	}
	return true
}

// Summary counts what a check looked at.
type Summary struct {
	Archives, Trees, Files, Indexes int
	Packs, PacksRead                int
	Bytes, BytesRead                int64
	Opened                          bool // packs were opened with a recovery key
	Checksums                       int  // objects whose checksum the store vouched for
	Faults, Leftovers               int
	Lost, Disowned, Repaired        int
	Uncounted                       int
}

const (
	packsAtOnce = 1 << 20
	treesKept   = 1 << 22
	chunksKept  = 1 << 22
	readAtOnce  = 4
)

// checker is a running check.
type checker struct {
	r   *repo.Repository
	rd  *repo.Reader
	o   Options
	mu  sync.Mutex
	sum Summary

	lost  *lists.Set // what repair gave up, besides prune's
	bad   map[index.ObjectID]*BadPack
	whole map[chunk.Key]struct{} // trees below which nothing is wrong
	made  map[chunk.Key]struct{} // chunks whose recipes were looked at

	chosen    bool                        // it is a copy of some archives: an index was made for readers alone
	forgotten map[index.ObjectID]struct{} // archives

	survey *Survey // takes notes for a repair; nil: findings are told at once
}

// Run looks at everything that the store holds of the repository. The error is for what stops the check; what is wrong with the repository is told to o.Found and counted.
func Run(ctx context.Context, r *repo.Repository, o Options) (Summary, error) {
	c, err := newChecker(ctx, r, o)
	if err != nil {
		return Summary{}, err
	}
	if err := c.scan(ctx); err != nil {
		return c.sum, err
	}
	all, err := c.list(ctx)
	if err != nil {
		return c.sum, err
	}
	if err := c.walk(ctx, all); err != nil {
		return c.sum, err
	}
	return c.sum, c.versions(ctx)
}

func newChecker(ctx context.Context, r *repo.Repository, o Options) (*checker, error) {
	if o.Connections == 0 {
		o.Connections = readAtOnce
	}
	if o.Random == nil {
		o.Random = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	rd, err := r.NewReader(ctx)
	if err != nil {
		return nil, err
	}
	c := &checker{r: r, rd: rd, o: o, lost: r.Lists(), bad: map[index.ObjectID]*BadPack{}, whole: map[chunk.Key]struct{}{}, made: map[chunk.Key]struct{}{}, forgotten: map[index.ObjectID]struct{}{}}
	c.sum.Opened = o.ReadData && r.CanReadContent()
	return c, nil
}

// scan looks at the objects by themselves.
func (c *checker) scan(ctx context.Context) error {
	total, err := c.objects(ctx)
	if err != nil {
		return err
	}
	for pass, passes := 0, total/packsAtOnce+1; pass < passes; pass++ {
		if err := c.packsOf(ctx, pass, passes); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) found(f Finding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.survey != nil {
		c.survey.Findings = append(c.survey.Findings, f)
		return
	}
	switch {
	case f.Fault():
		c.sum.Faults++
	case f.What == Lost:
		c.sum.Lost++
	case f.What == Repaired:
		c.sum.Repaired++
	case f.What == Disowned:
		c.sum.Disowned++
	case f.What == Uncounted:
		c.sum.Uncounted++
	default:
		c.sum.Leftovers++
	}
	if c.o.Found != nil {
		c.o.Found(f)
	}
}

// objects looks at all names and opens the records, and returns the number of packs.
func (c *checker) objects(ctx context.Context) (packs int, err error) {
	var records []store.Info
	err = c.r.Store().List(ctx, "", func(i store.Info) error {
		c.sum.Bytes += i.Size
		switch kind := sealed.Kind(i.Name); kind {
		case "":
			c.found(Finding{What: Foreign, Object: i.Name})
		case "content", "metadata":
			packs++
		case "config", "keys", "index", "archive": // checked where they are used
		default:
			records = append(records, i)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("list objects: %w", err)
	}
	for _, info := range records {
		content, _, err := c.r.Record(ctx, info)
		if err == nil && sealed.Kind(info.Name) == record.ForgetKind {
			err = c.forgets(content)
		}
		if err != nil {
			if ctx.Err() != nil {
				return 0, ctx.Err()
			}
			c.record(info.Name, err)
		}
	}
	return packs, nil
}

// record tells of a record that cannot be used.
func (c *checker) record(name string, err error) {
	if errors.Is(err, repo.ErrDisowned) {
		c.found(Finding{What: Disowned, Object: name})
		return
	}
	if c.survey != nil && sealed.Kind(name) == "index" && !IsGone(err) {
		c.survey.Unread = errors.Join(c.survey.Unread, err)
	}
	f := Finding{What: Damaged, Object: name, Err: err}
	if id, err := sealed.ObjectID(name); err == nil && c.lost.Object(id) {
		f.What = Lost
	}
	c.found(f)
}

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
	seen := map[index.ObjectID]struct{}{}
	counts := map[index.ObjectID]bool{} // of those that are seen: false if all that names them is late, though not made so, for readers alone
	replaced := c.r.ReplacedIndexes()   // which may name what is gone
	dropped := c.r.Lists()
	err := c.r.IndexObjects(ctx, func(x sealed.IndexRecord) error {
		if pass == 0 {
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
				if _, again := seen[p.ID]; again {
					continue
				}
				at, ok := stored[p.ID]
				if !ok && x.Late || dropped.Pack(p.ID)&lists.Dropped != 0 {
					continue
				}
				seen[p.ID] = struct{}{}
				name := sealed.PackName(p.Directory.Kind, p.ID)
				if !ok || at.Size != p.Size {
					if older, has := c.r.Recover(ctx, name); has {
						at, ok = older, true
					}
				}
				if !ok {
					c.giveUp(p, Finding{What: Missing, Object: name})
					continue
				}
				read := at.Size != p.Size || c.o.ReadData && (c.o.Sample == 0 || c.o.Random.Float64() < c.o.Sample)
				g.Go(func() error { return c.pack(gctx, at, p, read) })
				if c.o.Progress != nil && c.o.ReadData {
					c.o.Progress(len(seen), total)
				}
			}
		}
		return g.Wait()
	})
	if err != nil {
		return err
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

// pack checks one stored pack.
func (c *checker) pack(ctx context.Context, info store.Info, p *index.Pack, read bool) error {
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
	object, err := store.ReadAll(ctx, c.r.Store(), info.Name, store.MaxObject)
	if !errors.Is(err, store.ErrUnavailable) && (err != nil || sha256.Sum256(object) != p.ID) {
		if older, ok := c.r.Recover(ctx, info.Name); ok {
			info = older
			object, err = store.ReadAll(ctx, c.r.Store(), info.Name, store.MaxObject)
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, store.ErrUnavailable) {
		return fmt.Errorf("check %s: %w", info.Name, err)
	}
	if c.survey != nil && err != nil && !IsGone(err) {
		return fmt.Errorf("check %s: %w", info.Name, err)
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
	if len(damaged) > 0 {
		c.spoilt(p, info.Name, damaged, fmt.Errorf("its index says other hashes of %d of %d frames", len(damaged), len(p.Hashes)))
		return nil
	}
	if p.Directory.Kind == pack.Content && !c.r.CanReadContent() {
		return nil
	}
	opened, err := c.r.OpenPack(ctx, info, object)
	if errors.Is(err, store.ErrUnavailable) || ctx.Err() != nil {
		return errors.Join(err, ctx.Err())
	}
	if err == nil && !sameDirectory(&opened.Directory, &p.Directory) {
		err = fmt.Errorf("its index says other chunks: %w", crypto.ErrIntegrity)
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
