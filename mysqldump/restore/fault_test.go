package restore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nightjar/mysqldump/script"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/servertest"
)

// always are the kinds whose faults are tried.
var always = []servertest.Kind{servertest.MariaDB1011, servertest.MySQL57}

// into restores into another database, and proves that its tables are those of the source.
func into(t *testing.T, from, to *servertest.Server, srv *server.Server, m *memory, name string, o Options) Result {
	t.Helper()
	o.Rename = map[string]string{"shop": name}
	result := restored(t, srv, m, o)
	sameTables(t, from, to, name)
	return result
}

func sameTables(t *testing.T, from, to *servertest.Server, name string) {
	t.Helper()
	got := servertest.Checksums(t, to)
	for table, want := range servertest.Checksums(t, from) {
		if is := got[strings.Replace(table, "shop.", name+".", 1)]; is != want {
			t.Errorf("%s: %s has checksum %s, not %s", name, table, is, want)
		}
	}
}

// middle has an action run once, in the middle of a file.
func (m *memory) middle(file string, action func()) {
	var once sync.Once
	m.read = func(name string, r io.Reader) io.Reader {
		if name != file {
			return r
		}
		half := int64(len(m.files[name].content) / 2)
		return io.MultiReader(io.LimitReader(r, half), readerFunc(func() { once.Do(action) }), r)
	}
}

type readerFunc func()

func (f readerFunc) Read([]byte) (int, error) { f(); return 0, io.EOF }

// disconnect ends all sessions but ours.
func disconnect(t *testing.T, s *servertest.Server) {
	for _, row := range s.Query(t, "SELECT ID FROM information_schema.PROCESSLIST WHERE ID<>CONNECTION_ID() AND COMMAND<>'Daemon' AND USER='root'") {
		_, _ = s.Connect(t).ExecContext(t.Context(), "KILL "+row[0]) // it may have ended
	}
}

// A restore goes on where it can, and what it cannot do it says.
func TestFaults(t *testing.T) {
	for _, k := range always {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			from, to := servertest.Start(t, k), servertest.Start(t, k)
			fill(t, from)
			source, target := serverOf(t, from), serverOf(t, to)
			m := dumpOf(t, source, 3, "shop")
			reset := func() { m.read = nil }

			cuts := []string{"40-rows.shop.orders.000001.sql", "40-rows.shop.keyless.000002.sql", "40-rows.shop.old.000001.sql"}
			if !k.MariaDB() {
				cuts = nil // MySQL 5.7 does not always end an idle session that is killed before it has waited for two minutes
			}
			for _, file := range cuts {
				m.middle(file, func() { disconnect(t, to) })
				if r := into(t, from, to, target, m, "cut_"+strings.Split(file, ".")[2], Options{}); r.Retries == 0 {
					t.Errorf("%s: no session was lost: %+v", file, r)
				}
			}
			m.middle("40-rows.shop.orders.000001.sql", func() { to.Kill(); to.Restart(t) })
			if r := into(t, from, to, target, m, "crashed", Options{}); r.Retries == 0 {
				t.Errorf("no session was lost: %+v", r)
			}

			ctx, cancel := context.WithCancel(t.Context())
			m.middle("40-rows.shop.old.000001.sql", cancel)
			if _, err := Run(ctx, target, m, Options{Rename: map[string]string{"shop": "stopped"}, Threads: 1}); !errors.Is(err, context.Canceled) {
				t.Fatalf("a restore that was interrupted: %v", err)
			}
			reset()
			if r := into(t, from, to, target, m, "stopped", Options{Existing: IfChanged}); r.Left[script.Tables] == 0 && r.Rows == 2107 {
				t.Errorf("all is loaded again: %+v", r)
			}
			wrong(t, from, to, target, m)
		})
	}
}

