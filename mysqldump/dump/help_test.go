package dump

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"nightjar/mysqldump"
	"nightjar/mysqldump/choose"
	"nightjar/mysqldump/lock"
	"nightjar/mysqldump/schema"
	"nightjar/mysqldump/script"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/servertest"
	"nightjar/mysqldump/sum"
)

// A memory is a Sink that keeps files, and fails a test that breaks the contract.
type memory struct {
	mu     sync.Mutex
	files  map[string]*memoryFile
	names  map[string]bool // of files that are open or closed
	open   int
	closed func(name string) // nil, or told of each
}

type memoryFile struct {
	bytes.Buffer
	of    *memory
	name  string
	notes map[string]string
	ended bool
}

func (m *memory) Create(name string) (mysqldump.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names[name] {
		return nil, fmt.Errorf("%s: it is there already", name)
	}
	if m.names == nil {
		m.names = map[string]bool{}
	}
	m.names[name] = true
	m.open++
	return &memoryFile{of: m, name: name, notes: map[string]string{}}, nil
}

func (m *memory) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.files[name] == nil {
		return fmt.Errorf("%s: no such file", name)
	}
	delete(m.files, name)
	delete(m.names, name)
	return nil
}

func (f *memoryFile) Note(name, value string) error {
	if f.ended || len(value) > 64<<10 {
		return errors.New("a note that may not be")
	}
	f.notes[name] = value
	return nil
}

func (f *memoryFile) Close() error {
	f.of.mu.Lock()
	defer f.of.mu.Unlock()
	if f.ended {
		return errors.New("closed twice")
	}
	f.ended = true
	f.of.open--
	if f.of.files == nil {
		f.of.files = map[string]*memoryFile{}
	}
	f.of.files[f.name] = f
	if f.of.closed != nil {
		f.of.closed(f.name)
	}
	return nil
}

func (f *memoryFile) Abort() {
	f.of.mu.Lock()
	defer f.of.mu.Unlock()
	if !f.ended {
		f.ended = true
		f.of.open--
		delete(f.of.names, f.name)
	}
}

// source returns what the last dump of a job is to the next.
func (m *memory) source() (all []mysqldump.SourceFile) {
	for _, name := range slices.Sorted(maps.Keys(m.files)) {
		f := m.files[name]
		all = append(all, mysqldump.SourceFile{Name: name, Size: int64(f.Len()), Notes: f.notes})
	}
	return all
}

// rowFiles returns the names of the files of a table's rows.
func (m *memory) rowFiles(database, table string) (names []string) {
	for _, f := range m.source() {
		if f.Notes[script.NoteKind] == string(script.Rows) && f.Notes[script.NoteDatabase] == database && f.Notes[script.NoteObject] == table {
			names = append(names, f.Name)
		}
	}
	return names
}

