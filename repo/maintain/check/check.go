// Package check looks whether all that a repository should hold is there and whole.
//
// A check walks from what archives promise down to the bytes that keep the promise, and says of everything that is not as it should be which files of
// which archives it touches. It changes nothing: a repair takes a Survey, and goes on from there.
//
// Memory does not grow with the repository: packs are dealt with in passes, trees that are known to be whole are remembered up to a bound.
package check

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"nightjar/chunk"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/lists"
	"nightjar/repo/lookup"
	"nightjar/repo/record"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
	"nightjar/repo/walk"
)

// Options say how deep a check goes.
type Options struct {
	ReadData    bool                    // read packs too, and with a recovery key open them
	Sample      float64                 // the share of packs that is read, up to 1; 0: all
	Again       map[index.ObjectID]bool // packs that are read whatever ReadData says
	Connections int                     // packs read at the same time; 0: 4
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
	Lost      What = "lost"      // repair gave it up, and has recorded that, somebody forgot it, or prune was about to take it; no fault
	Disowned  What = "disowned"  // the key that signed it is marked compromised, and nobody vouches for it; no fault
	Repaired  What = "repaired"  // it was missing or damaged
	False     What = "false"     // an index object that says of a pack what is not so: the pack is as it should be, and whoever reads it passes over this
	Mendable  What = "mendable"  // it is missing or damaged, and could be repaired
	Redated   What = "redated"   // it counted once, and was stored again without its time: so it is late, and prune gives up nothing until it counts or is forgotten
	Unread    What = "unread"    // it could not be looked at, and may be whole; no fault, but nobody knows
	Uncounted What = "uncounted" // parts of an archive are gone that does not count, since it is late: prune keeps nothing for it; no fault
	Unmet     What = "unmet"     // an archive needs others, as its label says, which its host does not have; no fault: whether anybody forgot them is said of them
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
	case Foreign, Unindexed, Lost, Disowned, Repaired, Uncounted, Unmet, Unread:
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
	Uncounted, Unmet, Unread        int
}

const (
	packsAtOnce = 1 << 20
	brokenKept  = 1 << 22
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

	lost   *lists.Set // what repair gave up, besides prune's
	bad    map[index.ObjectID]*BadPack
	missed []missed                // packs of this pass, that may have been dropped meanwhile
	wrong  map[lookup.Layout]bool  // what is said of packs and is not so
	liars  map[index.ObjectID]bool // index objects that say such
	whole  walk.Seen               // trees and lists below which nothing is wrong, for the hosts whose archives are walked
	made   map[chunk.Key]struct{}  // chunks whose recipes were looked at, likewise

	clutter   map[string]error            // what lies in the place of packs
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
	if err := c.renew(ctx); err != nil { // after the archives were listed: what they need was indexed before them
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
	c := &checker{r: r, rd: rd, o: o, lost: r.Lists(), bad: map[index.ObjectID]*BadPack{}, wrong: map[lookup.Layout]bool{}, liars: map[index.ObjectID]bool{}, made: map[chunk.Key]struct{}{}, forgotten: map[index.ObjectID]struct{}{}}
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
	case f.What == Unmet:
		c.sum.Unmet++
	case f.What == Unread:
		c.sum.Unread++
	default:
		c.sum.Leftovers++
	}
	if c.o.Found != nil {
		c.o.Found(f)
	}
}

// objects looks at all names and opens the records, and returns the number of packs.
func (c *checker) objects(ctx context.Context) (packs int, err error) {
	if err := c.cluttered(ctx); err != nil {
		return 0, err
	}
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
			if gone, err := c.hasGone(ctx, info.Name, err); err != nil {
				return 0, err
			} else if gone {
				continue
			}
			c.record(info.Name, err)
		}
	}
	return packs, nil
}

// cluttered tells what lies in the place of objects. Of packs it is not known yet whether any belongs there.
func (c *checker) cluttered(ctx context.Context) error {
	c.clutter = map[string]error{}
	s, ok := c.r.Store().(store.Cluttered)
	if !ok {
		return nil
	}
	return s.Clutter(ctx, sealed.Belongs, func(name string, what error) error {
		switch kind := sealed.Kind(name); kind {
		case "content", "metadata":
			c.clutter[name] = what
		case "":
			c.found(Finding{What: Damaged, Object: name, Err: what})
		default:
			c.found(Finding{What: Missing, Object: name, Err: what})
		}
		return nil
	})
}

// record tells of a record that cannot be used.
func (c *checker) record(name string, err error) {
	if errors.Is(err, repo.ErrDisowned) {
		c.found(Finding{What: Disowned, Object: name})
		return
	}
	if errors.Is(err, store.ErrUnread) || c.survey != nil && sealed.Kind(name) == "index" && !IsGone(err) {
		c.found(Finding{What: Unread, Object: name, Err: err})
		return
	}
	f := Finding{What: Damaged, Object: name, Err: err}
	if id, err := sealed.ObjectID(name); err == nil {
		if _, forgotten := c.forgotten[id]; forgotten || c.lost.Object(id) || c.lost.Ended(id) {
			f.What = Lost
		}
	}
	c.found(f)
}
