// Package dumpfiles finds the files of a database's dump in an archive, and reads them straight from the repository.
//
// The invariant: what is read is what the archive has, authenticated before it is handed out. All readers share one budget of
// memory. The package writes nothing, and does not know what is in the files.
package dumpfiles

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"nightjar/backup/browse"
	"nightjar/backup/read"
	"nightjar/mysqldump"
	"nightjar/repo"
	"nightjar/repo/tree"
)

// The kinds of archives that have something of a server, and the folders in them where the files are.
const (
	Kind   = "mysql-dump" // a dump: files of SQL in Folder
	Hot    = "mysql-hot"  // a hot backup: the files of the data directory in Folder
	Binlog = "mysql-binlog"

	Folder       = "mysql"
	BinlogFolder = "binlog"
)

// budget is memory for what is fetched ahead.
const budget = 48 << 20

// A Source is the files of a dump. It is a mysqldump.Source.
type Source struct {
	ctx      context.Context
	reader   *repo.Reader
	budget   *read.Budget
	files    []mysqldump.SourceFile
	contents map[string]tree.Contents
}

// Open lists the files of the dump that an archive has. The Source ends with ctx.
func Open(ctx context.Context, reader *repo.Reader, a *repo.Archive) (*Source, error) {
	if a.Kind != Kind {
		return nil, fmt.Errorf("open dump: archive %s is of kind %q, not %s", a.ID, a.Kind, Kind)
	}
	s, err := open(ctx, reader, a, Folder)
	if err != nil {
		return nil, fmt.Errorf("open dump: %w", err)
	}
	return s, nil
}

// OpenBinlog lists the binary logs that an archive has, by their paths below BinlogFolder. The Source ends with ctx.
func OpenBinlog(ctx context.Context, reader *repo.Reader, a *repo.Archive) (*Source, error) {
	if a.Kind != Binlog {
		return nil, fmt.Errorf("open binary logs: archive %s is of kind %q, not %s", a.ID, a.Kind, Binlog)
	}
	s, err := open(ctx, reader, a, BinlogFolder)
	if err != nil {
		return nil, fmt.Errorf("open binary logs: %w", err)
	}
	return s, nil
}

func open(ctx context.Context, reader *repo.Reader, a *repo.Archive, folder string) (*Source, error) {
	s := &Source{ctx: ctx, reader: reader, budget: read.NewBudget(budget), contents: map[string]tree.Contents{}}
	err := browse.List(ctx, reader, a, folder, true, func(at string, n *tree.Node) error {
		if !n.IsRegular() {
			return nil
		}
		name := strings.TrimPrefix(strings.TrimPrefix(at, "/"), folder+"/")
		if err := s.attributes(n); err != nil {
			return fmt.Errorf("read notes of %q: %w", name, err)
		}
		s.files = append(s.files, mysqldump.SourceFile{Name: name, Size: int64(n.Size), Notes: n.Notes()})
		s.contents[name] = n.Contents
		return nil
	})
	return s, err
}

// attributes fetches notes that are too large for a tree.
func (s *Source) attributes(n *tree.Node) error {
	if n.XattrContents == nil || len(n.Xattrs) > 0 {
		return nil
	}
	if n.XattrContents.Size() > tree.MaxXattrs {
		return errors.New("they are out of bounds")
	}
	from := read.Open(s.ctx, s.reader, *n.XattrContents, s.budget)
	defer from.Close()
	encoded, err := io.ReadAll(from)
	if err == nil {
		n.Xattrs, err = tree.DecodeXattrs(encoded)
	}
	return err
}

// Files returns all files.
func (s *Source) Files() ([]mysqldump.SourceFile, error) { return s.files, nil }

// Open returns what is in a file.
func (s *Source) Open(name string) (io.ReadCloser, error) {
	contents, ok := s.contents[name]
	if !ok {
		return nil, fmt.Errorf("open %q: %w", name, browse.ErrNotFound)
	}
	return read.Open(s.ctx, s.reader, contents, s.budget), nil
}

// Bytes returns how large all files are together.
func (s *Source) Bytes() (n uint64) {
	for _, f := range s.files {
		n += uint64(f.Size)
	}
	return n
}
