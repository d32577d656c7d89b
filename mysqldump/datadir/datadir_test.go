package datadir

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"nightjar/internal/tempdir"
	"nightjar/mysqldump"
	"nightjar/mysqldump/servertest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// toolOf is a server's backup tool as one program, which may be a server too.
func toolOf(t testing.TB, s *servertest.Server) Tool {
	t.Helper()
	argv := s.Program("mariadb-backup")
	program := filepath.Join(s.Dir, "tool")
	usr := filepath.Dir(filepath.Dir(argv[len(argv)-1]))
	more := ""
	if len(argv) > 1 { // a root's, which does not find its messages by itself
		more = fmt.Sprintf("--basedir=%s --lc-messages-dir=%s/share/mariadb --character-sets-dir=%s/share/mariadb/charsets --plugin-dir=%s/lib/mysql/plugin", usr, usr, usr, usr)
	}
	script := fmt.Sprintf("#!/bin/sh\ncase \"$1$2\" in --m*d--defaults*) exec %s \"$@\" %s;; esac\nexec %s \"$@\"\n", strings.Join(argv, " "), more, strings.Join(argv, " "))
	must(t, os.WriteFile(program, []byte(script), 0o755))
	tool, err := FindTool(t.Context(), program, scratch(t))
	must(t, err)
	return tool
}

// scratch is a temp directory that the server's user may pass through.
func scratch(t testing.TB) tempdir.Dir {
	t.Helper()
	dir, err := os.MkdirTemp("", "dd")
	must(t, err)
	must(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { os.RemoveAll(dir) })
	temp, err := tempdir.New(dir)
	must(t, err)
	return temp
}

// hotCopy has the tool copy a server's files into a folder, as they are.
func hotCopy(t testing.TB, s *servertest.Server, to string) {
	t.Helper()
	argv := append(s.Program("mariadb-backup"), "--no-defaults", "--backup", "--socket="+s.Socket, "--user=root", "--datadir="+s.Datadir, "--target-dir="+to, "--tmpdir="+scratch(t).Path())
	if out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func labelOf(t testing.TB, s *servertest.Server) mysqldump.Position {
	t.Helper()
	row := s.QueryRow(t, "SHOW MASTER STATUS")
	set, err := mysqldump.ParseGTIDSet(s.Query(t, "SELECT @@gtid_binlog_pos")[0][0])
	must(t, err)
	p := mysqldump.Position{File: row["File"], GTIDs: set}
	_, err = fmt.Sscan(row["Position"], &p.Offset)
	must(t, err)
	return p
}

func copyInto(t testing.TB, from, to string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "cp", "-r", from+"/.", to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func all(string) bool { return true }

// opened lists the files that a process has open below a folder.
func opened(t testing.TB, pid int, below string) (found []string) {
	t.Helper()
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	must(t, err)
	if len(fds) == 0 {
		t.Fatalf("process %d has no files", pid)
	}
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, below+"/") {
			found = append(found, to)
		}
	}
	return found
}

