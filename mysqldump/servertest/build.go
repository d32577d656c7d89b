package servertest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// build is where the programs of a kind are.
type build struct {
	kind Kind
	dir  string // the folder that holds them
	bin  string // the project's .bin
}

// missing says why a kind is not here, "" when it is; it fails the test for the kinds that must be.
func (k Kind) missing(t testing.TB) string {
	t.Helper()
	_, err := buildOf(k)
	if err == nil {
		return ""
	}
	if k == MariaDB1011 || k == MySQL57 {
		t.Fatalf("find %s: %v: make setup brings it", k, err)
	}
	return fmt.Sprintf("%v: make test-servers brings it", err)
}

func buildOf(k Kind) (build, error) {
	bin, err := projectBin()
	if err != nil {
		return build{}, err
	}
	b := build{kind: k, bin: bin}
	switch k {
	case MariaDB1011:
		b.dir = "/usr"
	case MySQL57:
		b.dir = filepath.Join(bin, "mysql57", "server")
	default:
		return build{}, fmt.Errorf("no root of %s", k)
	}
	_, err = os.Stat(b.argv("server")[0])
	return b, err
}

// projectBin is the folder .bin beside the main module's go.mod, from the test's folder up. A link at its place is followed, since servers have to reach it.
var projectBin = sync.OnceValues(func() (string, error) {
	dir, err := os.Getwd()
	for ; err == nil && dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, ".bin"), nil
		}
	}
	return "", fmt.Errorf("find the project's folder: no go.mod above (%v)", err)
})

// version is what the server's program says of itself.
func (b build) version() (string, error) {
	argv := append(b.argv("server"), "--no-defaults", "--version")
	out, err := exec.Command(argv[0], argv[1:]...).Output()
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w", b.kind, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// argv starts a program; "server" is the server itself.
func (b build) argv(name string) []string {
	if name == "server" {
		switch b.kind {
		case MariaDB1011:
			return []string{"/usr/sbin/mariadbd"}
		case MySQL57:
			return []string{filepath.Join(b.dir, "mysqld")}
		}
	}
	if b.kind == MySQL57 && name == "mariadb-backup" { // which refuses it
		return nil
	}
	path, err := exec.LookPath(mariadbName(name))
	if err != nil {
		return nil
	}
	return []string{path}
}

// mariadbName is MariaDB's name for a program of MySQL's.
func mariadbName(name string) string {
	switch rest, ok := strings.CutPrefix(name, "mysql"); {
	case !ok:
		return name
	case rest == "":
		return "mariadb"
	default:
		return "mariadb-" + rest
	}
}

// arguments are what the kind's server needs wherever it runs, and what makes it small.
func (b build) arguments() []string {
	args := []string{"--no-defaults", "--innodb-log-file-size=8M", "--log-slave-updates"}
	if b.kind.MariaDB() {
		return args
	}
	share := filepath.Join(b.dir, "share", "mysql")
	return append(args, "--basedir="+b.dir, "--lc-messages-dir="+share, "--character-sets-dir="+filepath.Join(share, "charsets"),
		"--explicit-defaults-for-timestamp", "--performance-schema=OFF", "--gtid-mode=ON", "--enforce-gtid-consistency")
}

// initialize is the command that makes a new data directory of whom runs it, with a root without password.
func (b build) initialize(datadir string) []string {
	if b.kind.MariaDB() {
		return []string{"/usr/bin/mariadb-install-db", "--no-defaults", "--innodb-log-file-size=8M", "--datadir=" + datadir,
			"--auth-root-authentication-method=normal", "--skip-test-db"}
	}
	return append(append(b.argv("server"), b.arguments()...), "--initialize-insecure", "--datadir="+datadir)
}
