package hot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"nightjar/mysqldump"
	"nightjar/mysqldump/server"
)

// What the programs say when they are asked for their version.
const (
	saysMariaDB = "mariadb-backup based on MariaDB server 10.11.19-MariaDB debian-linux-gnu (x86_64)\n"
	saysXtra    = "xtrabackup version 8.0.35-30 based on MySQL server 8.0.35 Linux (x86_64) (revision id: 6beb4b49)\n"
)

func TestParse(t *testing.T) {
	for said, want := range map[string]Tool{
		saysMariaDB: {Name: "mariadb-backup", Version: "10.11.19-MariaDB", Flavor: mysqldump.MariaDB, Server: "10.11.19-MariaDB"},
		"/usr/bin/mariabackup based on MariaDB server 10.4.6-MariaDB Linux (x86_64)": {Name: "mariabackup", Version: "10.4.6-MariaDB", Flavor: mysqldump.MariaDB, Server: "10.4.6-MariaDB"},
		"recognized server arguments: --datadir=/var/lib/mysql\n" + saysXtra:         {Name: "xtrabackup", Version: "8.0.35-30", Flavor: mysqldump.MySQL, Server: "8.0.35"},
	} {
		var got Tool
		if err := got.parse(said); err != nil || got != want {
			t.Errorf("%q: %+v, %v", said, got, err)
		}
	}
	for _, said := range []string{"", "mysqldump  Ver 10.19 Distrib 10.11.19-MariaDB", "mariadb-backup based on MariaDB server", "mariadb-backup based on Postgres server 15.1"} {
		var got Tool
		if err := got.parse(said); err == nil {
			t.Errorf("%q: %+v", said, got)
		}
	}
}

func TestFits(t *testing.T) {
	for _, c := range []struct {
		tool    Tool
		id      server.Identity
		warning bool
		err     error
	}{
		{Tool{Flavor: mysqldump.MariaDB, Server: "10.11.19-MariaDB"}, server.Identity{Flavor: mysqldump.MariaDB, Version: "10.11.19-MariaDB-0+deb12u1-log"}, false, nil},
		{Tool{Flavor: mysqldump.MariaDB, Server: "10.11.19-MariaDB"}, server.Identity{Flavor: mysqldump.MariaDB, Version: "10.11.6-MariaDB"}, true, nil},
		{Tool{Flavor: mysqldump.MariaDB, Server: "10.11.19-MariaDB"}, server.Identity{Flavor: mysqldump.MariaDB, Version: "11.8.9-MariaDB"}, false, ErrOther},
		{Tool{Flavor: mysqldump.MariaDB, Server: "10.11.19-MariaDB"}, server.Identity{Flavor: mysqldump.MySQL, Version: "8.0.35"}, false, ErrOther},
		{Tool{Flavor: mysqldump.MySQL, Server: "8.0.35"}, server.Identity{Flavor: mysqldump.MySQL, Version: "8.0.35-log"}, false, nil},
		{Tool{Flavor: mysqldump.MySQL, Server: "8.0.35"}, server.Identity{Flavor: mysqldump.MySQL, Version: "8.4.1"}, false, ErrOther},
	} {
		warning, err := c.tool.fits(c.id)
		if (warning != nil) != c.warning || !errors.Is(err, c.err) {
			t.Errorf("%+v, %+v: %v, %v", c.tool, c.id, warning, err)
		}
	}
}

// Whatever a program says, what is taken for its version is of one that makes hot backups.
func FuzzParse(f *testing.F) {
	if seeds, _ := filepath.Glob("testdata/fuzz/FuzzParse/*"); len(seeds) == 0 {
		f.Fatal("there is no corpus")
	}
	f.Fuzz(func(t *testing.T, said string) {
		var got Tool
		if err := got.parse(said); err == nil && (got.Name == "" || got.Version == "" || got.Server == "" || got.Flavor != mysqldump.MariaDB && got.Flavor != mysqldump.MySQL) {
			t.Errorf("%q: %+v", said, got)
		}
		_, number := series(said)
		if again, _ := series(number); again != number && len(again) > len(number) {
			t.Errorf("%q: %q, %q", said, number, again)
		}
	})
}

// TestCorpus keeps what fuzzing begins with.
func TestCorpus(t *testing.T) {
	for name, said := range map[string]string{"mariadb": saysMariaDB, "xtrabackup": saysXtra} {
		want := fmt.Sprintf("go test fuzz v1\nstring(%q)\n", said)
		path := filepath.Join("testdata", "fuzz", "FuzzParse", name)
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s is not %s (%v)", path, want, err)
		}
	}
}