// rowsOf counts the rows in the files of a table, or of all.
func rowsOf(t testing.TB, m *memory, table string) (rows uint64) {
	t.Helper()
	for _, f := range m.files {
		of := f.notes[script.NoteDatabase] + "." + f.notes[script.NoteObject]
		if f.notes[script.NoteKind] != string(script.Rows) || table != "" && table != of {
			continue
		}
		n, err := strconv.ParseUint(f.notes[script.NoteRows], 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		rows += n
	}
	return rows
}

func connect(t testing.TB, s *servertest.Server) *server.Server {
	t.Helper()
	srv, err := server.New(s.Config())
	if err != nil {
		t.Fatal(err)
	}
	return srv
}

// options are those of most tests.
func options() Options {
	return Options{Threads: 3, Now: time.Now, Lock: lock.Options{Attempt: 10 * time.Second, Wait: 10 * time.Minute, Max: 5 * time.Minute}}
}

func dumpOf(t testing.TB, s *servertest.Server, o Options) (*memory, Result) {
	t.Helper()
	m := &memory{}
	o.Lock.Directory = t.TempDir()
	result, err := Run(t.Context(), connect(t, s), m, o)
	if err != nil {
		t.Fatal(err)
	}
	if m.open != 0 {
		t.Fatalf("%d files were never closed or aborted", m.open)
	}
	if rows := rowsOf(t, m, ""); rows != result.Rows {
		t.Errorf("the files have %d rows, the dump says %d", rows, result.Rows)
	}
	return m, result
}

// load loads a dump as a person without nightjar would.
func load(t testing.TB, m *memory, into *servertest.Server) {
	t.Helper()
	dir := t.TempDir()
	for name, f := range m.files {
		if err := os.WriteFile(filepath.Join(dir, name), f.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	client := into.Client(t)
	c := client
	c.Args = []string{"sh", "-c", `cd "$0" && cat $(ls | sort) | "$@"`, dir}
	c.Args = append(c.Args, into.Client(t).Args...)
	c.Path = "/bin/sh"
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("load: %v\n%s", err, out)
	}
}

// facts are what two servers have to agree in: definitions, and sums of rows that the servers compute themselves.
func facts(t testing.TB, s *servertest.Server) map[string]string {
	t.Helper()
	all := map[string]string{}
	for table, sum := range sums(t, s) {
		all["sum "+table] = sum
	}
	const own = " NOT IN ('mysql','information_schema','performance_schema','sys')"
	for _, r := range s.Query(t, "SELECT table_schema, table_name, table_type FROM information_schema.tables WHERE table_schema"+own) {
		name := server.Quote(r[0]) + "." + server.Quote(r[1])
		row := s.Query(t, "SHOW CREATE TABLE "+name)[0]
		all[r[2]+" "+name] = row[1]
	}
	for what, query := range map[string]string{
		"routine": "SELECT routine_schema, routine_name, routine_type, routine_definition, sql_mode, definer FROM information_schema.routines WHERE routine_schema" + own,
		"trigger": "SELECT trigger_schema, trigger_name, action_order, action_statement, sql_mode, definer FROM information_schema.triggers WHERE trigger_schema" + own,
		"event":   "SELECT event_schema, event_name, event_definition, interval_value, status, definer FROM information_schema.events WHERE event_schema" + own,
		"schema":  "SELECT schema_name, default_character_set_name, default_collation_name FROM information_schema.schemata WHERE schema_name" + own,
	} {
		for _, r := range s.Query(t, query) {
			all[what+" "+strings.Join(r[:3], ".")] = strings.Join(r[1:], "|")
		}
	}
	return all
}

// sums returns what a server says that its rows sum up to, by DATABASE.TABLE.
func sums(t testing.TB, s *servertest.Server) map[string]string {
	t.Helper()
	session, err := connect(t, s).Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	inventory, err := schema.Read(t.Context(), session, choose.Selection{})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, table := range inventory.Tables {
		var values []string
		for _, c := range table.Columns {
			if c.Generated {
				continue
			}
			values = append(values, c.Value())
		}
		row, err := session.Row(t.Context(), sum.Query(table.From(), values))
		if err != nil {
			t.Fatal(err)
		}
		total, err := sum.FromRow(row)
		if err != nil {
			t.Fatal(err)
		}
		all[table.Database+"."+table.Name] = total.String()
	}
	return all
}

// noted returns the same as the dump has it, without the parities, which no server makes. Generated columns are not in it.
func noted(m *memory) map[string]string {
	all := map[string]string{}
	for _, f := range m.files {
		if f.notes[script.NoteKind] == string(script.Tables) {
			noted, _ := sum.Parse(f.notes[script.NoteSum])
			noted.Parity = 0
			all[f.notes[script.NoteDatabase]+"."+f.notes[script.NoteObject]] = noted.String()
		}
	}
	return all
}

func compare(t testing.TB, want, got map[string]string) {
	t.Helper()
	for name, w := range want {
		if g, ok := got[name]; !ok {
			t.Errorf("%s is not there", name)
		} else if g != w {
			t.Errorf("%s is\n%.600s\nnot\n%.600s", name, g, w)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s is there", name)
		}
	}
}
