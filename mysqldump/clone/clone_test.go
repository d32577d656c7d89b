package clone_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"nightjar/internal/tempdir"
	"nightjar/mysqldump"
	"nightjar/mysqldump/clone"
	"nightjar/mysqldump/datadir"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/servertest"
)

// A target is a server with the plugin, and what clones it.
type target struct {
	*servertest.Server
	srv *server.Server
	o   clone.Options
}

func start(t *testing.T) *target {
	t.Helper()
	s := servertest.Start(t, servertest.MySQL97)
	s.Exec(t, "INSTALL PLUGIN clone SONAME 'mysql_clone.so'")
	srv, err := server.New(s.Config())
	if err != nil {
		t.Fatal(err)
	}
	return &target{s, srv, options(t, s)}
}

func options(t *testing.T, s *servertest.Server) clone.Options {
	t.Helper()
	// Folders that the server's user can reach, which a test's own are not.
	dir, scratch := filepath.Join(s.Dir, "clones"), filepath.Join(s.Dir, "scratch")
	for _, d := range []string{dir, scratch} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	temp, err := tempdir.New(scratch)
	if err != nil {
		t.Fatal(err)
	}
	// The server has a loader of its own.
	program := filepath.Join(scratch, "mysqld")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nexec "+strings.Join(s.Program("server"), " ")+" \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return clone.Options{Dir: dir, Program: program, Threads: 2, Temp: temp, Warn: func(err error) { t.Logf("warning: %v", err) }}
}

// files is a Tree of files in a folder.
type files struct{ dir string }

type file struct{ *os.File }

func (f file) Note(string, string) error { return nil }
func (f file) Abort()                    { f.Close() }

func (d files) Create(name string, page int) (mysqldump.File, error) {
	to := filepath.Join(d.dir, name)
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return nil, err
	}
	want := 0
	switch {
	case name == "d/packed.ibd":
		want = 8 << 10
	case strings.HasSuffix(name, ".ibd") || strings.HasPrefix(name, "undo_") || name == "ibdata1":
		want = 16 << 10
	}
	unwritten := page == 0 && strings.HasPrefix(name, "d/") // a new table's first page may be in the log alone
	if page != want && !unwritten {
		return nil, fmt.Errorf("%s has pages of %d bytes", name, page)
	}
	f, err := os.Create(to)
	return file{f}, err
}

func (d files) Keep(string) (bool, error)   { return false, nil }
func (d files) Rename(string, string) error { return errors.ErrUnsupported }
func (d files) Remove(string) error         { return errors.ErrUnsupported }
func (c *target) run(ctx context.Context, d files) (clone.Result, error) {
	return clone.Run(ctx, c.srv, d, c.o)
}

// empty fails the test if the folder for clones is not empty, or the server still clones.
func (c *target) empty(t *testing.T) {
	t.Helper()
	entries, err := os.ReadDir(c.o.Dir)
	if err != nil || len(entries) > 0 {
		t.Errorf("the folder for clones has %v, %v", entries, err)
	}
	if c.Pid() == 0 {
		return
	}
	if rows := c.Query(t, "SELECT info FROM performance_schema.processlist WHERE info LIKE 'CLONE%'"); len(rows) > 0 {
		t.Errorf("the server still clones: %v", rows)
	}
}

// write has sessions commit rows until the returned function is called.
func (c *target) write(t *testing.T, sessions int) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for range sessions {
		s, err := c.srv.Connect(ctx)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer s.Close()
			for s.Exec(ctx, "INSERT INTO d.log () VALUES ()") == nil {
			}
		})
	}
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	return stop
}

