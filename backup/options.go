package backup

import (
	"errors"
	"io"
	"time"

	"nightjar/backup/filter"
	"nightjar/backup/scan"
	"nightjar/internal/watch"
	"nightjar/repo"
)

// Options say what a backup saves.
type Options struct {
	Paths         []string // absolute
	Filter        *filter.Filter
	ExcludeCaches bool          // leave out what is in directories with a CACHEDIR.TAG, but for that file
	ExcludeNoDump bool          // leave out what chattr +d was said of
	OneFileSystem bool          // do not enter other file systems
	Rehash        bool          // read unchanged files too
	Avoid         []string      // folders that are never saved: the repository itself, the cache
	Previous      *repo.Archive // nil: none
	Workers       int           // 0 or less: as many as cores
	AllowEmpty    bool          // of Save: commit an archive though nothing is in it

	Now      func() time.Time // this machine's clock; nil: time.Now
	Progress *watch.Progress
	Note     func(path, what string)      // told what is no problem, but of interest, from any goroutine; may be nil
	Problem  func(path string, err error) // told of everything that makes the archive incomplete; calls may come from any goroutine
}

// scan returns what concerns the scan.
func (o *Options) scan() scan.Options {
	return scan.Options{
		Filter: o.Filter, ExcludeCaches: o.ExcludeCaches, ExcludeNoDump: o.ExcludeNoDump, OneFileSystem: o.OneFileSystem, Rehash: o.Rehash, Avoid: o.Avoid,
		Now: o.Now, Progress: o.Progress, Note: o.Note, Problem: o.Problem,
	}
}

// Source is a stream that a backup reads to its end.
type Source struct {
	Name       string // of the file in the archive
	Reader     io.Reader
	AllowEmpty bool // save it though nothing is in it
}

// ErrEmpty says that a stream, or a run, had nothing in it: what should have written it has failed, as a rule.
var ErrEmpty = errors.New("it is empty")
