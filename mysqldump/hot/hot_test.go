package hot_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightjar/internal/child"
	"nightjar/internal/tempdir"
	"nightjar/mysqldump"
	"nightjar/mysqldump/hot"
	"nightjar/mysqldump/lock"
	"nightjar/mysqldump/login"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/servertest"
	"nightjar/mysqldump/xbstream"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A folder is a Tree on the disk. Before a file begins, it calls what a test has for its name.
type folder struct {
	dir    string
	before map[string]func()
}

func (f *folder) at(name string) string { return filepath.Join(f.dir, name) }

func (f *folder) Create(name string, _ int) (mysqldump.File, error) {
	if do := f.before[name]; do != nil {
		do()
	}
	if err := os.MkdirAll(filepath.Dir(f.at(name)), 0o755); err != nil {
		return nil, err
	}
	file, err := os.Create(f.at(name))
	return onDisk{file}, err
}

func (f *folder) Keep(string) (bool, error) { return false, nil }
func (f *folder) Rename(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(f.at(to)), 0o755); err != nil {
		return err
	}
	return os.Rename(f.at(from), f.at(to))
}
func (f *folder) Remove(name string) error { return os.Remove(f.at(name)) }

type onDisk struct{ *os.File }

func (onDisk) Note(string, string) error { return nil }
func (f onDisk) Abort()                  { f.File.Close() }

// script writes a program, in which $REAL is what makes the server's backups.
func script(t *testing.T, s *servertest.Server, text string) string {
	t.Helper()
	real := strings.Join(s.Program("mariadb-backup"), " ")
	path := filepath.Join(t.TempDir(), "tool")
	must(t, os.WriteFile(path, fmt.Appendf(nil, "#!/bin/sh\nREAL=%q\ncase \"$*\" in *--version) exec $REAL \"$@\";; esac\n%s\n", real, text), 0o755))
	return path
}

const honest = `exec $REAL "$@"`

func options(t *testing.T, s *servertest.Server, text string) hot.Options {
	t.Helper()
	temp, err := tempdir.New(t.TempDir())
	must(t, err)
	return hot.Options{
		Tool: script(t, s, text), Login: &login.Login{User: "root", Host: "localhost", Socket: s.Socket, ConnectTimeout: time.Minute}, Threads: 2, Directory: t.TempDir(),
		Temp: temp, Environ: []string{"PATH=" + os.Getenv("PATH")}, Warn: func(err error) { t.Log(err) },
	}
}

func open(t *testing.T, s *servertest.Server) *server.Server {
	t.Helper()
	srv, err := server.New(s.Config())
	must(t, err)
	return srv
}

// clean reports what is left of a backup, in its scratch folder and at the server.
func clean(t *testing.T, what string, s *servertest.Server, o hot.Options) {
	t.Helper()
	if left, _ := os.ReadDir(o.Temp.Path()); len(left) > 0 {
		t.Errorf("%s: %v is left", what, left)
	}
	h, err := lock.Take(t.Context(), open(t, s), lock.Options{Directory: o.Directory})
	if err != nil {
		t.Errorf("%s: lock the server after it: %v", what, err)
		return
	}
	h.Close()
}

func kinds(t *testing.T) (all []servertest.Kind) {
	for _, k := range servertest.Kinds(t) {
		if k.MariaDB() {
			all = append(all, k)
		}
	}
	return all
}

