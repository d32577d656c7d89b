package volumes

import (
	"sync"

	"nightjar/chunk"
	"nightjar/snapshot/blocks"
)

// A Run says which chunks the run of a backup may use.
type Run interface {
	Has(id chunk.ID) (bool, error)
}

// Contents are what takes the blocks of a volume, as a content of that run does.
type Contents interface {
	Block(data []byte) error
	Same(n int64) (int64, error)
	Hole(n int64) error
	Again(id chunk.ID, length int) (bool, error)
}

// A Known has blocks of a snapshot be saved, and noted in a journal: those that a run before has noted, and the repository has, need not be read.
type Known struct {
	Journal *Journal
	namer   *chunk.Namer

	mu  sync.Mutex
	err error
}

// NewKnown returns a Known. The namer is the repository's, and no other goroutine's.
func NewKnown(j *Journal, namer *chunk.Namer) *Known { return &Known{Journal: j, namer: namer} }

// In returns what tells which blocks a run need not read, as blocks.Store's Survey asks it.
func (k *Known) In(run Run) func(index int32) bool {
	return func(index int32) bool {
		id, known := k.Journal.Get(index)
		if !known || id.IsZero() {
			return known
		}
		has, err := run.Has(id)
		if err != nil {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.err = err
		}
		return has && err == nil
	}
}

// Err is why the run could not be asked, which makes the run fail by itself.
func (k *Known) Err() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.err
}

// Into returns a file whose blocks are noted; read is told how many bytes each has that was read.
func (k *Known) Into(c Contents, read func(n int)) blocks.File { return &noted{k, c, read, 0} }

type noted struct {
	*Known
	contents Contents
	read     func(int)
	at       int64
}

func (f *noted) index() int32 { return int32(f.at / blocks.Size) }

func (f *noted) Block(data []byte) error {
	f.read(len(data))
	if err := f.Journal.Put(f.index(), f.namer.ID(data)); err != nil {
		return err
	}
	f.at += int64(len(data))
	return f.contents.Block(data)
}

// Hole may be of a block that was read, and held nothing.
func (f *noted) Hole(n int64) error {
	if n == blocks.Size {
		if err := f.Journal.Put(f.index(), chunk.ID{}); err != nil {
			return err
		}
	}
	f.at += n
	return f.contents.Hole(n)
}

func (f *noted) Same(n int64) (int64, error) {
	took, err := f.contents.Same(n)
	f.at += took
	return took, err
}

func (f *noted) Again(index int32) (ok bool, err error) {
	switch id, known := f.Journal.Get(index); {
	case !known:
		return false, nil
	case id.IsZero():
		ok, err = true, f.contents.Hole(blocks.Size)
	default:
		ok, err = f.contents.Again(id, blocks.Size)
	}
	if ok && err == nil {
		f.at += blocks.Size
	}
	return ok, err
}
