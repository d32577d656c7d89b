// Package backup saves file trees, streams, and contents that a program writes, in a repository.
//
// Tree: a scan walks the trees beside those of the archive before, and hands what is new or changed to workers in
// batches of about a megabyte of neighbouring files; one goroutine puts the results together, again in the scan's
// order. So memory depends neither on the number of files nor on their sizes.
//
// Save: the caller writes contents under paths of its own, many at the same time and in any order, as the tables of a
// dump come from several connections, or the files of a hot backup in one stream. Whoever writes cuts; savers that all
// contents share save what was cut. What no chunk boundary has come after yet stays in memory of a fixed size and, past
// it, in the repository's temp directory. At the end the trees are made in order of names. Stream is a Save of one
// content. The example of Save is a dump of two tables.
//
// A table that broke off is aborted and created again; what was sent of it is not sent twice.
//
// The invariant: an archive is committed only when all of it was written to its end. The package never leaves the paths
// that it was given. It knows chunks and trees, never how a repository stores them. Of a tree it reports what goes
// wrong with single files, and goes on; a run of contents goes on after no error. Package restore puts back what it
// saves, and package browse looks into it.
package backup

import "time"

// Statistics sum up a backup.
type Statistics struct {
	Start, End time.Time

	Files, Dirs, Others        uint64 // in the archive; others are links, devices, FIFOs, sockets
	Bytes                      uint64 // sizes of the files
	New, Changed, Unchanged    uint64 // files
	NewDirs, ChangedDirs       uint64
	Deleted                    uint64 // files and others that the predecessor has and this archive does not
	Unread                     uint64 // vanished or unreadable: not in the archive
	Unsettled                  uint64 // changed while they were read: in the archive as they were read
	Grown                      uint64 // only grew while they were read: in the archive with what they began with
	BytesRead                  uint64
	ChunksNew, ChunksKnown     uint64
	ChunksDelta                uint64 // of the new ones, those stored as what changed
	BytesLiteral               uint64 // that, in bytes before compression
	BytesNew, BytesCompressed  uint64 // of new chunks
	MetadataNew                uint64 // bytes of new trees and lists
	ObjectsStored, BytesStored uint64
}

// Map returns the counters under the names that archives and --json use.
func (s *Statistics) Map() map[string]uint64 {
	return map[string]uint64{
		"files": s.Files, "dirs": s.Dirs, "others": s.Others, "bytes": s.Bytes,
		"new": s.New, "changed": s.Changed, "unchanged": s.Unchanged, "new_dirs": s.NewDirs, "changed_dirs": s.ChangedDirs,
		"deleted": s.Deleted, "unread": s.Unread, "unsettled": s.Unsettled, "grown": s.Grown, "bytes_read": s.BytesRead,
		"chunks_new": s.ChunksNew, "chunks_known": s.ChunksKnown, "chunks_delta": s.ChunksDelta, "bytes_literal": s.BytesLiteral, "bytes_new": s.BytesNew, "bytes_compressed": s.BytesCompressed,
		"metadata_new": s.MetadataNew, "objects_stored": s.ObjectsStored, "bytes_stored": s.BytesStored,
	}
}
