// Package lookup is the local index, which says which pack and frame holds which chunk, and is filled from index objects.
//
// It is a cache: a folder of immutable, sorted files, each made from a batch of index objects and merged with
// others of its size as it ages, so that there are few at any time, and memory. A lookup costs one read in each file. What
// is held in memory does not grow with the number of chunks but for eight bytes to sixty-three of them, and some bytes for each pack
// while files are merged.
//
// Invariants: an answer is what a trusted index object said, or an error: all that is read from a file has passed a checksum. A source is known
// as a whole or not at all. The folder may be deleted, torn by a crash, full, or shared by processes: that costs time only.
//
// The package does not read the repository, judge signers, or subtract what prune dropped.
package lookup

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"sync"
	"time"

	"nightjar/chunk"
	"nightjar/repo/index"
	"nightjar/repo/pack"
)

// ErrBroken says that a file of the local index was found broken. The file has been dropped and Sources no longer names what it held:
// Add that again, then ask again.
var ErrBroken = errors.New("broken file in the local index")

var errMalformed = errors.New("malformed")

// An Origin says whose word something is, and whose packs it is about.
type Origin struct {
	Signer string // fingerprint of who has signed the index object; "": nobody has
	Owner  string // name of the host
	Late   bool   // the object is late: it is for readers alone, and stands for no other
}

// A Source is what an index object says of one host's packs.
type Source struct {
	Object index.ObjectID
	Origin
}

// PackInfo is what is known of a pack that holds a chunk. It is shared: do not change it.
type PackInfo struct {
	ID      index.ObjectID
	Kind    pack.Kind
	Size    int64  // bytes of the object
	Session []byte // its session-key packet
	Proof   index.Proof
	Layout  Layout
	Origin
}

// A Layout stands for all that is said of a pack: what was read by it serves whoever is told the same.
type Layout [16]byte

// A Location is one place where a chunk lies, in one form.
type Location struct {
	Pack        *PackInfo
	Frame       int      // number of the frame in the pack
	FrameOffset int64    // of the frame in the pack's plaintext
	Stored      int      // bytes of the frame in the plaintext
	Plain       int      // bytes that the frame decompresses to
	Hash        [32]byte // SHA-256 of the frame's span
	Type        pack.Type
	Offset      int // of the blob, in what the frame decompresses to
	Length      int // bytes of the blob
}

// RunTimes say when a run was at work.
type RunTimes struct {
	Begin time.Time // as in Run
	Time  time.Time // as in Run, or the object's
}

// runTimes returns the times of runs in an object of a time.
func runTimes(runs []index.Run, of time.Time) []RunTimes {
	times := make([]RunTimes, len(runs))
	for i, run := range runs {
		times[i] = RunTimes{run.Begin, run.Time}
		if run.Time.IsZero() {
			times[i].Time = of
		}
	}
	return times
}

// signed names an index object by its hash and its signer.
type signed struct {
	object index.ObjectID
	signer string
}

// Options say how an Index works.
type Options struct {
	Warn    func(error) // told what is wrong with the folder but stops nothing; nil: nobody. It must not call the Index
	FlushAt int         // entries in memory at which Add flushes; 0: 524,288
}

// An Index is the local index. It is safe for concurrent use.
type Index struct {
	dir     string // empty: memory only
	warn    func(error)
	flushAt int
	floor   int64 // weight below which files are always merged

	change  sync.Mutex // held by whoever adds, retains or flushes; lookups go on meanwhile
	retryAt int        // entries in memory at which Add flushes next

	mu       sync.RWMutex
	segments []*segment // the memory, then files by age; none: closed
	known    map[index.ObjectID]bool
	replaced map[signed]bool
	gone     map[index.ObjectID]bool // from the repository

	tables  cache
	scratch sync.Pool
}

// Open opens the local index in a folder, which is made when it is missing. Broken files are dropped. With a folder that cannot be used the
// Index works in memory, as it does without any (""). Warn hears of both; an error means wrong Options.
func Open(dir string, o Options) (*Index, error) {
	if o.FlushAt < 0 {
		return nil, fmt.Errorf("open local index: cannot flush at %d entries", o.FlushAt)
	}
	x := &Index{dir: dir, warn: o.Warn, flushAt: o.FlushAt, floor: 64 << 10, segments: []*segment{newMemory()},
		known: map[index.ObjectID]bool{}, replaced: map[signed]bool{}, gone: map[index.ObjectID]bool{}}
	if x.warn == nil {
		x.warn = func(error) {}
	}
	if x.flushAt == 0 {
		x.flushAt = 512 << 10
	}
	x.retryAt = x.flushAt
	x.scratch.New = func() any { return &scratch{} }
	if dir != "" {
		if err := x.openFolder(); err != nil {
			x.warn(fmt.Errorf("open local index, working in memory: %w", err))
			x.dir = ""
		}
	}
	x.resolve()
	return x, nil
}

// Sources returns what has been absorbed and need not be added, in no particular order.
func (x *Index) Sources() []Source {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var all []Source
	for _, g := range x.segments {
		for i := range g.sources {
			if g.sources[i].state != ignored {
				all = append(all, g.sources[i].Source)
			}
		}
	}
	return all
}

