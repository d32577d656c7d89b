package revive

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"nightjar/mysqldump"
	"nightjar/mysqldump/datadir"
)

func TestAgrees(t *testing.T) {
	set, err := mysqldump.ParseGTIDSet("0-1-7")
	if err != nil {
		t.Fatal(err)
	}
	r := &Revived{Position: mysqldump.Position{File: "bin.7", Offset: 99, GTIDs: set}}
	sum := func(s string) string { return "sum of " + s }
	for said, want := range map[*Said]bool{
		{}: false, {File: "bin.7", Offset: 99}: true, {File: "bin.7", Offset: 99, GTIDs: "0-1-7", Server: "1"}: true, {GTIDSum: "sum of 0-1-7", Sum: sum}: true,
	} {
		if got, err := agrees(r, &note{ServerID: 1}, said); err != nil || got != want {
			t.Errorf("%+v: %v, %v", said, got, err)
		}
	}
	for _, said := range []*Said{{File: "bin.7", Offset: 98}, {File: "bin.6", Offset: 99}, {GTIDs: "0-1-8"}, {GTIDSum: "another", Sum: sum}, {File: "bin.7", Offset: 99, Server: "2"}} {
		if _, err := agrees(r, &note{ServerID: 1}, said); !errors.Is(err, datadir.ErrPosition) {
			t.Errorf("%+v: %v", said, err)
		}
	}
}

func TestInnoDB(t *testing.T) {
	for said, want := range map[string]string{
		"InnoDB: Last binlog file './own-bin.000001', position 8876\n":                         "own-bin.000001:8876",
		"InnoDB: Last MySQL binlog file position 0 154, file name /var/lib/mysql/bin.000002\n": "bin.000002:154",
		"nothing": "",
	} {
		if got := innoDB(said); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// A list whose logs are elsewhere is left as it is, so that no run recovers the data without them.
func TestLogElsewhere(t *testing.T) {
	dir := t.TempDir()
	const list = "/binlog/bin.000007\n"
	for name, text := range map[string]string{"ibdata1": "", "bin.index": list} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d, err := datadir.Adopt(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for range 2 {
		if _, err := Run(t.Context(), d, Options{Of: "x"}); !errors.Is(err, ErrLog) {
			t.Error(err)
		}
	}
	if text, err := os.ReadFile(filepath.Join(dir, "bin.index")); err != nil || string(text) != list {
		t.Errorf("%q, %v", text, err)
	}
}
