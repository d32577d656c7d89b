package restore

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"nightjar/mysqldump"
	"nightjar/mysqldump/script"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/servertest"
	"nightjar/mysqldump/sum"
	"nightjar/mysqldump/value"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func serverOf(t testing.TB, s *servertest.Server) *server.Server {
	t.Helper()
	srv, err := server.New(s.Config())
	must(t, err)
	return srv
}

// as is serverOf for another account.
func as(t testing.TB, s *servertest.Server, user, password string) *server.Server {
	t.Helper()
	c := s.Config()
	c.User, c.Passwd = user, password
	srv, err := server.New(c)
	must(t, err)
	return srv
}

// A memory is a dump in memory.
type memory struct {
	mu    sync.Mutex
	files map[string]*memoryFile
	read  func(name string, r io.Reader) io.Reader // nil: as it is
	opens map[string]int
}

type memoryFile struct {
	content []byte
	notes   map[string]string
}

func (m *memory) Files() (all []mysqldump.SourceFile, err error) {
	for _, name := range slices.Sorted(maps.Keys(m.files)) {
		f := m.files[name]
		all = append(all, mysqldump.SourceFile{Name: name, Size: int64(len(f.content)), Notes: f.notes})
	}
	return all, nil
}

func (m *memory) Open(name string) (io.ReadCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.opens[name]++
	var r io.Reader = bytes.NewReader(m.files[name].content)
	if m.read != nil {
		r = m.read(name, r)
	}
	return io.NopCloser(r), nil
}

// add adds a file.
func (m *memory) add(kind script.Kind, database, object string, number int, notes map[string]string, write func(w *script.Writer)) {
	var b bytes.Buffer
	use := database
	if kind == script.Databases {
		use = ""
	}
	w := script.NewWriter(&b, string(kind)+" "+object, use)
	write(w)
	all := map[string]string{script.NoteKind: string(kind), script.NoteDatabase: database, script.NoteObject: object}
	maps.Copy(all, notes)
	m.files[script.Name(kind, database, object, number)] = &memoryFile{b.Bytes(), all}
}

// dumpOf dumps databases that nobody writes to, the rows of each table into so many files.
func dumpOf(t testing.TB, srv *server.Server, parts int, databases ...string) *memory {
	t.Helper()
	ctx := t.Context()
	s, err := srv.Connect(ctx)
	must(t, err)
	defer s.Close()
	m := &memory{files: map[string]*memoryFile{}, opens: map[string]int{}}
	for _, database := range databases {
		must(t, s.Exec(ctx, "USE "+server.Quote(database)))
		show := func(what, name string) string {
			rows, err := s.Rows(ctx, "SHOW CREATE "+what+" "+server.Quote(name))
			must(t, err)
			for column, text := range rows[0] {
				if column == "SQL Original Statement" || strings.HasPrefix(column, "Create") && column != "Created" {
					return text
				}
			}
			t.Fatalf("SHOW CREATE %s %s: %v", what, name, rows)
			return ""
		}
		m.add(script.Databases, database, "", -1, nil, func(w *script.Writer) {
			w.Statement(strings.Replace(show("DATABASE", database), "CREATE DATABASE", "CREATE DATABASE IF NOT EXISTS", 1))
		})
		tables, err := s.Rows(ctx, "SHOW FULL TABLES")
		must(t, err)
		for _, row := range tables {
			kind, name := row["Table_type"], row["Tables_in_"+database]
			switch kind {
			case "VIEW":
				m.add(script.Views, database, name, len(m.files), nil, func(w *script.Writer) { w.Statement(show("VIEW", name)) })
			case "SEQUENCE":
				m.add(script.Sequences, database, name, -1, nil, func(w *script.Writer) { w.Statement(show("SEQUENCE", name)) })
			default:
				create := show("TABLE", name)
				m.addTable(t, s, database, name, create, parts, strings.Contains(create, "WITH SYSTEM VERSIONING"))
			}
		}
		m.addPrograms(t, s, database, show)
	}
	return m
}

func (m *memory) addPrograms(t testing.TB, s *server.Session, database string, show func(what, name string) string) {
	t.Helper()
	of := server.Literal(database)
	for _, from := range []struct {
		kind          script.Kind
		names, object string
	}{
		{script.Programs, "SELECT ROUTINE_TYPE, ROUTINE_NAME, ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA=" + of, ""},
		{script.Triggers, "SELECT 'TRIGGER', TRIGGER_NAME, EVENT_OBJECT_TABLE FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA=" + of, ""},
		{script.Events, "SELECT 'EVENT', EVENT_NAME, EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA=" + of, ""},
	} {
		var found [][3]string
		must(t, s.Query(t.Context(), from.names, func(row [][]byte) error {
			found = append(found, [3]string{string(row[0]), string(row[1]), string(row[2])})
			return nil
		}))
		for i, f := range found {
			m.add(from.kind, database, f[2], i, nil, func(w *script.Writer) { w.Program(show(f[0], f[1])) })
		}
	}
}

