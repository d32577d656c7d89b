package restore

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"nightjar/mysqldump"
	"nightjar/mysqldump/definition"
	"nightjar/mysqldump/script"
	"nightjar/mysqldump/sum"
)

// An object is what one file of a dump makes.
type object struct {
	Object
	file string
	was  string // its database's name in the dump
	size int64  // bytes

	definition *definition.Definition // nil: not read yet

	kept   bool // it was there, and was not looked at
	left   bool // it was there, and equals the dump
	failed bool // it is not as it should be, which has been said
}

// A table is a table with the files of its rows.
type table struct {
	object
	parts   []part
	columns []string // that were written; nil: not known
	sum     *sum.Sum // nil: not known

	loading
}

// A part is a file of rows.
type part struct {
	file string
	size int64
	rows uint64 // as noted
}

// A plan is what is to be restored.
type plan struct {
	databases []*object
	tables    []*table
	others    []*object // of other kinds, in the order of loading
	byKey     map[string]*table
}

// newPlan reads the notes of a dump's files.
func newPlan(from mysqldump.Source, o *Options) (*plan, error) {
	files, err := from.Files()
	if err != nil {
		return nil, fmt.Errorf("list files of dump: %w", err)
	}
	slices.SortFunc(files, func(a, b mysqldump.SourceFile) int { return strings.Compare(a.Name, b.Name) })
	tables := map[string]*table{}
	p := &plan{byKey: tables}
	var parts []mysqldump.SourceFile
	for _, f := range files {
		kind := script.Kind(f.Notes[script.NoteKind])
		if titles[kind] == "" && kind != script.About {
			return nil, fmt.Errorf("read notes of %q: %.40q is no kind of file in a dump", f.Name, kind)
		}
		if kind == script.About || !o.chosen(kind, f.Notes[script.NoteDatabase], f.Notes[script.NoteObject]) {
			continue
		}
		if kind == script.Rows {
			parts = append(parts, f)
			continue
		}
		x := newObject(f, o)
		switch kind {
		case script.Databases:
			p.databases = append(p.databases, &x)
		case script.Tables:
			t := &table{object: x}
			if err := t.read(f.Notes); err != nil {
				return nil, fmt.Errorf("read notes of %q: %w", f.Name, err)
			}
			if tables[x.key()] != nil {
				return nil, fmt.Errorf("read notes of %q: %s is defined twice", f.Name, x.title())
			}
			tables[x.key()] = t
			p.tables = append(p.tables, t)
		default:
			p.others = append(p.others, &x)
		}
	}
	if err := join(tables, parts, o); err != nil {
		return nil, err
	}
	if len(p.databases)+len(p.tables)+len(p.others) == 0 {
		return nil, ErrNothing
	}
	return p, asked(files, o)
}

// asked returns an error unless the dump has something of each name that was asked for.
func asked(files []mysqldump.SourceFile, o *Options) error {
	for _, pattern := range o.Selection {
		if !slices.ContainsFunc(files, func(f mysqldump.SourceFile) bool { return pattern.names(f) }) {
			return fmt.Errorf("%s: %w", pattern, ErrNothing)
		}
	}
	for was := range o.Rename {
		if !slices.ContainsFunc(files, func(f mysqldump.SourceFile) bool {
			return f.Notes[script.NoteDatabase] == was && script.Kind(f.Notes[script.NoteKind]) != script.Servers
		}) {
			return fmt.Errorf("rename database %s: %w", was, ErrNothing)
		}
	}
	return nil
}

func newObject(f mysqldump.SourceFile, o *Options) object {
	was := f.Notes[script.NoteDatabase]
	if script.Kind(f.Notes[script.NoteKind]) == script.Servers { // which are of no database
		return object{Object: Object{Kind: script.Servers, Name: was}, file: f.Name, size: f.Size}
	}
	return object{
		Object: Object{Kind: script.Kind(f.Notes[script.NoteKind]), Database: cmp.Or(o.Rename[was], was), Name: f.Notes[script.NoteObject]},
		file:   f.Name, was: was, size: f.Size,
	}
}

