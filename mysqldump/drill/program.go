package drill

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"nightjar/internal/child"
	"nightjar/internal/tempdir"
	"nightjar/mysqldump/datadir"
	"nightjar/mysqldump/program"
)

// ErrProgram says that there is no server here that may hold the data.
var ErrProgram = errors.New("no server's program here fits the backup")

// A Need says which server a backup takes.
type Need struct {
	MariaDB bool
	Version string // of the server that was backed up: 10.11.19-MariaDB
	Files   bool   // its own files, which take a server of the same series; a dump takes that one, or a later one
	Program string // the one to take; empty: the usual names are looked for
}

// A Program is a server's program.
type Program struct {
	Path    string
	Version string // as it says itself
	MariaDB bool
}

// Find finds a program that fits, or returns an error that wraps ErrProgram.
func Find(ctx context.Context, n Need, temp tempdir.Dir) (Program, error) {
	names := []string{"mysqld", "/usr/sbin/mysqld", "/usr/libexec/mysqld"}
	if n.MariaDB {
		names = []string{"mariadbd", "/usr/sbin/mariadbd", "/usr/libexec/mariadbd", "mysqld", "/usr/sbin/mysqld"}
	}
	if n.Program != "" {
		names = []string{n.Program}
	}
	var why error
	for _, name := range names {
		p, err := n.try(ctx, name, temp)
		if err == nil {
			return p, nil
		}
		if why == nil || errors.Is(err, datadir.ErrVersion) { // says more than that there is none
			why = err
		}
	}
	return Program{}, fmt.Errorf("%w: %w", ErrProgram, why)
}

func (n Need) try(ctx context.Context, name string, temp tempdir.Dir) (p Program, err error) {
	printed, said, err := program.Say(ctx, name, temp.Environ(nil))
	if err != nil {
		return p, fmt.Errorf("ask %s for its version: %w: %.500s", name, err, cmp.Or(strings.TrimSpace(said), "it says nothing"))
	}
	p = Program{Path: name, Version: program.Series(printed), MariaDB: strings.Contains(printed, "MariaDB")}
	if m := versions.FindString(printed); m != "" {
		p.Version = m
	}
	switch {
	case p.MariaDB != n.MariaDB:
		return p, fmt.Errorf("%w: the backup is of %s, and %s is of %s", datadir.ErrVersion, product(n.MariaDB), name, product(p.MariaDB))
	case n.Files:
		_, err := datadir.Tool{Program: name, Version: p.Version}.Fits(n.Version)
		return p, err
	case program.Older(program.Series(p.Version), program.Series(n.Version)):
		return p, fmt.Errorf("%w: the backup is of %.80q, and %s is %s, which is older", datadir.ErrVersion, n.Version, name, p.Version)
	}
	return p, nil
}

var versions = regexp.MustCompile(`\b\d{1,4}\.\d{1,4}\.\d{1,4}\b`)

func product(mariadb bool) string {
	if mariadb {
		return "MariaDB"
	}
	return "MySQL"
}

// Make makes a new data directory, whose root has no password, for a dump to be loaded into. Dir is to be made; its parent is there, and the owner reaches it.
func (p Program) Make(ctx context.Context, dir string, flags []string, owner datadir.Owner, temp tempdir.Dir) error {
	if err := p.make(ctx, dir, flags, owner, temp); err != nil {
		return fmt.Errorf("make a new data directory by %s: %w", p.Path, err)
	}
	return nil
}

func (p Program) make(ctx context.Context, dir string, flags []string, owner datadir.Owner, temp tempdir.Dir) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	scratch, remove, err := temp.MkdirTemp("new-*")
	if err != nil {
		return err
	}
	defer func() { _ = remove() }() // with the rest of the scratch folder at the latest
	args := append([]string{p.Path, "--no-defaults", "--datadir=" + dir, "--tmpdir=" + scratch, "--skip-log-bin"}, flags...)
	if os.Geteuid() == 0 {
		for _, folder := range []string{dir, scratch} {
			if err := os.Lchown(folder, owner.UID, owner.GID); err != nil {
				return err
			}
		}
		args = append(args, fmt.Sprintf("--user=%d", owner.UID))
	}
	if !p.MariaDB {
		args = append(args, noFiles)
	}
	c := child.Command{Name: p.Path, Args: append(args, "--initialize-insecure"), Env: temp.Environ(nil)}
	if p.MariaDB {
		input, err := p.systemTables(ctx, temp)
		if err != nil {
			return err
		}
		c.Args = append(args, "--bootstrap", "--log-warnings=0", "--enforce-storage-engine=", "--max-allowed-packet=8M", "--net-buffer-length=16K")
		c.Stdin = bytes.NewReader(input)
	}
	_, err = child.Output(ctx, c, 1<<20)
	return err
}

var charsets = regexp.MustCompile(`(?m)^character-sets-dir +(/\S.*?)/charsets/?$`)

// maxScript is how large a script may be that makes system tables.
const maxScript = 64 << 20

// systemTables is what mariadb-install-db writes into a new data directory, which has no way to name the server's program.
func (p Program) systemTables(ctx context.Context, temp tempdir.Dir) ([]byte, error) {
	printed, err := child.Output(ctx, child.Command{Name: p.Path, Args: []string{p.Path, "--no-defaults", "--datadir=" + temp.Path(), "--verbose", "--help"}, Env: temp.Environ(nil)}, 8<<20)
	if err != nil {
		return nil, err
	}
	share := charsets.FindSubmatch(printed)
	if share == nil {
		return nil, errors.New("it does not say where its character sets are, beside which the scripts for system tables are looked for")
	}
	sql := []byte("CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket=NULL;\n")
	for _, name := range []string{
		"m*_system_tables.sql", "m*_performance_tables.sql", "m*_system_tables_data.sql", "fill_help_tables.sql", "maria_add_gis_sp_bootstrap.sql", "m*_sys_schema.sql",
	} {
		files, _ := filepath.Glob(filepath.Join(string(share[1]), name))
		if len(files) != 1 {
			return nil, fmt.Errorf("find script %s in %s: there are %d", name, share[1], len(files))
		}
		info, err := os.Stat(files[0])
		if err == nil && info.Size() > maxScript {
			err = fmt.Errorf("%s is too large for a script", files[0])
		}
		if err != nil {
			return nil, err
		}
		text, err := os.ReadFile(files[0])
		if err != nil {
			return nil, err
		}
		for line := range bytes.Lines(text) {
			if !bytes.Contains(line, []byte("@current_hostname")) { // root comes from this machine only
				sql = append(sql, line...)
			}
		}
		sql = append(sql, '\n')
	}
	return sql, nil
}
