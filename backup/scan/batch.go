package scan

import (
	"nightjar/backup/local"
	"nightjar/repo/tree"
)

const (
	batchBytes  = 1 << 20 // of content to read
	batchEvents = 1024
	batchDirs   = 32 // that stay open until it is read
)

// A Batch is a stretch of the walk: what came after one another, with about a megabyte of content to read. What is read is put into its events.
type Batch struct {
	Events []Event
	Reads  []int         // places of the events that are to be read
	Done   chan struct{} // for whoever reads them to close; closed if there are none

	bytes int64
	dirs  []*local.Dir // to close after reading
}

func newBatch() *Batch { return &Batch{Done: make(chan struct{})} }

// Close closes the directories of a batch of which nothing is left to read.
func (b *Batch) Close() {
	for _, d := range b.dirs {
		d.Close()
	}
	b.dirs = nil
}

// Kind says what an event is.
type Kind int

// The kinds.
const (
	Entry Kind = iota // an entry that is no directory
	Enter             // a directory begins
	Leave             // and ends
)

// An Event is a step of the walk.
type Event struct {
	Kind     Kind
	Node     *tree.Node
	Path     string          // absolute, for reports; only where something is to be read
	Dir      *local.Dir      // that the file is in, until the batch is closed; only where something is to be read
	Previous *tree.Node      // the same in the predecessor, if it was there; only where something is to be read, and of directories
	Held     []tree.Contents // what it may have held before, the likeliest first; only where something is to be read
	Like     []tree.Contents // what it may resemble; only where something is to be read
	Skip     bool            // for the reader to say that it could not be read
}