// wrong tries dumps that are not right.
func wrong(t *testing.T, from, to *servertest.Server, target *server.Server, m *memory) {
	orders := m.files["40-rows.shop.orders.000001.sql"]
	right := orders.content
	o := Options{Rename: map[string]string{"shop": "wrong"}}

	orders.content = bytes.Replace(right, []byte("INSERT INTO"), []byte("INSERT INTO nowhere."), 1)
	result, text := ended(t.Context(), target, m, o)
	if len(result.Failures) != 1 || !strings.Contains(text, "table wrong.orders: ") || result.Done[script.Views] != 2 || len(result.Differences) > 0 {
		t.Errorf("a statement that fails: %s\n%+v", text, result)
	}
	o.Existing = IfChanged
	orders.content = bytes.Replace(right, []byte("name; 5"), []byte("NAME; 5"), 1)
	if _, text = ended(t.Context(), target, m, o); !strings.Contains(text, "table wrong.orders: the checksum of its 1000 rows is") || !strings.Contains(text, ErrDiffers.Error()) {
		t.Errorf("rows that differ: %s", text)
	}
	orders.content = right[:len(right)-5]
	if result, text = ended(t.Context(), target, m, o); len(result.Failures) != 1 || !strings.Contains(text, "read \"40-rows.shop.orders.000001.sql\"") {
		t.Errorf("a file that ends too early: %s", text)
	}
	orders.content = right
	into(t, from, to, target, m, "wrong", o)

	delete(m.files, "40-rows.shop.orders.000001.sql")
	if _, text = ended(t.Context(), target, m, o); !strings.Contains(text, "the dump has 2 of 3 files of the rows of table wrong.orders") {
		t.Errorf("a file that is missing: %s", text)
	}
	m.files["40-rows.shop.orders.000001.sql"] = orders
}

// Statements that are longer than the server takes are cut, and a row that is too long is named, with the setting.
func TestPackets(t *testing.T) {
	for _, k := range always {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			from, to := servertest.Start(t, k), servertest.Start(t, k, "--max-allowed-packet=16384", "--net-buffer-length=8192")
			from.Exec(t, "CREATE DATABASE shop", "USE shop", "CREATE TABLE a (id INT PRIMARY KEY, b BLOB)", "CREATE TABLE c (id INT PRIMARY KEY, d LONGBLOB)",
				"INSERT INTO c VALUES (1, REPEAT('x', 20000)), (2, 'y')")
			for i := range 10 {
				from.Exec(t, "INSERT INTO shop.a SELECT "+string(rune('0'+i))+"*1000+n, REPEAT(CHAR(65+n), 900) FROM (SELECT 1 n UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5) x")
			}
			result, text := ended(t.Context(), serverOf(t, to), dumpOf(t, serverOf(t, from), 1, "shop"), Options{})
			if n := count(t, to, "shop.a"); n != "50" || len(result.Failures) != 1 || len(result.Differences) > 0 {
				t.Errorf("%s rows: %s", n, text)
			}
			if !strings.Contains(text, "table shop.c: ") || !strings.Contains(text, "max_allowed_packet") {
				t.Error(text)
			}
		})
	}
}

// When there is no room, each table says so, and the restore goes on when there is.
func TestFull(t *testing.T) {
	from, to := servertest.Start(t, servertest.MariaDB1011), servertest.Start(t, servertest.MariaDB1011, "--innodb-file-per-table=0", "--innodb-data-file-path=ibdata1:12M:autoextend:max:16M")
	from.Exec(t, "CREATE DATABASE shop", "USE shop", "CREATE TABLE small (a INT PRIMARY KEY)", "INSERT INTO small VALUES (1)", "CREATE TABLE large (a INT PRIMARY KEY, b CHAR(200), c CHAR(200))",
		"INSERT INTO large SELECT seq, SHA1(seq), SHA1(seq+1) FROM seq_1_to_20000")
	m, target := dumpOf(t, serverOf(t, from), 2, "shop"), serverOf(t, to)
	result, text := ended(t.Context(), target, m, Options{})
	if len(result.Failures) != 1 || !strings.Contains(text, "table shop.large: ") || !strings.Contains(text, "full") {
		t.Errorf("%s", text)
	}
	to.Restart(t, "--innodb-data-file-path=ibdata1:12M:autoextend")
	restored(t, target, m, Options{Existing: IfChanged})
	sameTables(t, from, to, "shop")
}

