package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nightjar/mysqldump/servertest"
)

// loaded is what a test reads of the --json of a restore.
type loaded struct {
	Restored    map[string]int
	EqualBefore map[string]int `json:"equal_before"`
	Rows        uint64
	Verified    int `json:"tables_verified"`
	Failures    []struct{ Object, Error string }
	Differences []string
}

func (d *dumper) load(want int, args ...string) (r loaded, said string) {
	d.Helper()
	out, said, code := d.run(append([]string{"mysql", "restore", "--json", "--defaults-file", filepath.Join(d.home, "to.cnf")}, args...)...)
	if code != want {
		d.Fatalf("nightjar mysql restore %s: %d, not %d\n%s%s", strings.Join(args, " "), code, want, out, said)
	}
	if code == 0 || code == 3 {
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			d.Fatalf("%v: %s", err, out)
		}
	}
	return r, said
}

// What became of a restore is in its exit code, in what it says and in its JSON; what failed is named, and the rest goes on.
func TestMySQLRestore(t *testing.T) {
	for _, k := range []servertest.Kind{servertest.MariaDB1011, servertest.MySQL57} {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			source, target := servertest.Start(t, k), servertest.Start(t, k)
			d := &dumper{T: t, home: t.TempDir()}
			for name, s := range map[string]*servertest.Server{"my.cnf": source, "to.cnf": target} {
				if err := os.WriteFile(filepath.Join(d.home, name), fmt.Appendf(nil, "[client]\nsocket=%s\nuser=root\n", s.Socket), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			source.Exec(t, "SET GLOBAL max_allowed_packet=16777216")
			source.Exec(t, "CREATE DATABASE shop", "USE shop", "CREATE TABLE orders (id INT PRIMARY KEY, v VARCHAR(40), f FLOAT, KEY (v))", "INSERT INTO orders VALUES (0,'zero',16777215),(1,'one',NULL)",
				"CREATE TABLE pictures (id INT PRIMARY KEY, content LONGBLOB)", "INSERT INTO pictures VALUES (1,REPEAT('x',2097152)),(2,'small')", "CREATE VIEW v AS SELECT id FROM orders")
			d.must("init")
			d.dump(0)

			for _, wrong := range [][]string{{}, {"latest", "--existing=some"}, {"latest", "--accounts=some"}, {"latest", "--events=some"}, {"latest", "--threads=0"},
				{"latest", "--rename=a"}, {"latest", "--rename=a=b", "--rename=a=c"}, {"latest", "a\\"}} {
				d.load(2, wrong...)
			}
			if _, said := d.load(1, "latest", "absent"); !strings.Contains(said, "nightjar ls") {
				t.Errorf("a database that the dump does not have: %s", said)
			}
			d.refused(target)
			one, _ := d.load(0, "latest", "shop.orders", "--rename=shop=single")
			if one.Restored["tables"] != 1 || one.Rows != 2 || one.Verified != 1 {
				t.Errorf("one table: %+v", one)
			}

			target.Exec(t, "SET GLOBAL max_allowed_packet=1048576")
			some, said := d.load(3, "latest")
			if len(some.Failures) != 1 || !strings.Contains(some.Failures[0].Object, "shop.pictures") || !strings.Contains(said, "shop.pictures") ||
				!strings.Contains(said, "max_allowed_packet") || !strings.Contains(said, "if-changed") || some.Restored["tables"] != 1 || some.Restored["views"] != 1 {
				t.Errorf("a row that the server does not take: %+v\n%s", some, said)
			}
			if _, said := d.load(1, "latest"); !strings.Contains(said, "shop") || !strings.Contains(said, "nothing was changed") {
				t.Errorf("what is there already: %s", said)
			}
			target.Exec(t, "SET GLOBAL max_allowed_packet=16777216")
			rest, _ := d.load(0, "latest", "--existing=if-changed")
			if rest.Restored["tables"] != 2 || rest.EqualBefore["tables"] != 1 || rest.Rows != 2 || rest.Verified != 2 || len(rest.Failures)+len(rest.Differences) != 0 {
				t.Errorf("the rest: %+v", rest)
			}
			got := servertest.Checksums(t, target)
			for table, want := range servertest.Checksums(t, source) {
				if got[table] != want {
					t.Errorf("%s has checksum %s, not %s", table, got[table], want)
				}
			}
			if got["single.orders"] != got["shop.orders"] {
				t.Errorf("under another name the checksum is %s, not %s", got["single.orders"], got["shop.orders"])
			}
			if again, _ := d.load(0, "latest", "--existing=if-changed"); again.Rows != 0 || again.EqualBefore["tables"] != 2 {
				t.Errorf("again: %+v", again)
			}
		})
	}
}

// refused has a server take nothing: that is a failure, and no restore that is not complete.
func (d *dumper) refused(target *servertest.Server) {
	d.Helper()
	path := filepath.Join(d.home, "to.cnf")
	mine, err := os.ReadFile(path)
	if err != nil {
		d.Fatal(err)
	}
	as := func(user string, content []byte) {
		if err := os.WriteFile(path, bytes.Replace(content, []byte("user=root"), []byte("user="+user), 1), 0o600); err != nil {
			d.Fatal(err)
		}
	}
	target.Exec(d.T, "CREATE USER reader@localhost", "GRANT SELECT ON *.* TO reader@localhost", "CREATE USER writer@localhost", "GRANT SELECT, CREATE, ALTER, INSERT, DROP ON *.* TO writer@localhost")
	as("reader", mine)
	if _, said := d.load(1, "latest", "shop"); !strings.Contains(said, "nothing of archive") || !strings.Contains(said, "the account may not write") {
		d.Errorf("an account that may not write: %s", said)
	}
	as("writer", mine)
	target.Exec(d.T, "SET GLOBAL read_only=1")
	if _, said := d.load(1, "latest", "shop"); !strings.Contains(said, "nothing of archive") || !strings.Contains(said, "SET GLOBAL read_only=0") {
		d.Errorf("a server that takes no writes: %s", said)
	}
	target.Exec(d.T, "SET GLOBAL read_only=0", "DROP USER reader@localhost", "DROP USER writer@localhost")
	as("root", mine)
}
