// Package scan walks the trees that are to be saved: in order of names, and beside the trees of the archive before.
//
// What is as it was it takes from there; of what is new or changed it says what it may have been before, under this name or another. Both go on in batches, for others
// to read and to store. The walk never leaves what was selected, and enters no symbolic link; what cannot be read is reported, and the walk goes on.
package scan

import (
	"context"
	"time"

	"nightjar/backup/filter"
	"nightjar/backup/local"
	"nightjar/chunk"
	"nightjar/internal/watch"
	"nightjar/repo/tree"
)

// Settled is how long ago an entry must have changed for its times to show the next change. File systems count in steps of up to two seconds.
const Settled = 2 * time.Second

// Options say what is walked, and beside what.
type Options struct {
	Filter        *filter.Filter
	ExcludeCaches bool         // leave out what is in directories with a CACHEDIR.TAG, but for that file
	ExcludeNoDump bool         // leave out what chattr +d was said of
	OneFileSystem bool         // do not enter other file systems
	Rehash        bool         // have unchanged files read too
	Avoid         []string     // folders that are passed over, whatever was selected
	Previous      *Predecessor // nil: none

	Now      func() time.Time             // this machine's clock, by which the file systems' is; nil: time.Now
	Progress *watch.Progress              // counts what need not be read; not nil
	Note     func(path, what string)      // told what is left out that nobody chose to leave out; may be nil
	Problem  func(path string, err error) // told of what cannot be walked; not nil

	// Met is told of what was selected, and why it is left out, "" if it is not; n is nil of all that is in a folder, whose path then ends in /**. It may be nil.
	Met func(path string, n *tree.Node, left string)
}

func (o *Options) fill() {
	if o.Now == nil {
		o.Now = time.Now
	}
}

// A Predecessor is the archive that the walk goes beside.
type Predecessor struct {
	Start time.Time                         // of its run
	Root  *tree.Node                        // its root directory
	Fetch func(chunk.ID) ([]byte, error)    // returns trees
	Holds func(tree.Contents) (bool, error) // whether contents of it may be named again
}

// Counts say what a walk met. Files that are to be read are not in them.
type Counts struct {
	Files, Dirs, Others  uint64
	Bytes                uint64 // sizes of the files
	Unchanged            uint64 // files
	NewDirs, ChangedDirs uint64
	Deleted              uint64 // files and others that the predecessor has and the walk did not meet
	Unread               uint64 // vanished, or could not be walked
}

// Walk walks what was selected, from the root of the file system, and calls out with its batches, which are to be closed.
func Walk(ctx context.Context, sel *Selection, o Options, out func(*Batch) error) (Counts, error) {
	o.fill()
	s := &scanner{ctx: ctx, o: &o, out: out}
	err := s.scan(sel, local.NewOwners())
	return s.counts, err
}

// Measure walks what was selected to count it in o.Progress, with what would have to be read. It reads no content.
func Measure(ctx context.Context, sel *Selection, o Options) error {
	o.fill()
	s := &scanner{ctx: ctx, o: &o, counting: true, out: func(*Batch) error { return nil }}
	return s.scan(sel, nil)
}
