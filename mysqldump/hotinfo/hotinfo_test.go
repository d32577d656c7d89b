package hotinfo

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nightjar/mysqldump"
)

// What mariadb-backup 10.11 and 11.8 and xtrabackup 8.0 write, and what they write without a binary log.
const (
	mariadbInfo = "uuid = 5c0b8d8c-cd1f-11f0-8d8c-000000000001\ntool_name = mariadb-backup\ntool_command = --backup --stream=xbstream\nserver_version = 10.11.19-MariaDB\n" +
		"binlog_pos = filename 'm1-bin.000001', position '3395', GTID of the last change '0-1-16'\ninnodb_from_lsn = 0\n"
	mysqlInfo = "tool_name = xtrabackup\nbinlog_pos = filename 'b.000007', position '197', GTID of the last change '8c3f1a52-0000-11ee-8000-000000000001:1-3,\n" +
		"8c3f1a52-0000-11ee-8000-000000000002:1-3'\ninnodb_from_lsn = 0\n"
	noBinlog = "tool_name = mariadb-backup\nbinlog_pos = \ninnodb_from_lsn = 0\n"
	gtidInfo = "tool_name = mariadb-backup\nbinlog_pos = GTID of the last change '0-1-16'\ninnodb_from_lsn = 0\n"
)

func TestPosition(t *testing.T) {
	const two = "8c3f1a52-0000-11ee-8000-000000000001:1-3,8c3f1a52-0000-11ee-8000-000000000002:1-3"
	for _, c := range []struct {
		binlog, info, file string
		offset             uint64
		gtids              string
	}{
		{"m1-bin.000001\t3395\t0-1-16\n", mariadbInfo, "m1-bin.000001", 3395, "0-1-16"},
		{"m1-bin.000001\t3395\t0-1-16\n", "", "m1-bin.000001", 3395, "0-1-16"},
		{"m1-bin.000001\t3395\n", mariadbInfo, "m1-bin.000001", 3395, ""},
		{"m1-bin.000001\t3395\t\n", "", "m1-bin.000001", 3395, ""},
		{"", mariadbInfo, "m1-bin.000001", 3395, "0-1-16"},
		{"", gtidInfo, "", 0, "0-1-16"}, {"0-1-16\n", "", "", 0, "0-1-16"}, {"0-1-16\n", gtidInfo, "", 0, "0-1-16"},
		{"", mysqlInfo, "b.000007", 197, two}, {strings.Replace("b.000007\t197\t"+two, ",", ",\n", 1), mysqlInfo, "b.000007", 197, two},
		{"", "tool_command = binlog_pos = filename 'x', position '1'\n" + mariadbInfo, "m1-bin.000001", 3395, "0-1-16"},
	} {
		set, err := mysqldump.ParseGTIDSet(c.gtids)
		if err != nil {
			t.Fatal(err)
		}
		p, err := Position(c.binlog, c.info)
		if err != nil || !p.Equal(mysqldump.Position{File: c.file, Offset: c.offset, GTIDs: set}) {
			t.Errorf("%q, %q: %v, %v", c.binlog, c.info, p, err)
		}
	}
	for _, none := range [][2]string{{"", ""}, {"", noBinlog}, {"\n", noBinlog}, {"", "tool_name = mariadb-backup\n"}} {
		if p, err := Position(none[0], none[1]); !errors.Is(err, ErrNone) {
			t.Errorf("%q: %v, %v", none, p, err)
		}
	}
	for _, wrong := range [][2]string{
		{"m1-bin.000001\t3396\t0-1-16\n", mariadbInfo}, {"m1-bin.000002\t3395\t0-1-16\n", mariadbInfo}, {"m1-bin.000001\t3395\t0-1-17\n", mariadbInfo},
		{"m1-bin.000001", ""}, {"\t1\t", ""}, {"a\tb", ""}, {"a\t1\tx\ty", ""}, {"a\t-1", ""}, {"a\t1\tnot a set", ""}, {"a\t99999999999999999999", ""},
		{"", "binlog_pos = filename 'a', position 'x'\n"}, {"", "binlog_pos = position '7'\n"},
	} {
		if p, err := Position(wrong[0], wrong[1]); err == nil || errors.Is(err, ErrNone) {
			t.Errorf("%q: %v, %v", wrong, p, err)
		}
	}
}

// Whatever the files say, a position is one that has what one of them says.
func FuzzPosition(f *testing.F) {
	if seeds, _ := filepath.Glob("testdata/fuzz/FuzzPosition/*"); len(seeds) == 0 {
		f.Fatal("there is no corpus")
	}
	f.Fuzz(func(t *testing.T, binlog, info string) {
		p, err := Position(binlog, info)
		if err == nil && (p.File == "" && (p.GTIDs.IsZero() || p.Offset > 0) || !strings.Contains(binlog+info, p.File)) {
			t.Errorf("%q, %q: %v", binlog, info, p)
		}
	})
}

// TestCorpus keeps what fuzzing begins with.
func TestCorpus(t *testing.T) {
	for name, in := range map[string][2]string{"mariadb": {"m1-bin.000001\t3395\t0-1-16\n", mariadbInfo}, "mysql": {"", mysqlInfo}, "gtids": {"0-1-16\n", gtidInfo}, "none": {"", noBinlog}} {
		want := fmt.Sprintf("go test fuzz v1\nstring(%q)\nstring(%q)\n", in[0], in[1])
		path := filepath.Join("testdata", "fuzz", "FuzzPosition", name)
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s is not %s (%v)", path, want, err)
		}
	}
}
