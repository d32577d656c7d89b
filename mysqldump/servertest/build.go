package servertest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// build is where the programs of a kind are, and how they are called.
type build struct {
	kind   Kind
	bin    string   // the project's .bin
	dir    string   // what a server calls its basedir
	share  string   // its messages and character sets
	server string   // its program
	loader []string // what starts the programs of a root, which have libraries of their own; nil elsewhere
}

// missing says why a kind is not here, "" when it is; it fails the test for the kinds that must be.
func (k Kind) missing(t testing.TB) string {
	t.Helper()
	_, err := buildOf(k)
	switch {
	case err == nil:
		return ""
	case k == MariaDB1011 || k == MySQL57:
		t.Fatalf("find %s: %v: make setup brings it", k, err)
	}
	return fmt.Sprintf("%v: make test-servers brings it", err)
}

func buildOf(k Kind) (build, error) {
	bin, err := projectBin()
	if err != nil {
		return build{}, err
	}
	b := build{kind: k, bin: bin, dir: "/usr", share: "/usr/share/mysql", server: "/usr/sbin/mariadbd"}
	switch k {
	case MySQL57:
		b.dir = filepath.Join(bin, "mysql57", "server")
		b.share, b.server = filepath.Join(b.dir, "share", "mysql"), filepath.Join(b.dir, "mysqld")
	case MariaDB118, MySQL97:
		b.dir = filepath.Join(bin, "roots", string(k), "usr")
		b.share, b.server = filepath.Join(b.dir, "share", "mysql"), filepath.Join(b.dir, "sbin", "mysqld")
		if k == MariaDB118 {
			b.share, b.server = filepath.Join(b.dir, "share", "mariadb"), filepath.Join(b.dir, "sbin", "mariadbd")
		}
		loaders, _ := filepath.Glob(filepath.Join(b.dir, "lib", "*-linux-gnu", "ld-linux*.so.*"))
		if len(loaders) == 0 {
			return build{}, errors.New("no root of " + string(k))
		}
		b.loader = []string{loaders[0], "--library-path", filepath.Dir(loaders[0])}
	}
	_, err = os.Stat(b.server)
	return b, err
}

// projectBin is the folder .bin beside the main module's go.mod, from the test's folder up.
var projectBin = sync.OnceValues(func() (string, error) {
	dir, err := os.Getwd()
	for ; err == nil && dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, ".bin"), nil
		}
	}
	return "", fmt.Errorf("find the project's folder: no go.mod above (%v)", err)
})

// version is what the server's program says of itself, wherever it is.
func (b build) version() (string, error) {
	argv := append(b.argv("server"), "--no-defaults", "--version")
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w: %s", b.kind, err, out)
	}
	return strings.TrimSpace(strings.ReplaceAll(string(out), b.server, "")), nil
}

// argv starts a program; "server" is the server itself. It is nil when the kind has no such program.
func (b build) argv(name string) []string {
	if name == "server" {
		return append(b.loader[:len(b.loader):len(b.loader)], b.server)
	}
	if b.kind == MySQL57 {
		if name == "mariadb-backup" { // which refuses it
			return nil
		}
		b = build{kind: MariaDB1011, dir: "/usr"}
	}
	path := filepath.Join(b.dir, "bin", b.kind.nameOf(name))
	if _, err := os.Stat(path); err != nil {
		return nil
	}
	return append(b.loader[:len(b.loader):len(b.loader)], path)
}

// nameOf turns either product's name of a program into this one's.
func (k Kind) nameOf(program string) string {
	for _, own := range []string{"", "dump", "binlog", "admin", "check", "import", "show", "slap"} {
		maria, my := strings.TrimSuffix("mariadb-"+own, "-"), "mysql"+own
		if program == maria || program == my {
			if k.MariaDB() {
				return maria
			}
			return my
		}
	}
	return program
}

// arguments are what the kind's server needs wherever it runs, and what makes it small.
func (b build) arguments() []string {
	args := []string{"--no-defaults", "--basedir=" + b.dir, "--lc-messages-dir=" + b.share, "--character-sets-dir=" + filepath.Join(b.share, "charsets")}
	if b.loader != nil {
		args = append(args, "--plugin-dir="+filepath.Join(b.dir, "lib", "mysql", "plugin"))
	}
	switch b.kind {
	case MySQL57:
		args = append(args, "--innodb-log-file-size=8M", "--log-slave-updates", "--explicit-defaults-for-timestamp", "--performance-schema=OFF")
	case MySQL97:
		args = append(args, "--innodb-redo-log-capacity=8M", "--mysqlx=OFF", // what follows halves its memory
			"--table-open-cache=200", "--table-definition-cache=400", "--innodb-log-buffer-size=1M", "--performance-schema-digests-size=200",
			"--performance-schema-max-thread-instances=200", "--performance-schema-events-statements-history-long-size=100")
	default:
		return append(args, "--innodb-log-file-size=8M", "--log-slave-updates")
	}
	return append(args, "--gtid-mode=ON", "--enforce-gtid-consistency")
}

// initialize is the command that makes a new data directory of whom runs it, with a root without password, and what it reads.
func (b build) initialize(datadir string) (argv []string, input []byte, err error) {
	argv = append(append(b.argv("server"), b.arguments()...), "--datadir="+datadir)
	if !b.kind.MariaDB() {
		return append(argv, "--initialize-insecure"), nil, nil
	}
	input, err = b.systemTables()
	return append(argv, "--bootstrap", "--log-warnings=0", "--enforce-storage-engine=", "--max-allowed-packet=8M", "--net-buffer-length=16K"), input, err
}

// systemTables is what mariadb-install-db writes into a new data directory: that script itself starts no server with libraries of its own.
func (b build) systemTables() ([]byte, error) {
	sql := []byte("CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket=NULL;\n")
	for _, name := range []string{
		"m*_system_tables.sql", "m*_performance_tables.sql", "m*_system_tables_data.sql", "fill_help_tables.sql", "maria_add_gis_sp_bootstrap.sql", "m*_sys_schema.sql",
	} {
		files, _ := filepath.Glob(filepath.Join(b.share, name))
		if len(files) != 1 {
			return nil, fmt.Errorf("find %s of %s: there are %d", name, b.kind, len(files))
		}
		file, err := os.ReadFile(files[0])
		if err != nil {
			return nil, err
		}
		for line := range bytes.Lines(file) {
			if !bytes.Contains(line, []byte("@current_hostname")) { // root comes from localhost only
				sql = append(sql, line...)
			}
		}
		sql = append(sql, '\n')
	}
	return sql, nil
}