// read reads the notes of a table's definition.
func (t *table) read(notes map[string]string) error {
	if text, ok := notes[script.NoteSum]; ok {
		s, err := sum.Parse(text)
		if err != nil {
			return err
		}
		t.sum = &s
	}
	if text, ok := notes[script.NoteRows]; ok {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil || t.sum != nil && n != t.sum.Rows {
			return fmt.Errorf("%.40q is not its number of rows", text)
		}
	}
	if text, ok := notes[script.NoteColumns]; ok {
		if err := json.Unmarshal([]byte(text), &t.columns); err != nil {
			return fmt.Errorf("read columns: %w", err)
		}
	}
	if text, ok := notes[script.NoteParts]; ok {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return fmt.Errorf("%.40q is no number of parts", text)
		}
		t.expected = n
	} else {
		t.expected = -1
	}
	return nil
}

// join gives the files of rows to their tables, and proves that none is missing.
func join(tables map[string]*table, parts []mysqldump.SourceFile, o *Options) error {
	sums := map[*table]*sum.Sum{}
	for _, f := range parts {
		x := newObject(f, o)
		t := tables[x.key()]
		if t == nil {
			return fmt.Errorf("read notes of %q: the dump does not define its table", f.Name)
		}
		s, err := sum.Parse(f.Notes[script.NoteSum])
		if err != nil {
			return fmt.Errorf("read notes of %q: %w", f.Name, err)
		}
		t.parts = append(t.parts, part{f.Name, f.Size, s.Rows})
		t.size += f.Size
		if sums[t] == nil {
			sums[t] = &sum.Sum{}
		}
		sums[t].Merge(s)
		if t.columns == nil {
			if err := json.Unmarshal([]byte(f.Notes[script.NoteColumns]), &t.columns); err != nil {
				return fmt.Errorf("read columns in notes of %q: %w", f.Name, err)
			}
		}
	}
	for t := range maps.Values(tables) {
		whole := sums[t]
		switch {
		case t.expected >= 0 && len(t.parts) != t.expected:
			return fmt.Errorf("the dump has %d of %d files of the rows of %s", len(t.parts), t.expected, t.title())
		case t.sum == nil:
			t.sum = whole
		case whole == nil && t.sum.Rows > 0, whole != nil && *whole != *t.sum:
			return fmt.Errorf("the rows of %s in the dump are not those that were dumped: %v, not %v", t.title(), whole, t.sum)
		}
	}
	return nil
}

// A script's statements, one after another. What they are valid for is until the next.
type statements struct {
	io.Closer
	*script.Reader
	name string
}

func (r *run) read(file string) (*statements, error) {
	f, err := r.from.Open(file)
	if err != nil {
		return nil, &sourceError{file, err}
	}
	return &statements{f, script.NewReader(f), file}, nil
}

// Next returns the next statement; io.EOF at the end.
func (s *statements) Next() ([]byte, error) {
	statement, err := s.Reader.Next()
	if err != nil && !errors.Is(err, io.EOF) {
		err = &sourceError{s.name, err}
	}
	return statement, err
}

// A sourceError says that a file of the dump cannot be read: what the server did has nothing to do with it.
type sourceError struct {
	file string
	err  error
}

func (e *sourceError) Error() string { return fmt.Sprintf("read %q of dump: %v", e.file, e.err) }
func (e *sourceError) Unwrap() error { return e.err }

// script returns all statements of a small file.
func (r *run) script(file string) (all [][]byte, err error) {
	s, err := r.read(file)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	for size := 0; ; {
		statement, err := s.Next()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		if size += len(statement); size > maxDefinition {
			return nil, &sourceError{file, fmt.Errorf("it is no definition: it has more than %d bytes", maxDefinition)}
		}
		all = append(all, bytes.Clone(statement))
	}
}

// maxDefinition bounds what the definition of one object takes in memory.
const maxDefinition = 64 << 20

// largestFirst returns the tables, those with the most bytes of rows first.
func (p *plan) largestFirst() []*table {
	tables := slices.Clone(p.tables)
	slices.SortStableFunc(tables, func(a, b *table) int { return cmp.Compare(b.size, a.size) })
	return tables
}
