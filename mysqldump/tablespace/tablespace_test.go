package tablespace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"nightjar/internal/tempdir"
	"nightjar/mysqldump/datadir"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/servertest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestTables(t *testing.T) {
	got := ""
	for _, table := range Tables([]string{
		"ibdata1", "shop/db.opt", "shop/orders.frm", "shop/orders.ibd", "shop/orders.TRG", "shop/tr.TRN", "shop/v.frm", "shop/old.frm", "shop/old.MYD", "shop/old.MYI", "shop/aria.MAD",
		"shop/p.frm", "shop/p.par", "shop/p#P#p0.ibd", "shop/far.frm", "shop/far.ibd", "shop/far.isl", "shop/#sql-1.ibd", "shop/FTS_0000000000000015_CONFIG.ibd", "shop/lone.ibd", "we@002dird/t@0020x.frm", "we@002dird/t@0020x.ibd", "mysql/user.frm", "a/b/c.ibd",
	}) {
		got += fmt.Sprintf("%s %d %s\n", &table, len(table.Files), table.Why)
	}
	want := "shop.aria 3 it is of Aria\nshop.far 4 \nshop.lone 3 its definition is missing\nshop.old 5 it is of MyISAM\nshop.orders 5 \nshop.p 5 it is partitioned\nshop.v 3 it has no file of InnoDB\nwe-ird.t x 2 \n"
	if got != want {
		t.Errorf("tables:\n%s, want\n%s", got, want)
	}
}

// A trial is a server, a hot backup of it, and a private server on the files of some of its tables.
type trial struct {
	*testing.T
	s       *servertest.Server
	srv     *server.Server
	private *datadir.Private
	scratch string
	tables  []Table
}

func newTrial(t *testing.T, k servertest.Kind, database string, more ...string) *trial {
	x := &trial{T: t, s: servertest.Start(t, k)}
	x.s.Exec(t, "CREATE DATABASE shop CHARACTER SET utf8mb4", "USE shop", "CREATE TABLE orders (id INT PRIMARY KEY, v VARCHAR(40) DEFAULT 'é', KEY (v))", "INSERT INTO orders SELECT seq, seq*7 FROM seq_1_to_2000",
		"CREATE TABLE items (id INT PRIMARY KEY, o INT, CONSTRAINT of_order FOREIGN KEY (o) REFERENCES orders (id))", "INSERT INTO items VALUES (1,1),(2,2)",
		"CREATE TRIGGER marks BEFORE INSERT ON orders FOR EACH ROW SET NEW.v=CONCAT('<',NEW.v,'>')", "CREATE TABLE `we-ird é` (a INT PRIMARY KEY, b TEXT) ROW_FORMAT=COMPRESSED", "INSERT INTO `we-ird é` VALUES (1,REPEAT('x',10000))",
		"CREATE TABLE old (a INT) ENGINE=MyISAM", "INSERT INTO old VALUES (1)", "CREATE TABLE parts (a INT PRIMARY KEY) PARTITION BY HASH (a) PARTITIONS 2")
	x.s.Exec(t, more...)
	argv := x.s.Program("mariadb-backup")
	all := filepath.Join(x.s.Dir, "all")
	out, err := exec.CommandContext(t.Context(), argv[0], append(argv[1:], "--no-defaults", "--backup", "--socket="+x.s.Socket, "--user=root", "--datadir="+x.s.Datadir, "--target-dir="+all, "--tmpdir="+x.s.Dir)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	x.scratch = filepath.Join(x.s.Dir, "scratch")
	x.fetch(all, database)
	dir := filepath.Join(x.s.Dir, "t")
	must(t, os.Mkdir(dir, 0o755))
	temp, err := tempdir.New(dir)
	must(t, err)
	tool, err := datadir.FindTool(t.Context(), x.tool(argv), temp)
	must(t, err)
	must(t, datadir.PrepareScratch(t.Context(), x.scratch, datadir.PrepareOptions{Tool: tool, Temp: temp}))
	owner := datadir.Owner{UID: os.Geteuid(), GID: os.Getegid()}
	x.private, err = datadir.Start(t.Context(), x.scratch, datadir.StartOptions{Tool: tool, Temp: temp, Owner: owner})
	must(t, err)
	t.Cleanup(func() { must(t, x.private.Stop()) })
	config := x.s.Config()
	x.srv, err = server.New(config)
	must(t, err)
	return x
}

// tool makes one program of the arguments that start the tool, which is a server too.
func (x *trial) tool(argv []string) string {
	usr := filepath.Dir(filepath.Dir(argv[len(argv)-1]))
	more := ""
	if len(argv) > 1 {
		more = fmt.Sprintf("--basedir=%s --lc-messages-dir=%s/share/mariadb --character-sets-dir=%s/share/mariadb/charsets --plugin-dir=%s/lib/mysql/plugin", usr, usr, usr, usr)
	}
	program := filepath.Join(x.s.Dir, "tool")
	script := fmt.Sprintf("#!/bin/sh\ncase \"$1$2\" in --m*d--defaults*) exec %s \"$@\" %s;; esac\nexec %s \"$@\"\n", strings.Join(argv, " "), more, strings.Join(argv, " "))
	must(x, os.WriteFile(program, []byte(script), 0o755))
	return program
}

// fetch copies what the tables of a database need.
func (x *trial) fetch(all, database string) {
	x.Helper()
	var names []string
	must(x, filepath.WalkDir(all, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			names = append(names, strings.ReplaceAll(strings.TrimPrefix(path, all+"/"), ".new", ".ibd"))
		}
		return err
	}))
	x.tables = Tables(names)
	wanted := map[string]bool{}
	for _, t := range x.tables {
		for _, f := range t.Files {
			wanted[f] = t.Database == database
		}
	}
	for _, name := range names {
		if !wanted[name] && !Shared(name) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(all, name))
		if err != nil {
			text, err = os.ReadFile(filepath.Join(all, strings.TrimSuffix(name, ".ibd")+".new"))
		}
		must(x, err)
		must(x, os.MkdirAll(filepath.Dir(filepath.Join(x.scratch, name)), 0o755))
		must(x, os.WriteFile(filepath.Join(x.scratch, name), text, 0o600))
	}
}