// What was copied while tables were written to, renamed, dropped and made anew is prepared and started, follows its source from the
// position of the backup, and has then what the source has.
func TestRun(t *testing.T) {
	for _, k := range kinds(t) {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			s := servertest.Start(t, k)
			s.Exec(t, "CREATE USER repl@'%'", "GRANT REPLICATION SLAVE ON *.* TO repl@'%'", "CREATE DATABASE ddl", "CREATE DATABASE other", "USE ddl",
				"CREATE TABLE dropped (a INT PRIMARY KEY)", "CREATE TABLE renamed (a INT PRIMARY KEY)", "INSERT INTO renamed VALUES (1)", "CREATE TABLE moved (a INT)", "INSERT INTO moved VALUES (2)",
				"CREATE TABLE one (a INT)", "INSERT INTO one VALUES (3)", "CREATE TABLE two (a INT)", "INSERT INTO two VALUES (4)", "CREATE TABLE emptied (a INT)", "INSERT INTO emptied VALUES (5)",
				"CREATE TABLE altered (a INT)", "INSERT INTO altered VALUES (6)", "CREATE TABLE again (a INT)", "CREATE TABLE parts (a INT PRIMARY KEY) PARTITION BY HASH(a) PARTITIONS 2", "INSERT INTO parts VALUES (1),(2)",
				"CREATE TABLE aria (a INT) ENGINE=Aria", "INSERT INTO aria VALUES (7)", "CREATE TABLE myisam (a INT) ENGINE=MyISAM", "INSERT INTO myisam VALUES (8)",
				"CREATE TABLE zbig (a INT PRIMARY KEY, b VARCHAR(8000))", "INSERT INTO zbig SELECT seq, REPEAT(MD5(seq), 200) FROM seq_1_to_4000")
			load := s.StartLoad(t, servertest.LoadOptions{Writers: 4, PerSecond: 50, MyISAM: true})
			did := false
			f := &folder{dir: t.TempDir(), before: map[string]func(){"ddl/zbig.ibd": func() { // in the middle of which the program waits for us
				did = true
				s.Exec(t, "USE ddl", "DROP TABLE dropped", "RENAME TABLE renamed TO hasbeen", "RENAME TABLE moved TO halfway", "RENAME TABLE halfway TO other.moved",
					"RENAME TABLE one TO x, two TO one, x TO two", "TRUNCATE emptied", "ALTER TABLE altered ADD b INT DEFAULT 9, ALGORITHM=COPY", "DROP TABLE again", "CREATE TABLE again (c INT)", "INSERT INTO again VALUES (10)",
					"ALTER TABLE parts ADD PARTITION PARTITIONS 1", "CREATE TABLE new (a INT)", "INSERT INTO new VALUES (11)", "RENAME TABLE myisam TO myisam2", "CREATE DATABASE late", "CREATE TABLE late.late (a INT)")
			}}}
			o := options(t, s, honest)
			before, err := os.ReadFile(filepath.Join(s.Datadir, "ibdata1"))
			must(t, err)
			r, err := hot.Run(t.Context(), open(t, s), f, o)
			must(t, err)
			report := load.Stop()
			clean(t, "a good backup", s, o)
			if !did {
				t.Error("no table was changed meanwhile")
			}
			_ = filepath.WalkDir(f.dir, func(path string, _ fs.DirEntry, _ error) error {
				if e := filepath.Ext(path); e == ".new" || e == ".ren" || e == ".del" {
					t.Errorf("%s is left", path)
				}
				return nil
			})
			if r.Held <= 0 || r.Covered < r.Held || r.Sums.Redo == 0 || r.Sums.Bytes <= r.Sums.Redo || r.Position.GTIDs.IsZero() || r.Tool.Name != "mariadb-backup" || r.Tool.Experimental() {
				t.Errorf("%+v", r)
			}
			t.Logf("held for %v, covered for %v, longest wait seen %v, writers' longest %v", r.Held, r.Covered, r.LongestWait, report.MaxWait)
			blank(t, s, f.at("ibdata1"), before)
			follow(t, s, f.dir, r.Position)
		})
	}
}

// blank sees that what was copied lacks the doublewrite buffer, and none of the pages that the server's file had before. Those that it wrote
// later need not be there: the log has them.
func blank(t *testing.T, s *servertest.Server, path string, before []byte) {
	t.Helper()
	const page, first, last = 16 << 10, 64, 192
	copied, err := os.ReadFile(path)
	must(t, err)
	there, err := os.ReadFile(filepath.Join(s.Datadir, "ibdata1"))
	must(t, err)
	empty := func(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }
	if empty(there[first*page : last*page]) {
		t.Error("the server's buffer is empty: the test sees nothing")
	}
	if !empty(copied[first*page : last*page]) {
		t.Error("the doublewrite buffer was copied")
	}
	if len(copied) < len(before) {
		t.Fatalf("%d bytes were copied of %d", len(copied), len(before))
	}
	for i := range len(before) / page {
		at := i * page
		if buffer := first <= i && i < last; !buffer && empty(copied[at:at+page]) && !empty(before[at:at+page]) {
			t.Errorf("page %d was not copied", i)
		}
	}
}

