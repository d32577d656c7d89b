package hot

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"nightjar/mysqldump"
	"nightjar/mysqldump/hotinfo"
	"nightjar/mysqldump/xbstream"
)

// ErrPacked says that a stream has files that the tool has compressed or encrypted.
var ErrPacked = errors.New("the tool compresses or encrypts its files")

// packed are endings that the tools give to files that they have compressed or encrypted.
var packed = []string{".qp", ".lz4", ".zst", ".xbcrypt"}

// maxChange is how large a file may be that says how another was renamed.
const maxChange = 4096

// files puts the files of a stream into a tree.
type files struct {
	tree    mysqldump.Tree
	queue   *queue
	page    int  // bytes of a page of InnoDB
	changes bool // whether the files, and those that tell of DDL, are MariaDB's

	said        map[string]*text // what the tool says of the backup
	renamed     map[string]*text // from a table's path to its new one
	newer, gone []string         // paths of tables without their endings
	closed      map[string]bool
	sum         Sums
}

// Sums count what a backup has.
type Sums struct {
	Files int
	Bytes uint64
	Redo  uint64 // bytes of Bytes that are InnoDB's log
}

// Rename and Remove follow the tables without transactions that were renamed or dropped since they were copied.
func (s *files) Rename(from, to string) error {
	if err := s.queue.wait(); err != nil {
		return err
	}
	return s.tree.Rename(from, to)
}

func (s *files) Remove(name string) error {
	if err := s.queue.wait(); err != nil {
		return err
	}
	return s.tree.Remove(name)
}

// Open takes the next file of the stream.
func (s *files) Open(name string) (xbstream.File, error) {
	if slices.Contains(packed, path.Ext(name)) {
		return nil, fmt.Errorf("%w: there is a file %q", ErrPacked, name)
	}
	if s.changes {
		switch table, ending := cutExt(name); ending {
		case ".ren":
			t := &text{name: name, max: maxChange}
			s.renamed[table] = t
			return t, nil
		case ".del":
			s.gone = append(s.gone, table)
			return &text{name: name}, nil
		case ".new":
			s.newer = append(s.newer, table)
		}
	}
	if s.closed[name] { // it takes the place of one that may be on its way yet
		if err := s.queue.wait(); err != nil {
			return nil, err
		}
	}
	to := &file{files: s, name: name}
	if slices.Contains(hotinfo.Names, name) || slices.Contains(hotinfo.BinlogNames, name) {
		to.copy = &text{name: name, max: hotinfo.MaxSize}
		s.said[name] = to.copy
	}
	return to, nil
}

func cutExt(name string) (string, string) {
	ending := path.Ext(name)
	return strings.TrimSuffix(name, ending), ending
}

// say returns the first of several files in which the tool says something.
func (s *files) say(names []string) string {
	for _, n := range names {
		if t := s.said[n]; t != nil {
			return string(t.text)
		}
	}
	return ""
}

// settle does what the tool does first when it prepares a backup: it gives the tables their names that were renamed, dropped or
// made anew while they were copied. So each has the name under which it was there the night before.
func (s *files) settle() error {
	if err := s.queue.wait(); err != nil {
		return err
	}
	for _, table := range s.gone {
		if err := s.tree.Remove(table + ".ibd"); err != nil {
			return fmt.Errorf("take out table %q, which was dropped meanwhile: %w", table, err)
		}
	}
	tables := slices.Sorted(maps.Keys(s.renamed))
	for _, table := range tables { // to a name that nothing else has: they may have exchanged theirs
		if err := s.tree.Rename(table+".ibd", table+".ren"); err != nil {
			return fmt.Errorf("rename table %q, as it was meanwhile: %w", table, err)
		}
	}
	for _, table := range tables {
		to, err := xbstream.Clean(strings.TrimSpace(string(s.renamed[table].text)) + ".ibd")
		if err == nil {
			err = s.tree.Rename(table+".ren", to)
		}
		if err != nil {
			return fmt.Errorf("rename table %q, as it was meanwhile: %w", table, err)
		}
	}
	for _, table := range s.newer {
		if err := s.tree.Rename(table+".new", table+".ibd"); err != nil {
			return fmt.Errorf("replace table %q, which was made anew meanwhile: %w", table, err)
		}
	}
	return nil
}

