package tablespace

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"nightjar/internal/durable"
	"nightjar/mysqldump/ddl"
	"nightjar/mysqldump/schema"
	"nightjar/mysqldump/server"
)

var (
	// ErrExists says that a table is there already.
	ErrExists = errors.New("it is there already")
	// ErrDiffers says that a table is not in the server what it was in the backup.
	ErrDiffers = errors.New("it is not what it was in the backup")
	// ErrElsewhere says that the running server's files are not seen from here.
	ErrElsewhere = errors.New("the server's data directory is not on this machine")
)

// Existing says what becomes of tables that are there.
type Existing int

// The choices.
const (
	Refuse    Existing = iota // it is an error
	Missing                   // they are left, and only what is not there is restored
	IfChanged                 // they are replaced if their checksum is another
	Replace                   // they are replaced
)

// Options say how tables are brought back.
type Options struct {
	Existing Existing
	Rename   map[string]string // databases that get another name
	Warn     func(string)      // told of what people should know; nil: nobody
}

// An Import brings tables into a running server. It is for one goroutine.
type Import struct {
	from    *server.Session // of the private server
	to      *server.Session // of the running server
	scratch string          // the private server's data directory
	datadir string          // the running server's
	o       Options
}

// Open makes two sessions ready: from is with the private server on a scratch data directory, to with the running server. The running
// server's binary log gets nothing of what is done in its session.
func Open(ctx context.Context, from, to *server.Session, scratch string, o Options) (*Import, error) {
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	i := &Import{from: from, to: to, scratch: scratch, o: o}
	cluster, err := to.Cluster(ctx)
	if err == nil && cluster != "" {
		err = fmt.Errorf("%s: its other members would not get the tables", cluster)
	}
	if err != nil {
		return nil, err
	}
	row, err := to.Row(ctx, "SELECT @@datadir, @@log_bin")
	if err != nil {
		return nil, err
	}
	i.datadir = string(row[0])
	if _, err := os.Stat(i.datadir); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrElsewhere, err)
	}
	if string(row[1]) != "0" {
		if err := to.Exec(ctx, "SET SESSION sql_log_bin=0"); err != nil {
			return nil, err
		}
		o.Warn("the server's replicas do not get these tables: files are not in its binary log")
	}
	for _, s := range []string{"SET SESSION foreign_key_checks=0", "SET NAMES utf8mb4"} {
		if err := to.Exec(ctx, s); err != nil {
			return nil, err
		}
	}
	return i, nil
}

// A table that is being brought back.
type table struct {
	*Table
	database string // where it goes
	folder   string // of that database
	interim  string // its name until it has been checked
	create   string
	keys     []string
	foreign  []string
	sum      string
}

func (t *table) name() string { return server.Quote(t.database) + "." + server.Quote(t.Name) }
func (t *table) other() string {
	return server.Quote(t.database) + "." + server.Quote(t.interim)
}

// Allowed returns an error that wraps ErrExists if the table may not be brought back, since it is there. Nothing is changed.
func (i *Import) Allowed(ctx context.Context, t *Table) error {
	if i.o.Existing != Refuse {
		return nil
	}
	there, err := i.exists(ctx, i.database(t), t.Name)
	if err == nil && there {
		err = ErrExists
	}
	if err != nil {
		return fmt.Errorf("table %s.%s: %w", i.database(t), t.Name, err)
	}
	return nil
}

func (i *Import) database(t *Table) string {
	if to := i.o.Rename[t.Database]; to != "" {
		return to
	}
	return t.Database
}

func (i *Import) exists(ctx context.Context, database, name string) (bool, error) {
	_, err := i.to.Row(ctx, "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA="+server.Literal(database)+" AND TABLE_NAME="+server.Literal(name))
	if errors.Is(err, server.ErrNoRow) {
		return false, nil
	}
	return err == nil, err
}

// Table brings a table back. It reports whether it did: what is there may be left.
func (i *Import) Table(ctx context.Context, t *Table) (done bool, err error) {
	if done, err = i.table(ctx, t); err != nil {
		return done, fmt.Errorf("table %s: %w", t, err)
	}
	return done, nil
}

func (i *Import) table(ctx context.Context, of *Table) (bool, error) {
	if of.Why != "" {
		return false, errors.New(of.Why)
	}
	t, err := i.look(ctx, of)
	if err != nil {
		return false, fmt.Errorf("read it in the backup: %w", err)
	}
	there, err := i.exists(ctx, t.database, t.Name)
	switch {
	case err != nil:
		return false, err
	case there && i.o.Existing == Refuse:
		return false, ErrExists
	case there && i.o.Existing == Missing:
		return false, nil
	case there && i.o.Existing == IfChanged:
		if sum, err := checksum(ctx, i.to, t.name()); err != nil || sum == t.sum {
			return false, err
		}
	}
	if err := i.makeDatabase(ctx, t); err != nil {
		return false, err
	}
	if err := i.takeIn(ctx, t); err != nil {
		return false, errors.Join(err, i.drop(context.WithoutCancel(ctx), t))
	}
	if err := i.swap(ctx, t, there); err != nil {
		return false, fmt.Errorf("give it its name; it is there as %s: %w", t.other(), err)
	}
	return true, i.complete(ctx, t)
}