// follow prepares a backup, starts a server on it, has it replicate, and compares.
func follow(t *testing.T, s *servertest.Server, dir string, at mysqldump.Position) {
	t.Helper()
	r := prepared(t, s, dir)
	r.Exec(t, "SET GLOBAL gtid_slave_pos='"+at.GTIDs.String()+"'")
	replicates(t, r, s)
}

// prepared prepares a backup, and starts a server on it.
func prepared(t *testing.T, s *servertest.Server, dir string) *servertest.Server {
	t.Helper()
	tool := append(s.Program("mariadb-backup"), "--no-defaults", "--prepare", "--target-dir="+dir, "--tmpdir="+t.TempDir())
	if out, err := exec.CommandContext(t.Context(), tool[0], tool[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("prepare: %v\n%s", err, out)
	}
	r := servertest.Start(t, s.Kind)
	r.Stop(t)
	owner := r.ErrorLog // who runs the server
	must(t, os.RemoveAll(r.Datadir))
	must(t, os.CopyFS(r.Datadir, os.DirFS(dir)))
	if out, err := exec.CommandContext(t.Context(), "chown", "-R", "--reference="+owner, r.Datadir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	r.Restart(t)
	return r
}

// replicates has a server replicate from where it is, and compares it with its source.
func replicates(t *testing.T, r, s *servertest.Server) {
	t.Helper()
	r.Exec(t, fmt.Sprintf("CHANGE MASTER TO MASTER_HOST='%s', MASTER_PORT=%d, MASTER_USER='repl', MASTER_USE_GTID=slave_pos", s.Host, s.Port), "START SLAVE")
	end := s.Query(t, "SELECT @@gtid_binlog_pos")[0][0]
	if got := r.Query(t, "SELECT MASTER_GTID_WAIT(?, 60)", end)[0][0]; got != "0" {
		t.Fatalf("wait for %s: %s: %v", end, got, r.QueryRow(t, "SHOW SLAVE STATUS"))
	}
	want, got := servertest.Checksums(t, s), servertest.Checksums(t, r)
	if !maps.Equal(want, got) {
		t.Errorf("the source has %v\nthe replica has %v", want, got)
	}
	for name := range got {
		for _, row := range r.Query(t, "CHECK TABLE "+name+" EXTENDED") {
			if row[3] != "OK" {
				t.Errorf("check table: %q", row)
			}
		}
	}
}

// How far the server was with its own source is in the files that were copied, as its transactions are: one that starts on them goes on from there.
func TestSlave(t *testing.T) {
	t.Parallel()
	source, s := servertest.Start(t, servertest.MariaDB1011), servertest.Start(t, servertest.MariaDB1011)
	source.Exec(t, "CREATE USER repl@'%'", "GRANT REPLICATION SLAVE ON *.* TO repl@'%'")
	load := source.StartLoad(t, servertest.LoadOptions{Writers: 4, PerSecond: 100})
	s.Exec(t, fmt.Sprintf("CHANGE MASTER TO MASTER_HOST='%s', MASTER_PORT=%d, MASTER_USER='repl', MASTER_USE_GTID=no", source.Host, source.Port), "START SLAVE")
	if got := s.Query(t, "SELECT MASTER_GTID_WAIT(?, 60)", source.Query(t, "SELECT @@gtid_binlog_pos")[0][0])[0][0]; got != "0" {
		t.Fatalf("it does not replicate: %v", s.QueryRow(t, "SHOW SLAVE STATUS"))
	}
	f := &folder{dir: t.TempDir()}
	_, err := hot.Run(t.Context(), open(t, s), f, options(t, s, honest))
	must(t, err)
	s.Stop(t)
	source.Exec(t, "CREATE TABLE loadtest.later (a INT PRIMARY KEY)", "INSERT INTO loadtest.later VALUES (1)")
	r := prepared(t, s, f.dir)
	load.Stop()
	if at, end := r.Query(t, "SELECT @@gtid_slave_pos")[0][0], source.Query(t, "SELECT @@gtid_binlog_pos")[0][0]; at == "" || at == end {
		t.Errorf("it is at %q, and its source at %q", at, end)
	}
	replicates(t, r, source)
}

// No backup is made of what a program says that lies, and nothing of it is left.
func TestLies(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.MariaDB1011)
	for name, lie := range map[string]struct {
		text string
		want error
	}{
		"cut off, exit 0":     {`$REAL "$@" | head -c 5000000`, xbstream.ErrTruncated},
		"whole, exit 1":       {`$REAL "$@"; exit 1`, child.ErrFailed},
		"not completed":       {`exec 4>&1; $REAL "$@" 2>&1 >&4 | grep -v 'completed OK' >&2`, hot.ErrIncomplete},
		"more to say":         {`$REAL "$@"; echo error: not really >&2`, hot.ErrIncomplete},
		"a flipped bit":       {`$REAL "$@" >$TMPDIR/x; printf X | dd of=$TMPDIR/x bs=1 seek=3000000 conv=notrunc 2>/dev/null; cat $TMPDIR/x`, xbstream.ErrFormat},
		"nothing":             {`echo 'completed OK!' >&2`, nil},
		"killed":              {`$REAL "$@" | (head -c 3000000; kill -9 $$)`, child.ErrFailed},
		"compressed":          {`printf 'XBSTCK01\0E\4\0\0\0a.qp'; echo 'completed OK!' >&2`, hot.ErrPacked},
		"a path that escapes": {`printf 'XBSTCK01\0E\4\0\0\0../a'; echo 'completed OK!' >&2`, xbstream.ErrFormat},
	} {
		o := options(t, s, lie.text)
		_, err := hot.Run(t.Context(), open(t, s), &folder{dir: t.TempDir()}, o)
		if err == nil || lie.want != nil && !errors.Is(err, lie.want) {
			t.Errorf("%s: %v", name, err)
		}
		clean(t, name, s, o)
	}
	o := options(t, s, honest)
	o.Tool = "/no/such/tool"
	if _, err := hot.Run(t.Context(), open(t, s), &folder{dir: t.TempDir()}, o); !errors.Is(err, hot.ErrNoTool) {
		t.Errorf("no program: %v", err)
	}
	o.Tool = script(t, s, honest)
	must(t, os.WriteFile(o.Tool, []byte("#!/bin/sh\necho 'mariadb-backup based on MariaDB server 10.5.1-MariaDB'\n"), 0o755))
	if _, err := hot.Run(t.Context(), open(t, s), &folder{dir: t.TempDir()}, o); !errors.Is(err, hot.ErrOther) {
		t.Errorf("another version: %v", err)
	}
}

// A lock that lasts too long is ended at the server, even while the program cannot go on.
func TestTooLong(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.MariaDB1011)
	s.Exec(t, "CREATE DATABASE d", "USE d", "CREATE TABLE d.m (a INT, b TEXT) ENGINE=MyISAM", "INSERT INTO d.m SELECT seq, REPEAT('x', 5000) FROM seq_1_to_8000")
	o := options(t, s, honest)
	o.MaxLock = time.Second
	f := &folder{dir: t.TempDir(), before: map[string]func(){"d/m.MYD": func() { s.Exec(t, "INSERT INTO d.m VALUES (0, 'written')") }}}
	if _, err := hot.Run(t.Context(), open(t, s), f, o); !errors.Is(err, lock.ErrTooLong) {
		t.Errorf("a lock of more than a second: %v", err)
	}
	clean(t, "a lock that was ended", s, o)
}

// A server that stands still under the program's lock ends the backup, and has no lock once it goes on.
func TestStandsStill(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.MariaDB1011)
	s.Exec(t, "CREATE DATABASE d", "USE d", "CREATE TABLE d.m (a INT, b TEXT) ENGINE=MyISAM", "INSERT INTO d.m SELECT seq, REPEAT('x', 5000) FROM seq_1_to_8000")
	o := options(t, s, honest)
	o.Silence = time.Second
	f := &folder{dir: t.TempDir(), before: map[string]func(){"d/m.MYD": func() { s.Pause(t) }}}
	_, err := hot.Run(t.Context(), open(t, s), f, o)
	s.Resume(t)
	if !errors.Is(err, server.ErrSilent) {
		t.Errorf("it stands still: %v", err)
	}
	clean(t, "a server that stood still", s, o)
	s.Exec(t, "INSERT INTO d.m VALUES (0, 'written')")
}
