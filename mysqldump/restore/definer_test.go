package restore

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"nightjar/mysqldump"
	"nightjar/mysqldump/dump"
	"nightjar/mysqldump/script"
	"nightjar/mysqldump/servertest"
)

// A memory takes a dump, too.
func (m *memory) Create(name string) (mysqldump.File, error) {
	return &writing{of: m, name: name, memoryFile: memoryFile{notes: map[string]string{}}}, nil
}

func (m *memory) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.files, name)
	return nil
}

// A writing is a file that a dump is writing.
type writing struct {
	memoryFile
	of   *memory
	name string
}

func (f *writing) Write(p []byte) (int, error) {
	f.content = append(f.content, p...)
	return len(p), nil
}

func (f *writing) Note(name, value string) error {
	f.notes[name] = value
	return nil
}

func (f *writing) Close() error {
	f.of.mu.Lock()
	defer f.of.mu.Unlock()
	f.of.files[f.name] = &f.memoryFile
	return nil
}

func (f *writing) Abort() {}

// nightly dumps a server as every night does.
func nightly(t *testing.T, s *servertest.Server) (*memory, dump.Result) {
	t.Helper()
	m := &memory{files: map[string]*memoryFile{}, opens: map[string]int{}}
	o := dump.Options{Threads: 2, Accounts: true, Now: time.Now}
	o.Lock.Attempt, o.Lock.Wait, o.Lock.Max, o.Lock.Directory = 10*time.Second, 10*time.Minute, 5*time.Minute, t.TempDir()
	result, err := dump.Run(t.Context(), serverOf(t, s), m, o)
	must(t, err)
	return m, result
}

// loadedByClient loads a dump as a person without nightjar does.
func loadedByClient(t *testing.T, s *servertest.Server, m *memory) {
	t.Helper()
	var all bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(m.files)) {
		all.Write(m.files[name].content)
	}
	client := s.Client(t)
	client.Stdin = &all
	if said, err := client.CombinedOutput(); err != nil {
		t.Fatalf("load by a client: %v: %s", err, said)
	}
}

// Views on views whose definers are an application's accounts come back on a server that has none of them, by a client and by a
// restore: servers open the lower view as its definer, who may need a grant on a view for that.
func TestDefiners(t *testing.T) {
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		s := servertest.Start(t, k)
		s.Exec(t, "CREATE DATABASE d", "USE d", "CREATE TABLE t (a INT)", "CREATE TABLE gone (a INT)", "CREATE USER app@'%'", "CREATE USER other@'%'",
			"GRANT SELECT ON d.t TO app@'%'", "GRANT SELECT ON gone TO app@'%'", "DROP TABLE gone", "CREATE FUNCTION f() RETURNS INT DETERMINISTIC RETURN 1",
			"GRANT EXECUTE ON FUNCTION d.f TO app@'%'",
			"CREATE DEFINER=app@'%' VIEW z0 AS SELECT a, f() AS f FROM t", "GRANT SELECT ON z0 TO other@'%'", "GRANT SELECT (f) ON z0 TO app@'%'",
			"CREATE DEFINER=other@'%' VIEW y1 AS SELECT a FROM z0", "GRANT SELECT ON y1 TO app@'%'",
			"CREATE DEFINER=app@'%' VIEW x2 AS SELECT a FROM y1", "CREATE VIEW w3 AS SELECT a FROM x2", "GRANT SELECT ON w3 TO other@'%'")
		m, dumped := nightly(t, s)
		if !strings.Contains(fmt.Sprint(dumped.Left), "ON `d`.`gone`") {
			t.Errorf("a grant on a table that is gone is not named: %v", dumped.Left)
		}
		s.Exec(t, "REVOKE SELECT ON d.gone FROM app@'%'")
		facts := func() string {
			all := append(s.Query(t, "SHOW GRANTS FOR app@'%'"), s.Query(t, "SHOW GRANTS FOR other@'%'")...)
			slices.SortFunc(all, slices.Compare)
			return fmt.Sprint(s.Query(t, "SELECT TABLE_NAME, DEFINER FROM information_schema.VIEWS WHERE TABLE_SCHEMA='d' ORDER BY 1"), all)
		}
		want := facts()
		same := func(by string) {
			t.Helper()
			if got := facts(); got != want {
				t.Errorf("%s: it has\n%s\nnot\n%s", by, got, want)
			}
		}

		s.Exec(t, "DROP DATABASE d", "DROP USER app@'%', other@'%'")
		loadedByClient(t, s, m)
		same("loaded by a client")

		s.Exec(t, "DROP DATABASE d", "DROP USER app@'%', other@'%'")
		if r := restored(t, serverOf(t, s), m, Options{}); r.Done[script.Views] != 4 || r.Done[script.Grants] != 4 {
			t.Errorf("%+v", r)
		}
		same("restored")

		s.Exec(t, "DROP DATABASE d", "REVOKE SELECT ON d.z0 FROM other@'%'", "GRANT DELETE ON *.* TO app@'%'")
		restored(t, serverOf(t, s), m, Options{Accounts: ReplaceAccounts})
		same("replaced")
		if r := restored(t, serverOf(t, s), m, Options{Existing: Missing}); r.Done[script.Grants] != 0 || r.Kept[script.Grants] != 4 {
			t.Errorf("accounts were not left: %+v", r)
		}
	})
}