// look asks the private server what the table is.
func (i *Import) look(ctx context.Context, of *Table) (*table, error) {
	t := &table{Table: of, database: i.database(of)}
	sum := sha256.Sum256([]byte(t.database + "\x00" + t.Name))
	t.interim = "nightjar_import_" + hex.EncodeToString(sum[:6])
	name := server.Quote(of.Database) + "." + server.Quote(of.Name)
	row, err := i.from.Row(ctx, "SHOW CREATE TABLE "+name)
	if err != nil {
		return nil, err
	}
	create := ddl.Loadable(string(row[1]))
	// Words outside of names and texts. Those of FULLTEXT keys lie in files that no server takes in; MariaDB 10.11 crashes when such a key is added afterwards.
	for _, word := range []string{"SEQUENCE", "PARTITION", "FULLTEXT"} {
		if ddl.Has([]byte(create), word) {
			return nil, fmt.Errorf("a table with %s cannot be taken in as a file", word)
		}
	}
	t.create, t.keys, t.foreign = ddl.SplitKeys(create)
	t.sum, err = checksum(ctx, i.from, name)
	return t, err
}

func checksum(ctx context.Context, s *server.Session, name string) (string, error) {
	row, err := s.Row(ctx, "CHECKSUM TABLE "+name)
	if err == nil && row[1] == nil {
		err = errors.New("the server gives no checksum of it")
	}
	if err != nil {
		return "", err
	}
	return string(row[1]), nil
}

// makeDatabase makes the table's database, if there is none.
func (i *Import) makeDatabase(ctx context.Context, t *table) error {
	row, err := i.from.Row(ctx, "SHOW CREATE DATABASE "+server.Quote(t.Database))
	if err != nil {
		return err
	}
	_, options, _ := strings.Cut(string(row[1]), server.Quote(t.Database))
	if err := i.to.Exec(ctx, "CREATE DATABASE IF NOT EXISTS "+server.Quote(t.database)+options); err != nil {
		return err
	}
	if row, err = i.to.Row(ctx, "SELECT CONVERT(CONVERT("+server.Literal(t.database)+" USING filename) USING binary)"); err != nil {
		return err
	}
	if t.folder = string(row[0]); t.folder == "" || strings.ContainsAny(t.folder, "/\x00") || t.folder[0] == '.' {
		return fmt.Errorf("the server has database %q in folder %q", t.database, t.folder)
	}
	return i.to.Exec(ctx, "USE "+server.Quote(t.database))
}

// takeIn makes the table under its interim name, and has the server take the backup's file for it.
func (i *Import) takeIn(ctx context.Context, t *table) error {
	for _, s := range append([]string{"DROP TABLE IF EXISTS " + t.other(), i.renamed(t, t.create)}, i.allRenamed(t, t.keys)...) {
		if err := i.to.Exec(ctx, s); err != nil {
			return err
		}
	}
	file := filepath.Join(i.datadir, t.folder, t.interim)
	made, err := os.Lstat(file + ".ibd")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrElsewhere, err)
	}
	if err := i.to.Exec(ctx, "ALTER TABLE "+t.other()+" DISCARD TABLESPACE"); err != nil {
		return err
	}
	if _, err := os.Lstat(file + ".ibd"); err == nil {
		return fmt.Errorf("%w: it has discarded %s.ibd, which is still there", ErrElsewhere, file)
	}
	if err := i.export(ctx, t, file, made); err != nil {
		return err
	}
	if err := i.to.Exec(ctx, "ALTER TABLE "+t.other()+" IMPORT TABLESPACE"); err != nil {
		return err
	}
	if err := os.Remove(file + ".cfg"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return i.verify(ctx, t)
}

// renamed returns a statement about the table for its interim name.
func (i *Import) renamed(t *table, statement string) string {
	return strings.Replace(statement, server.Quote(t.Name), t.other(), 1)
}

func (i *Import) allRenamed(t *table, statements []string) (all []string) {
	for _, s := range statements {
		all = append(all, i.renamed(t, s))
	}
	return all
}