// What is claimed, filled, prepared and finished is a data directory that a server starts on. It has what the source had, though its lists of
// logs named the source's by absolute paths, and a table lay elsewhere; and it opens nothing of the source, which runs on the same machine.
func TestDataDirectory(t *testing.T) {
	for _, k := range []servertest.Kind{servertest.MariaDB1011, servertest.MariaDB118} {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			s := servertest.Start(t, k)
			s.Restart(t, "--log-bin="+filepath.Join(s.Datadir, "own-bin"), "--log-bin-index="+filepath.Join(s.Datadir, "own-bin.index"))
			elsewhere := filepath.Join(s.Dir, "elsewhere")
			must(t, os.Mkdir(elsewhere, 0o777))
			must(t, os.Chmod(elsewhere, 0o777))
			s.Exec(t, "CREATE DATABASE shop", "USE shop", "CREATE TABLE orders (id INT PRIMARY KEY, v VARCHAR(40), KEY (v))", "INSERT INTO orders SELECT seq, seq*7 FROM seq_1_to_2000",
				"CREATE TABLE afar (id INT PRIMARY KEY) DATA DIRECTORY='"+elsewhere+"'", "INSERT INTO afar VALUES (1)", "CREATE TABLE old (a INT) ENGINE=MyISAM", "INSERT INTO old VALUES (1)")
			tool := toolOf(t, s)
			copied := filepath.Join(s.Dir, "copied")
			hotCopy(t, s, copied)
			label := labelOf(t, s)
			for _, name := range []string{"own-bin.index", label.File} { // as a copy of all files would have
				text, err := os.ReadFile(filepath.Join(s.Datadir, name))
				must(t, err)
				must(t, os.WriteFile(filepath.Join(copied, name), text, 0o600))
			}
			must(t, os.WriteFile(filepath.Join(copied, "auto.cnf"), []byte("[auto]\n"), 0o600))
			if newer, err := tool.Fits(tool.Version); err != nil || newer {
				t.Errorf("the tool does not fit itself: %v", err)
			}
			fresh := servertest.Start(t, k)
			fresh.Stop(t)
			owner, err := FindOwner("", fresh.Datadir)
			must(t, err)
			must(t, os.Rename(fresh.Datadir, fresh.Datadir+".was"))
			restore(t, copied, fresh.Datadir, label, PrepareOptions{Tool: tool, Temp: scratch(t)}, owner)
			fresh.Restart(t, "--log-bin=own-bin", "--log-bin-index=own-bin.index")
			want, got := servertest.Checksums(t, s), servertest.Checksums(t, fresh)
			if len(want) != 3 || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("the copy has %v, not %v", got, want)
			}
			fresh.Exec(t, "INSERT INTO shop.afar VALUES (2)")
			if found := opened(t, fresh.Pid(), s.Dir); len(found) > 0 {
				t.Errorf("the copy has files of the source open: %q", found)
			}
			if logs := fresh.Query(t, "SHOW BINARY LOGS"); len(logs) < 2 || logs[0][0] != label.File {
				t.Errorf("its logs are %q", logs)
			}
		})
	}
}

// restore makes a data directory of copied files. A private server on it has what the source has.
func restore(t testing.TB, copied, to string, label mysqldump.Position, o PrepareOptions, owner Owner) {
	t.Helper()
	d, err := Claim(to, "one")
	must(t, err)
	t.Cleanup(d.Close)
	if _, err := Claim(to, "one"); !errors.Is(err, ErrInUse) {
		t.Errorf("claimed twice: %v", err)
	}
	copyInto(t, copied, to)
	must(t, os.WriteFile(filepath.Join(to, "extra"), nil, 0o600))
	must(t, d.Settle(func(name string) bool { return name != "extra" }))
	if err := d.CheckPosition(mysqldump.Position{File: label.File, Offset: label.Offset + 1}); !errors.Is(err, ErrPosition) {
		t.Errorf("another position: %v", err)
	}
	must(t, d.CheckPosition(label))
	must(t, d.Prepare(t.Context(), o))
	f, err := d.Finish(owner)
	must(t, err)
	if notes := strings.Join(f.Notes, "\n"); !strings.Contains(notes, "own-bin.index") || !strings.Contains(notes, "shop/afar") || len(f.Settings) > 0 {
		t.Errorf("finished: %+v", f)
	}
	for _, gone := range []string{"extra", Mark, "auto.cnf", "xtrabackup_binlog_info", "mariadb_backup_binlog_info", "backup-my.cnf", "shop/afar.isl"} {
		if _, err := os.Lstat(filepath.Join(to, gone)); err == nil {
			t.Errorf("%s is there", gone)
		}
	}
	d.Close()
	if _, err := Claim(to, "one"); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("a finished data directory: %v", err)
	}
	if uid, gid, ok := ownerOf(filepath.Join(to, "shop", "orders.ibd")); !ok || uid != owner.UID || gid != owner.GID {
		t.Errorf("the owner is %d:%d, not %v", uid, gid, owner)
	}
}
