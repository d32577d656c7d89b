package backup

import (
	"nightjar/backup/local"
	"nightjar/repo/tree"
)

const (
	batchBytes  = 1 << 20 // of content to read
	batchEvents = 1024
	batchDirs   = 32 // that stay open until it is read
	batchesWait = 16 // on their way from the scan to the builder
)

// A batch is a stretch of the walk: what came after one another, with about a megabyte of content to read. One worker reads it; the builder
// takes batches in order.
type batch struct {
	events []event
	reads  []int // events that a worker has to read
	bytes  int64
	done   chan struct{} // closed when nothing is left to read
	dirs   []*local.Dir  // to close after reading
}

// close closes the directories of a batch of which nothing is left to read.
func (b *batch) close() {
	for _, d := range b.dirs {
		d.Close()
	}
	b.dirs = nil
}

type eventKind int

const (
	entry eventKind = iota // an entry that is no directory
	enter                  // a directory begins
	leave                  // and ends
)

type event struct {
	kind     eventKind
	node     *tree.Node
	path     string          // absolute, for reports; only where something is read
	dir      *local.Dir      // that the file is in; only where something is read
	previous *tree.Node      // the same in the predecessor, if it was there; only where something is read, and of directories
	held     []tree.Contents // what it may have held before, the likeliest first; only where something is read
	like     []tree.Contents // what it may resemble; only where something is read
	skip     bool            // it could not be read
}