// export has the private server let go of the table's files, and copies them.
func (i *Import) export(ctx context.Context, t *table, to string, like os.FileInfo) (err error) {
	name := server.Quote(t.Database) + "." + server.Quote(t.Name)
	if err := i.from.Exec(ctx, "FLUSH TABLES "+name+" FOR EXPORT"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, i.from.Exec(context.WithoutCancel(ctx), "UNLOCK TABLES")) }()
	for _, end := range []string{".cfg", ".ibd"} {
		if err := copyFile(ctx, filepath.Join(i.scratch, t.Table.folder, t.base)+end, to+end, like); err != nil {
			return err
		}
	}
	return durable.SyncDir(filepath.Dir(to))
}

// verify has the server read the whole table.
func (i *Import) verify(ctx context.Context, t *table) error {
	var said []string
	err := i.to.Query(ctx, "CHECK TABLE "+t.other(), func(row [][]byte) error {
		said = append(said, string(row[2])+": "+string(row[3]))
		return nil
	})
	if err != nil {
		return err
	}
	if len(said) == 0 || said[len(said)-1] != "status: OK" {
		return fmt.Errorf("%w: CHECK TABLE says %s", ErrDiffers, strings.Join(said, "; "))
	}
	sum, err := checksum(ctx, i.to, t.other())
	if err == nil && sum != t.sum {
		err = fmt.Errorf("%w: its checksum is %s, not %s", ErrDiffers, sum, t.sum)
	}
	return err
}

// drop takes away what was not taken in.
func (i *Import) drop(ctx context.Context, t *table) error {
	err := i.to.Exec(ctx, "DROP TABLE IF EXISTS "+t.other())
	if t.folder == "" {
		return err
	}
	for _, end := range []string{".cfg", ".ibd"} {
		if failed := os.Remove(filepath.Join(i.datadir, t.folder, t.interim) + end); !errors.Is(failed, os.ErrNotExist) {
			err = errors.Join(err, failed)
		}
	}
	return err
}

// swap gives the table its name. One that others refer to is dropped first, since their keys would follow it to another name.
func (i *Import) swap(ctx context.Context, t *table, there bool) error {
	if !there {
		return i.to.Exec(ctx, "RENAME TABLE "+t.other()+" TO "+t.name())
	}
	row, err := i.to.Row(ctx, "SELECT COUNT(*) FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE UNIQUE_CONSTRAINT_SCHEMA="+server.Literal(t.database)+" AND REFERENCED_TABLE_NAME="+server.Literal(t.Name))
	if err != nil {
		return err
	}
	if string(row[0]) != "0" {
		if err := i.to.Exec(ctx, "DROP TABLE "+t.name()); err != nil {
			return err
		}
		return i.to.Exec(ctx, "RENAME TABLE "+t.other()+" TO "+t.name())
	}
	old := server.Quote(t.database) + "." + server.Quote(strings.Replace(t.interim, "import", "old", 1))
	for _, s := range []string{"DROP TABLE IF EXISTS " + old, "RENAME TABLE " + t.name() + " TO " + old + ", " + t.other() + " TO " + t.name(), "DROP TABLE " + old} {
		if err := i.to.Exec(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// complete adds foreign keys and triggers, for which the table has to have its name.
func (i *Import) complete(ctx context.Context, t *table) error {
	for _, s := range t.foreign {
		if err := i.to.Exec(ctx, s); err != nil {
			return fmt.Errorf("it is there, but a foreign key is not: %w", err)
		}
	}
	if len(t.foreign) > 0 {
		i.o.Warn(fmt.Sprintf("the foreign keys of %s were not compared with the tables that they refer to, which may be of another time", t.name()))
	}
	if err := i.triggers(ctx, t); err != nil {
		return fmt.Errorf("it is there, but a trigger is not: %w", err)
	}
	return nil
}

func (i *Import) triggers(ctx context.Context, t *table) error {
	rows, err := i.from.Rows(ctx, "SHOW TRIGGERS FROM "+server.Quote(t.Database)+" WHERE `Table`="+server.Literal(t.Name))
	if err != nil {
		return err
	}
	for _, r := range rows {
		shown, err := i.from.Rows(ctx, "SHOW CREATE TRIGGER "+server.Quote(t.Database)+"."+server.Quote(r["Trigger"]))
		if err != nil || len(shown) != 1 {
			return errors.Join(err, fmt.Errorf("trigger %q is not shown", r["Trigger"]))
		}
		s := shown[0]
		e := schema.Environment{SQLMode: s["sql_mode"], CharacterSetClient: s["character_set_client"], CollationConnection: s["collation_connection"]}
		statements := append(e.Settings(), string(ddl.TriggerOnly([]byte(s["SQL Original Statement"]), t.Database)), "SET SESSION sql_mode=''", "SET NAMES utf8mb4")
		for _, statement := range statements {
			if err := i.to.Exec(ctx, statement); err != nil {
				return err
			}
		}
	}
	return nil
}

func ownerOf(info os.FileInfo) (uid, gid int) {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid), int(s.Gid)
	}
	return os.Geteuid(), os.Getegid()
}