// Replaced returns those of the Sources that do not count, since others stand for them.
func (x *Index) Replaced() []Source {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var all []Source
	for _, g := range x.segments {
		for i := range g.sources {
			if g.sources[i].state == replaced {
				all = append(all, g.sources[i].Source)
			}
		}
	}
	return all
}

// Retain forgets the sources for which keep says no: they have vanished from the repository. What they had
// replaced counts again, or, if it was given up already, is no longer among Sources. keep must not call the Index.
func (x *Index) Retain(keep func(Source) bool) error {
	x.change.Lock()
	defer x.change.Unlock()
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.segments) == 0 {
		return fmt.Errorf("retain in local index: %w", fs.ErrClosed)
	}
	for _, g := range x.segments {
		for i := range g.sources {
			src := g.sources[i].Source
			if keep(src) {
				delete(x.gone, src.Object)
			} else {
				x.gone[src.Object] = true
			}
		}
	}
	x.resolve()
	return nil
}

// Add absorbs one index object, if it is not known already. What it replaces is forgotten, if that has the same signer. Owners are those of the
// runs. It fails for an object that contradicts itself and changes nothing then. obj is not kept.
func (x *Index) Add(src Source, obj *index.Object) error {
	x.change.Lock()
	defer x.change.Unlock()
	entries, err := x.checkObject(obj)
	if err == nil {
		err = x.absorb(src, obj, entries)
	}
	if err != nil {
		return fmt.Errorf("add index object %s: %w", src.Object, err)
	}
	if x.pending() >= x.retryAt {
		x.flush()
	}
	return nil
}

// checkObject returns the number of the object's entries.
func (x *Index) checkObject(obj *index.Object) (entries int, err error) {
	for i := range obj.Runs {
		for j := range obj.Runs[i].Packs {
			p := &obj.Runs[i].Packs[j]
			if err := p.Check(); err != nil {
				return 0, err
			}
			if len(p.Directory.Frames) > pack.MaxFrames {
				return 0, fmt.Errorf("pack %s: too many frames", p.ID)
			}
			for k := range p.Directory.Frames {
				f := &p.Directory.Frames[k]
				sum := 0
				for _, b := range f.Blobs {
					if b.Length < 0 || b.Length > chunk.MaxSize {
						return 0, fmt.Errorf("pack %s: a blob of %d bytes", p.ID, b.Length)
					}
					sum += b.Length
				}
				if sum != f.Plain || f.Plain > chunk.MaxSize || f.Stored < 0 {
					return 0, fmt.Errorf("pack %s: frame %d: its parts do not add up", p.ID, k)
				}
				entries += len(f.Blobs)
			}
		}
	}
	return entries, nil
}

func (x *Index) absorb(src Source, obj *index.Object, entries int) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.segments) == 0 {
		return fs.ErrClosed
	}
	if x.gone[src.Object] { // it is there again, and so may be what we hold of it
		delete(x.gone, src.Object)
		x.resolve()
	}
	if x.known[src.Object] {
		return nil
	}
	g, m := x.segments[0], x.memory()
	runs := map[string][]index.Run{}
	var owners []string
	for _, run := range obj.Runs {
		if runs[run.Owner] == nil {
			owners = append(owners, run.Owner)
		}
		runs[run.Owner] = append(runs[run.Owner], run)
	}
	if entries > math.MaxInt32-len(m.entries) || len(g.sources)+len(owners) > maxSources {
		return errors.New("the index in memory is full")
	}
	replaces := append([]index.ObjectID(nil), obj.Replaces...)
	for _, owner := range owners {
		src.Owner = owner
		s := source{Source: src, replaces: replaces, runs: runTimes(runs[owner], obj.Time), state: live}
		if replaces = nil; x.replaced[signed{src.Object, src.Signer}] {
			s.state, s.bare = replaced, true
		} else {
			before := len(m.entries)
			m.add(uint32(len(g.sources)), runs[owner])
			g.packs, s.entries = len(m.packs), int64(len(m.entries)-before)
		}
		g.sources = append(g.sources, s)
	}
	x.known[src.Object] = true
	if !src.Late {
		x.stand(src, obj.Replaces)
	}
	return nil
}

// stand notes that src stands for others; x.mu is held. Whoever adds the newest first is spared most of the work.
func (x *Index) stand(src Source, others []index.ObjectID) {
	known := false
	for _, id := range others {
		known = known || x.known[id]
		if id != src.Object {
			x.replaced[signed{id, src.Signer}] = true
		}
	}
	if known {
		x.resolve()
	}
}

// memory returns the table of what is not in files; x.mu is held.
func (x *Index) memory() *memory { return x.segments[0].table.(*memory) }

// pending returns the number of entries in memory.
func (x *Index) pending() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.memory().entries)
}

// Entries returns the number of blobs that are known; one that is stored twice counts twice.
func (x *Index) Entries() int64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var n int64
	for _, g := range x.segments {
		for i := range g.sources {
			if s := &g.sources[i]; s.state == live {
				n += s.entries
			}
		}
	}
	return n
}

// Close closes the files. What was not flushed is forgotten.
func (x *Index) Close() error {
	x.change.Lock()
	defer x.change.Unlock()
	x.mu.Lock()
	defer x.mu.Unlock()
	var err error
	for _, g := range x.segments {
		err = errors.Join(err, g.close())
	}
	x.segments = nil
	x.tables.reset()
	return err
}
