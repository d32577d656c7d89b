package restore

import (
	"nightjar/backup/filter"
	"nightjar/backup/local"
	"nightjar/chunk"
	"nightjar/internal/watch"
	"nightjar/repo"
)

// Options say what a restore puts back, and how.
type Options struct {
	Path        string // in the archive: a directory, whose content goes into Target, or one entry; "" or "/" is everything
	Target      string // an existing folder, or one to make
	Filter      *filter.Filter
	Overwrite   Overwrite
	DryRun      bool // say what would be done
	Ownership   local.Ownership
	NumericACLs bool                // accounts in ACLs by number, not by name
	Partial     bool                // keep files of which parts are lost, under a name that ends with DamagedSuffix, with zeros for what is missing
	Verify      func() *chunk.Namer // makes what names chunks: what was written is read back and compared; nil: it is not

	Progress *watch.Progress
	Problem  func(path string, err error)     // told of what could not be put back as it was
	Warn     func(err error)                  // told of what users should know besides, if not nil
	Report   func(path string, action Action) // told of every entry, if not nil
}

// DamagedSuffix ends the names of files of which not all could be put back.
const DamagedSuffix = ".damaged"

// Overwrite says what becomes of files that are there already.
type Overwrite int

// The policies.
const (
	Refuse    Overwrite = iota // a target that is not empty is refused
	Always                     // replace
	IfChanged                  // replace unless size and mtime are equal; what is kept gets its attributes
	IfNewer                    // replace what is older than the saved file
	Never                      // keep, with all attributes, folders too
)

// Action says what a restore did, or would do, with an entry.
type Action int

// The actions.
const (
	Created Action = iota
	Replaced
	Kept
	Amended // its content is kept, and attributes are put right
)

// Statistics sum up a restore.
type Statistics struct {
	Files, Dirs, Others, Links uint64
	Bytes                      uint64 // of content
	Kept                       uint64
	Amended                    uint64 // of those, how many had attributes that were not as saved
	Verified                   uint64 // files that were read back, and were as they should be
	Problems                   uint64
	Read                       repo.Reads
}

// Map returns the counters under the names that --json uses.
func (s *Statistics) Map() map[string]uint64 {
	return map[string]uint64{
		"files": s.Files, "dirs": s.Dirs, "others": s.Others, "links": s.Links, "bytes": s.Bytes, "kept": s.Kept, "amended": s.Amended, "verified": s.Verified,
		"problems": s.Problems, "bytes_read": s.Read.Bytes, "bytes_read_again": s.Read.Again,
	}
}