func (x *trial) table(name string) *Table {
	for i := range x.tables {
		if x.tables[i].Name == name {
			return &x.tables[i]
		}
	}
	x.Fatalf("the backup has no table %s", name)
	return nil
}

// bring brings a table back, in sessions of its own.
func (x *trial) bring(name string, o Options) (bool, error) {
	x.Helper()
	from, err := x.private.Connect(x.Context())
	must(x, err)
	defer from.Close()
	to, err := x.srv.Connect(x.Context())
	must(x, err)
	defer to.Close()
	i, err := Open(x.Context(), from, to, x.scratch, o)
	must(x, err)
	return i.Table(x.Context(), x.table(name))
}

func (x *trial) sum(table string) string {
	x.Helper()
	return x.s.Query(x, "CHECKSUM TABLE "+table)[0][1]
}

// A table comes back beside the one that is there, in its place, or where there is none any more: with its keys, foreign keys and triggers. What
// cannot come back is left, and so is what was there.
func TestImport(t *testing.T) {
	for _, k := range []servertest.Kind{servertest.MariaDB1011, servertest.MariaDB118} {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			x := newTrial(t, k, "shop")
			sums := map[string]string{}
			for _, name := range []string{"orders", "items", "we-ird é"} {
				sums[name] = x.sum("shop." + server.Quote(name))
			}
			definition := x.s.Query(t, "SHOW CREATE TABLE shop.items")[0][1]
			trigger := x.s.Query(t, "SHOW CREATE TRIGGER shop.marks")[0][2]
			x.s.Exec(t, "DROP TRIGGER shop.marks", "DELETE FROM shop.orders WHERE id>2", "DROP TABLE shop.items, shop.`we-ird é`", "CREATE TABLE shop.others (o INT, FOREIGN KEY (o) REFERENCES shop.orders (id))")
			if done, err := x.bring("orders", Options{}); done || !errors.Is(err, ErrExists) {
				t.Errorf("what is there: %v, %v", done, err)
			}
			if done, err := x.bring("orders", Options{Existing: Missing}); done || err != nil {
				t.Errorf("what is not missing: %v, %v", done, err)
			}
			var warned []string
			warn := func(text string) { warned = append(warned, text) }
			for _, c := range []struct {
				name string
				o    Options
				as   string
			}{
				{"orders", Options{Rename: map[string]string{"shop": "res-cue"}, Warn: warn}, "`res-cue`.orders"},
				{"orders", Options{Existing: Replace, Warn: warn}, "shop.orders"},
				{"items", Options{Warn: warn}, "shop.items"},
				{"we-ird é", Options{Existing: IfChanged}, "shop.`we-ird é`"},
			} {
				if done, err := x.bring(c.name, c.o); !done || err != nil {
					t.Fatalf("%s: %v, %v", c.name, done, err)
				}
				if got := x.sum(c.as); got != sums[c.name] {
					t.Errorf("%s has checksum %s, not %s", c.as, got, sums[c.name])
				}
			}
			if done, err := x.bring("orders", Options{Existing: IfChanged}); done || err != nil {
				t.Errorf("what is equal: %v, %v", done, err)
			}
			if got := x.s.Query(t, "SHOW CREATE TABLE shop.items")[0][1]; got != definition {
				t.Errorf("the definition is\n%s, not\n%s", got, definition)
			}
			if got := x.s.Query(t, "SHOW CREATE TRIGGER shop.marks")[0][2]; got != trigger {
				t.Errorf("the trigger is\n%s, not\n%s", got, trigger)
			}
			x.s.Exec(t, "INSERT INTO shop.orders VALUES (5000,'new')", "INSERT INTO shop.others VALUES (5000)")
			if got := x.s.Query(t, "SELECT v FROM shop.orders WHERE id=5000")[0][0]; got != "<new>" {
				t.Errorf("the trigger makes %q", got)
			}
			if said := strings.Join(warned, "\n"); !strings.Contains(said, "replicas do not get") || !strings.Contains(said, "foreign keys of `shop`.`items`") {
				t.Errorf("warned of %q", said)
			}
			for name, why := range map[string]string{"old": "MyISAM", "parts": "partitioned"} {
				if _, err := x.bring(name, Options{Existing: Replace}); err == nil || !strings.Contains(err.Error(), why) {
					t.Errorf("%s: %v", name, err)
				}
			}
			x.faults()
		})
	}
}

