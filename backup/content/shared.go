package content

import (
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"nightjar/backup/pending"
	"nightjar/chunk"
	"nightjar/internal/tempdir"
	"nightjar/repo/save"
	"nightjar/repo/tree"
)

// Bytes of memory for all contents of a run together.
const (
	pendingMemory = 24 << 20 // after the last chunk boundary; of each content a little is always there
	flightMemory  = 16 << 20 // chunks on their way into frames
	flightLeast   = 64 << 10 // what the smallest counts as, whose goroutine has memory too
)

// Options say what the contents of a run have to do with. All fields are needed.
type Options struct {
	Writer *save.Writer
	Rule   chunk.Rule
	Temp   tempdir.Dir
	Savers int
	Start  time.Time // of the run

	Fail   func(error)                  // ends the run, and its context with this cause
	Before func(path string) *tree.Node // returns the predecessor's entry at a path, nil if there is none
	Unread func(path string, err error) // is told what cannot be read of the predecessor
	Read   func(n int)                  // is told of bytes that were saved
	Taken  func(n int64)                // is told of bytes that are the predecessor's
}

// Shared is what the contents of one run share. It is safe for concurrent use; End it.
type Shared struct {
	ctx     context.Context
	o       Options
	savers  *savers
	memory  *pending.Memory
	flight  *semaphore.Weighted
	cutters sync.Pool // of *chunk.Splitter
}

// Share returns what the contents of a run share that ends with ctx.
func Share(ctx context.Context, o Options) (*Shared, error) {
	savers, err := newSavers(o.Writer, o.Savers)
	if err != nil {
		return nil, err
	}
	s := &Shared{ctx: ctx, o: o, savers: savers, memory: pending.New(o.Temp, pendingMemory), flight: semaphore.NewWeighted(flightMemory)}
	s.cutters.New = func() any { return chunk.NewSplitter(o.Rule) }
	return s, nil
}

// End ends the use of all contents, and returns when nothing is being saved any more. Those that are open must be used
// no more.
func (s *Shared) End() {
	s.savers.end()
	s.memory.Close()
}

// New returns an empty content.
func (s *Shared) New(at Place, hint Hint) *Content {
	return &Content{shared: s, place: at, hint: hint, buf: s.memory.NewBuffer(), list: tree.NewLister(s.list)}
}

func (s *Shared) list(list []byte) (id chunk.ID, err error) {
	err = s.savers.use(func(s *save.Saver) error {
		id, err = s.List(list)
		return err
	})
	return id, err
}

// depart waits until there is room for a chunk of n bytes among those that are on their way.
func (s *Shared) depart(n int) error {
	if s.flight.Acquire(s.ctx, int64(max(n, flightLeast))) != nil {
		return context.Cause(s.ctx)
	}
	return nil
}

// arrive gives back the room of a chunk.
func (s *Shared) arrive(n int) { s.flight.Release(int64(max(n, flightLeast))) }

func (s *Shared) splitter() *chunk.Splitter { return s.cutters.Get().(*chunk.Splitter) }

func (s *Shared) giveBack(c *chunk.Splitter) {
	if c != nil {
		c.Reset()
		s.cutters.Put(c)
	}
}

// SaveXattrs moves attributes that are too large for a tree into content.
func SaveXattrs(saver *save.Saver, n *tree.Node) error {
	if len(n.Xattrs) == 0 {
		return nil
	}
	blob, err := tree.EncodeXattrs(n.Xattrs)
	if err != nil || len(blob) <= tree.InlineXattrs {
		return err
	}
	list := tree.NewLister(saver.List)
	for part := range slices.Chunk(blob, chunk.MaxSize/8) {
		id, err := saver.Content(part)
		if err != nil {
			return err
		}
		if err := list.Add(tree.Item{ID: id, Length: int64(len(part))}); err != nil {
			return err
		}
	}
	c, err := list.Finish()
	if err != nil {
		return err
	}
	n.Xattrs, n.XattrContents = nil, &c
	return nil
}