// text is a small file that is kept in memory.
type text struct {
	name string
	max  int
	text []byte
}

func (t *text) Write(b []byte) (int, error) {
	if len(t.text)+len(b) > t.max {
		return 0, fmt.Errorf("%w: file %q has more than %d bytes", xbstream.ErrFormat, t.name, t.max)
	}
	t.text = append(t.text, b...)
	return len(b), nil
}

func (t *text) Close() error { return nil }
func (t *text) Abort()       {}

// file is a file of the tree. It begins there with the first bytes, which tell what pages it has.
type file struct {
	files *files
	name  string
	to    *queued // nil: not begun
	copy  *text
	head  []byte
	size  uint64
}

// flagsEnd is where the header of a tablespace ends that says how large its pages are.
const flagsAt, flagsEnd = 54, 58

func (f *file) Write(b []byte) (int, error) {
	if f.copy != nil {
		if _, err := f.copy.Write(b); err != nil {
			return 0, err
		}
	}
	f.size += uint64(len(b))
	if f.to != nil {
		return f.to.Write(b)
	}
	f.head = append(f.head, b...)
	if len(f.head) < flagsEnd {
		return len(b), nil
	}
	return len(b), f.begin()
}

// ReadFrom spares a copy of what is long.
func (f *file) ReadFrom(r io.Reader) (n int64, err error) {
	if f.copy != nil {
		return io.Copy(struct{ io.Writer }{f}, r)
	}
	if f.to == nil {
		if n, err = io.CopyN(struct{ io.Writer }{f}, r, int64(flagsEnd-len(f.head))); err == io.EOF {
			return n, nil
		}
	}
	if err == nil {
		var k int64
		k, err = f.to.ReadFrom(r)
		f.size += uint64(k)
		n += k
	}
	return n, err
}

func (f *file) begin() error {
	to, err := f.files.tree.Create(f.name, f.files.pages(f.name, f.head))
	if err != nil { // then what it returns is no file, and need not be nil
		return err
	}
	f.to = f.files.queue.file(f.files.blanked(f.name, to))
	_, err = f.to.Write(f.head)
	f.head = nil
	return err
}

func (f *file) Close() error {
	if f.to == nil {
		if err := f.begin(); err != nil {
			return err
		}
	}
	f.files.closed[f.name] = true
	s := &f.files.sum
	s.Files++
	s.Bytes += f.size
	if isRedo(f.name) {
		s.Redo += f.size
	}
	return f.to.Close()
}

func (f *file) Abort() {
	if f.to != nil {
		f.to.Abort()
	}
}

func isRedo(name string) bool {
	return strings.HasPrefix(name, "ib_logfile") || name == "xtrabackup_logfile"
}

// pages returns the size of a file's pages, from its name and its first bytes; 0 for files that have none.
func (s *files) pages(name string, head []byte) int {
	base := path.Base(name)
	_, ending := cutExt(base)
	switch {
	case ending == ".ibd" || ending == ".new" || ending == ".ibu":
		if len(head) < flagsEnd {
			return 0
		}
		// Compressed tables say the size of their pages in bits 1 to 4, and tell by bit 4 that they are none with newer checksums.
		flags := binary.BigEndian.Uint32(head[flagsAt:])
		if small := flags >> 1 & 15; flags&16 == 0 && small > 0 {
			return 512 << small
		}
		return s.page
	case strings.HasPrefix(base, "ibdata") || strings.HasPrefix(base, "undo"):
		return s.page
	}
	return 0
}

// defaultPage is what servers have where they do not say it.
const defaultPage = 16 << 10

func (o *Options) newFiles(tree mysqldump.Tree, page int, changes bool) *files {
	return &files{tree: tree, queue: newQueue(), closed: map[string]bool{}, page: cmp.Or(page, defaultPage), changes: changes, said: map[string]*text{}, renamed: map[string]*text{}}
}