// A server that waits, as one does whose disk is full, is not waited for without end.
func TestNoAnswer(t *testing.T) {
	from, to := servertest.Start(t, servertest.MariaDB1011), servertest.Start(t, servertest.MariaDB1011)
	fill(t, from)
	m, target := dumpOf(t, serverOf(t, from), 3, "shop"), serverOf(t, to)
	// Of one table, no rows of others are read.
	one, err := ParsePattern("shop.keyless")
	must(t, err)
	restored(t, target, m, Options{Selection: []Pattern{one}, Rename: map[string]string{"shop": "alone"}})
	for name := range m.opens {
		if strings.HasPrefix(name, string(script.Rows)) && !strings.Contains(name, ".keyless.") {
			t.Errorf("%s is read for another table's sake", name)
		}
	}
	holder := to.Connect(t)
	m.middle("40-rows.shop.orders.000001.sql", func() {
		if _, err := holder.ExecContext(t.Context(), "FLUSH TABLES WITH READ LOCK"); err != nil {
			t.Error(err)
		}
	})
	result, err := Run(t.Context(), target, m, Options{Patience: 2 * time.Second})
	if !errors.Is(err, ErrNoAnswer) || !strings.Contains(err.Error(), "shop") || !strings.Contains(strings.Join(result.Notes, "\n"), "200ms") {
		t.Errorf("%v\n%+v", err, result)
	}
	if _, err := holder.ExecContext(t.Context(), "UNLOCK TABLES"); err != nil {
		t.Fatal(err)
	}
	m.read = nil
	restored(t, target, m, Options{Existing: IfChanged})
	sameTables(t, from, to, "shop")
}

// A commit whose answer is lost neither loses nor doubles rows.
func TestLostCommit(t *testing.T) {
	for _, k := range always {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			from, to := servertest.Start(t, k), servertest.Start(t, k)
			fill(t, from)
			m := dumpOf(t, serverOf(t, from), 3, "shop")
			config := to.Config()
			var lost atomic.Int32
			config.Addr = losing(t, config.Addr, "COMMIT", 4, &lost)
			target, err := server.New(config)
			must(t, err)
			restored(t, target, m, Options{})
			if lost.Load() != 4 {
				t.Errorf("%d answers were lost", lost.Load())
			}
			sameTables(t, from, to, "shop")
		})
	}
}

// losing passes connections on, but cuts so many of them when the answer to a statement comes back.
func losing(t *testing.T, to, statement string, times int32, lost *atomic.Int32) (address string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var work sync.WaitGroup
	t.Cleanup(func() { l.Close(); work.Wait() })
	work.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() { pass(t, client, to, statement, times, lost) })
		}
	})
	return l.Addr().String()
}

func pass(t *testing.T, client net.Conn, to, statement string, times int32, lost *atomic.Int32) {
	defer client.Close()
	srv, err := net.Dial("tcp", to)
	if err != nil {
		t.Error(err)
		return
	}
	defer srv.Close()
	var cut atomic.Bool
	var both sync.WaitGroup
	both.Go(func() {
		defer srv.Close()
		buf := make([]byte, 1<<20)
		for {
			n, err := client.Read(buf)
			if err != nil {
				return
			}
			if n < 100 && bytes.Contains(buf[:n], []byte(statement)) && lost.Add(1) <= times {
				cut.Store(true)
			} else if n < 100 && bytes.Contains(buf[:n], []byte(statement)) {
				lost.Add(-1)
			}
			if _, err := srv.Write(buf[:n]); err != nil {
				return
			}
		}
	})
	defer both.Wait()
	defer client.Close()
	buf := make([]byte, 1<<20)
	for {
		n, err := srv.Read(buf)
		if err != nil || cut.Load() {
			return
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

// A server that is gone for good ends the restore, whatever is still to be done.
func TestGone(t *testing.T) {
	from, to := servertest.Start(t, servertest.MariaDB1011), servertest.Start(t, servertest.MariaDB1011)
	fill(t, from)
	m := dumpOf(t, serverOf(t, from), 3, "shop")
	m.middle("40-rows.shop.orders.000001.sql", to.Kill)
	result, err := Run(t.Context(), serverOf(t, to), m, Options{pause: func(int) time.Duration { return time.Millisecond }})
	var gone *goneError
	if !errors.As(err, &gone) || len(result.Failures) > 0 {
		t.Errorf("%v: %+v", err, result.Failures)
	}
}