func (m *memory) addTable(t testing.TB, s *server.Session, database, name, create string, parts int, versioned bool) {
	t.Helper()
	ctx := t.Context()
	var columns []value.Column
	query := "SELECT COLUMN_NAME, COLUMN_TYPE, DATA_TYPE, EXTRA FROM information_schema.COLUMNS WHERE TABLE_SCHEMA=" + server.Literal(database) +
		" AND TABLE_NAME=" + server.Literal(name) + " ORDER BY ORDINAL_POSITION"
	must(t, s.Query(ctx, query, func(row [][]byte) error {
		if !strings.Contains(string(row[3]), "GENERATED") || strings.Contains(string(row[3]), "DEFAULT_GENERATED") {
			columns = append(columns, value.Column{Name: string(row[0]), Type: string(row[1]), DataType: string(row[2])})
		}
		return nil
	}))
	if versioned {
		columns = append(columns, value.Column{Name: "row_start"}, value.Column{Name: "row_end"})
	}
	var names, quoted, values []string
	for _, c := range columns {
		names, quoted, values = append(names, c.Name), append(quoted, server.Quote(c.Name)), append(values, "CONCAT("+c.Value()+")")
	}
	list, err := json.Marshal(names)
	must(t, err)
	var rows [][]byte
	var sums []sum.Sum
	from := server.Quote(database) + "." + server.Quote(name)
	if versioned {
		from += " FOR SYSTEM_TIME ALL"
	}
	must(t, s.Query(ctx, "SELECT "+strings.Join(values, ",")+" FROM "+from, func(row [][]byte) error {
		var one sum.Sum
		one.Add(row, nil)
		text := []byte{'('}
		for i, v := range row {
			if i > 0 {
				text = append(text, ',')
			}
			text = columns[i].Literal()(text, v)
		}
		rows, sums = append(rows, append(text, ')')), append(sums, one)
		return nil
	}))
	var whole sum.Sum
	parts = min(parts, len(rows))
	for p := range parts {
		var of sum.Sum
		a, b := len(rows)*p/parts, len(rows)*(p+1)/parts
		for _, one := range sums[a:b] {
			of.Merge(one)
		}
		whole.Merge(of)
		notes := map[string]string{script.NoteColumns: string(list), script.NoteRows: fmt.Sprint(of.Rows), script.NoteSum: of.String()}
		m.add(script.Rows, database, name, p, notes, func(w *script.Writer) {
			w.Statement("SET SESSION sql_mode='NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'")
			if versioned {
				w.Statement("SET SESSION system_versioning_insert_history=1")
			}
			for len(rows[a:b]) > 0 {
				n := min(b-a, 100)
				w.Statement("INSERT INTO " + server.Quote(name) + " (" + strings.Join(quoted, ",") + ") VALUES\n" + string(bytes.Join(rows[a:a+n], []byte(",\n"))))
				a += n
			}
		})
	}
	notes := map[string]string{script.NoteColumns: string(list), script.NoteRows: fmt.Sprint(whole.Rows), script.NoteSum: whole.String(), script.NoteParts: strconv.Itoa(parts)}
	m.add(script.Tables, database, name, -1, notes, func(w *script.Writer) {
		w.Statement("SET NAMES utf8mb4")
		w.Statement(create)
	})
}

// restored restores, and fails the test if anything is wrong.
func restored(t testing.TB, srv *server.Server, m *memory, o Options) Result {
	t.Helper()
	result, err := Run(t.Context(), srv, m, o)
	if err != nil || len(result.Failures) > 0 {
		t.Fatalf("restore: %v\nfailures: %v\ndifferences: %q", err, result.Failures, result.Differences)
	}
	return result
}

// ended returns what Run says, with all its failures as one text.
func ended(ctx context.Context, srv *server.Server, m *memory, o Options) (Result, string) {
	result, err := Run(ctx, srv, m, o)
	text := fmt.Sprint(err)
	for _, f := range result.Failures {
		text += "\n" + f.Object + ": " + f.Err.Error()
	}
	return result, text + "\n" + strings.Join(result.Differences, "\n")
}