// faults are imports that must leave the server as it was.
func (x *trial) faults() {
	x.Helper()
	before := fmt.Sprint(servertest.Checksums(x, x.s))
	ctx, cancel := context.WithCancel(x.Context())
	from, err := x.private.Connect(x.Context())
	must(x, err)
	defer from.Close()
	to, err := x.srv.Connect(x.Context())
	must(x, err)
	i, err := Open(x.Context(), from, to, x.scratch, Options{Existing: Replace})
	must(x, err)
	table, err := i.look(x.Context(), x.table("orders"))
	must(x, err)
	must(x, i.makeDatabase(x.Context(), table))
	must(x, i.to.Exec(x.Context(), i.renamed(table, table.create))) // as one who was killed leaves it
	must(x, i.to.Exec(x.Context(), "ALTER TABLE "+table.other()+" DISCARD TABLESPACE"))
	to.Close()
	cancel()
	if _, err := i.Table(ctx, x.table("orders")); err == nil {
		x.Error("a session that is closed brings a table back")
	}
	if done, err := x.bring("orders", Options{Existing: Replace}); !done || err != nil {
		x.Errorf("after one that was killed: %v, %v", done, err)
	}
	x.s.Exec(x, "INSERT INTO shop.orders VALUES (5000,'new')")
	if after := fmt.Sprint(servertest.Checksums(x, x.s)); after != before {
		x.Errorf("the server has %s, not %s", after, before)
	}
	datafile := filepath.Join(x.scratch, "shop", "items.ibd")
	text, err := os.ReadFile(datafile)
	must(x, err)
	for at := 3 * 16384; at < len(text); at += 16384 { // the pages of the rows
		copy(text[at+100:], "damage that nobody has seen yet")
	}
	must(x, os.WriteFile(datafile, text, 0o600))
	if done, err := x.bring("items", Options{Existing: Replace}); done || err == nil {
		x.Errorf("a damaged file: %v, %v", done, err)
	}
	if after := fmt.Sprint(servertest.Checksums(x, x.s)); after != before {
		x.Errorf("with a damaged file the server has %s, not %s", after, before)
	}
	if left, _ := filepath.Glob(filepath.Join(x.s.Datadir, "*", "nightjar_*")); len(left) > 0 {
		x.Errorf("left in the data directory: %q", left)
	}
}