// transactions is how many transactions a set has, of one server.
func transactions(t *testing.T, set string) int {
	t.Helper()
	n, err := strconv.Atoi(set[strings.LastIndexAny(set, "-:")+1:])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// flags are what a server needs whose files are not where it was built for.
func (c *target) flags(t *testing.T) []string {
	t.Helper()
	row := c.QueryRow(t, "SELECT @@basedir b, @@plugin_dir p, @@lc_messages_dir m, @@character_sets_dir c")
	return []string{"--basedir=" + row["b"], "--plugin-dir=" + row["p"], "--lc-messages-dir=" + row["m"], "--character-sets-dir=" + row["c"]}
}

func one(t *testing.T, s *server.Session, query string) string {
	t.Helper()
	row, err := s.Row(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	return string(row[0])
}

func TestClone(t *testing.T) {
	t.Parallel()
	c := start(t)
	t.Run("position", c.testPosition)
	t.Run("refusals", c.testRefusals)
	t.Run("end", c.testEnd) // which kills the server
}

// A clone that is taken under writers has as many transactions as its position says, and what was saved recovers to that. That of a
// replica says how far that was, and goes on with no replication.
func (c *target) testPosition(t *testing.T) {
	c.Exec(t, "CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT=1, SOURCE_USER='repl', SOURCE_AUTO_POSITION=1 FOR CHANNEL 'old'")
	c.Exec(t, "CREATE DATABASE d", "CREATE DATABASE nothing", "CREATE DATABASE old", "CREATE TABLE d.log (id INT PRIMARY KEY AUTO_INCREMENT)",
		"CREATE TABLE d.packed (id INT PRIMARY KEY) ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=8", "CREATE TABLE old.my (id INT) ENGINE=MyISAM", "INSERT INTO old.my VALUES (1)")
	base := transactions(t, c.QueryRow(t, "SELECT @@gtid_executed g")["g"])
	stop := c.write(t, 4)
	d, err := datadir.Claim(filepath.Join(c.Dir, "restored"), "archive")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	saved := files{d.Path()}

	if _, err := c.run(t.Context(), saved); !errors.Is(err, clone.ErrEngines) || !strings.Contains(err.Error(), "old.my (MyISAM)") {
		t.Errorf("a table of MyISAM: %v", err)
	}
	c.empty(t)
	c.o.BrokenSkip = true
	defer func() { c.o.BrokenSkip = false }()
	r, err := c.run(t.Context(), saved)
	if err != nil {
		t.Fatal(err)
	}
	stop()
	c.empty(t)
	if len(r.Left) != 1 || r.Left[0] != (clone.Table{Schema: "old", Name: "my", Engine: "MyISAM", Rows: true}) {
		t.Errorf("left out: %v", r.Left)
	}
	if len(r.Sources) != 1 || r.Sources[0].Channel != "old" || r.Sources[0].Port != 1 || !r.Sources[0].Position.GTIDs.Equal(r.Position.GTIDs) {
		t.Errorf("whom the server replicates from: %+v", r.Sources)
	}
	t.Logf("%d files, %d bytes, %v, proven in %v: %s", r.Sums.Files, r.Sums.Bytes, r.Cloning, r.Proving, r.Position)

	owner, err := datadir.FindOwner("", c.Datadir)
	if err != nil {
		t.Fatal(err)
	}
	o := datadir.StartOptions{Program: c.o.Program, Temp: c.o.Temp, Owner: owner, Flags: c.flags(t)}
	wrong := r.Position
	wrong.Offset++
	if err := clone.Recover(t.Context(), d, wrong, o); !errors.Is(err, datadir.ErrPosition) {
		t.Errorf("a position that is not the clone's: %v", err)
	}
	if err := clone.Recover(t.Context(), d, r.Position, o); err != nil {
		t.Errorf("what was saved does not recover to what was promised: %v", err)
	}
	if _, err := d.Finish(owner); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"auto.cnf", datadir.SettingsFile, datadir.FoldersFile, datadir.Mark} {
		if _, err := os.Stat(filepath.Join(d.Path(), name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", name, err)
		}
	}
	p, err := datadir.Start(t.Context(), d.Path(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	s, err := p.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rows := one(t, s, "SELECT COUNT(*) FROM d.log")
	if want := transactions(t, r.Position.GTIDs.String()) - base; rows != strconv.Itoa(want) || want == 0 {
		t.Errorf("the clone has %s rows, and %d transactions wrote one each", rows, want)
	}
	one(t, s, "SELECT COUNT(*) FROM old.my")
	if rows, err := s.Rows(t.Context(), "SHOW REPLICA STATUS"); err != nil || len(rows) > 0 {
		t.Errorf("whom it replicates from: %v, %v", rows, err)
	}
	if got, err := mysqldump.ParseGTIDSet(one(t, s, "SELECT @@GLOBAL.gtid_executed")); err != nil || !got.Equal(r.Position.GTIDs) {
		t.Errorf("it has executed %s, not %s: %v", got, r.Position.GTIDs, err)
	}
	c.Exec(t, "RESET REPLICA ALL FOR CHANNEL 'old'", "DROP DATABASE old")
	if err := s.Exec(t.Context(), "CREATE TABLE nothing.more (id INT PRIMARY KEY)"); err != nil {
		t.Errorf("a database that had nothing in it: %v", err)
	}
}

// What cannot be cloned is refused before anything is made.
func (c *target) testRefusals(t *testing.T) {
	outside := filepath.Join(c.Dir, "outside")
	if err := os.Mkdir(outside, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(outside, 0o777); err != nil {
		t.Fatal(err)
	}
	c.Restart(t, "--innodb-directories="+outside)
	refused := func(name string, want error, change func(o *clone.Options)) {
		t.Helper()
		was := c.o
		if change != nil {
			change(&c.o)
		}
		_, err := c.run(t.Context(), files{filepath.Join(c.Dir, "saved")})
		c.o = was
		if !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
		c.empty(t)
	}
	refused("a relative path", clone.ErrFolder, func(o *clone.Options) { o.Dir = "clones" })
	refused("a folder that is not there", clone.ErrFolder, func(o *clone.Options) { o.Dir += "/none" })
	refused("a folder in the data directory", clone.ErrFolder, func(o *clone.Options) { o.Dir = filepath.Join(c.Datadir, "mysql") })

	id := c.QueryRow(t, "SELECT @@server_uuid u")["u"]
	left := filepath.Join(c.o.Dir, "nightjar-clone-"+id)
	if err := os.MkdirAll(filepath.Join(left, "precious"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := c.run(t.Context(), files{}); !errors.Is(err, clone.ErrFolder) {
		t.Errorf("a folder without a mark: %v", err)
	}
	if _, err := os.Stat(filepath.Join(left, "precious")); err != nil {
		t.Errorf("a folder without a mark: %v", err)
	}
	if err := os.RemoveAll(left); err != nil {
		t.Fatal(err)
	}

	c.Exec(t, "CREATE TABLESPACE far ADD DATAFILE '"+outside+"/far.ibd'")
	refused("a tablespace elsewhere", clone.ErrOutside, nil)
	c.Exec(t, "DROP TABLESPACE far")

	rename := func(from, to string) {
		t.Helper()
		if err := os.Rename(filepath.Join(c.Datadir, from), filepath.Join(c.Datadir, to)); err != nil {
			t.Fatal(err)
		}
	}
	rename("auto.cnf", "auto.away")
	refused("a data directory that is not here", clone.ErrElsewhere, nil)
	rename("auto.away", "auto.cnf")

	// The plugin alone is missing.
	c.Exec(t, "UNINSTALL PLUGIN clone")
	refused("no plugin", clone.ErrNoPlugin, nil)
}

// slow has the server clone so slowly that it does not come to its end.
func (c *target) slow(t *testing.T) {
	c.Exec(t, "SET GLOBAL clone_autotune_concurrency=OFF", "SET GLOBAL clone_max_concurrency=1", "SET GLOBAL clone_max_data_bandwidth=1")
}

// begun waits until the server clones.
func (c *target) begun(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); len(c.Query(t, "SELECT 1 FROM performance_schema.clone_status WHERE STATE='In Progress'")) == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the server does not begin to clone")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Whatever ends a clone, the server ends it too, and nothing is left of it; not even of a run that was killed, after the next.
func (c *target) testEnd(t *testing.T) {
	c.Exec(t, "INSTALL PLUGIN clone SONAME 'mysql_clone.so'", "DROP DATABASE IF EXISTS old") // else no clone would begin
	c.slow(t)
	saved := files{filepath.Join(c.Dir, "ended")}

	t.Run("canceled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			defer cancel()
			c.begun(t)
		}()
		if _, err := c.run(ctx, saved); !errors.Is(err, context.Canceled) {
			t.Errorf("it says %v", err)
		}
		c.empty(t)
	})
	t.Run("behind DDL", func(t *testing.T) {
		c.Exec(t, "CREATE DATABASE e", "CREATE TABLE e.t (id INT PRIMARY KEY)", "SET GLOBAL clone_block_ddl=ON")
		defer c.Exec(t, "SET GLOBAL clone_block_ddl=OFF")
		reader := c.Connect(t)
		if _, err := reader.ExecContext(t.Context(), "BEGIN"); err != nil {
			t.Fatal(err)
		}
		if err := reader.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM e.t").Scan(new(int)); err != nil {
			t.Fatal(err)
		}
		altered := make(chan error, 1)
		alter := c.Connect(t)
		go func() {
			_, err := alter.ExecContext(t.Context(), "ALTER TABLE e.t ADD COLUMN n INT, ALGORITHM=COPY")
			altered <- err
		}()
		for len(c.Query(t, "SELECT 1 FROM performance_schema.processlist WHERE state LIKE 'Waiting for table metadata lock'")) == 0 {
			time.Sleep(10 * time.Millisecond)
		}
		was := c.o
		c.o.LockWait = time.Second
		_, err := c.run(t.Context(), saved)
		c.o = was
		if !errors.Is(err, clone.ErrDDL) {
			t.Errorf("a clone that waits behind DDL: %v", err)
		}
		c.empty(t)
		if _, err := reader.ExecContext(t.Context(), "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
		if err := <-altered; err != nil {
			t.Error(err)
		}
	})
	t.Run("left behind", func(t *testing.T) {
		// As a run leaves it that is killed: a folder with its mark, and a server that goes on.
		home := filepath.Join(c.o.Dir, "nightjar-clone-"+c.QueryRow(t, "SELECT @@server_uuid u")["u"])
		if err := os.Mkdir(home, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Chmod(home, 0o777), os.WriteFile(filepath.Join(home, "nightjar-clone"), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		session, err := c.srv.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		gone := make(chan error, 1)
		go func() {
			gone <- session.Exec(t.Context(), "CLONE LOCAL DATA DIRECTORY = "+server.Literal(filepath.Join(home, "data")))
		}()
		c.begun(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c.o.Cloned = func(_, all uint64) {
			if all > 0 { // it has begun a clone of its own
				cancel()
			}
		}
		if _, err := c.run(ctx, saved); !errors.Is(err, context.Canceled) {
			t.Errorf("after a run that was killed: %v", err)
		}
		if err := <-gone; err == nil {
			t.Error("the clone of the run that was killed came to its end")
		}
		c.empty(t)
	})
	t.Run("server killed", func(t *testing.T) {
		killed := make(chan struct{})
		go func() {
			defer close(killed)
			c.begun(t)
			c.Kill()
		}()
		_, err := c.run(t.Context(), saved)
		if err == nil || errors.Is(err, context.Canceled) {
			t.Errorf("it says %v", err)
		}
		<-killed
		c.empty(t)
	})
}
