package clone

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"nightjar/mysqldump"
	"nightjar/mysqldump/datadir"
	"nightjar/mysqldump/lock"
	"nightjar/mysqldump/server"
)

// note writes into the clone what it lacks: settings that a server on it needs, and names of folders, of which a Tree has only
// those with files in them.
func (f *folder) note(src *source) error {
	root, err := os.OpenRoot(f.path)
	if err != nil {
		return err
	}
	defer root.Close()
	text := "[mysqld]\n"
	for _, name := range settings {
		text += name + "=" + src.settings[name] + "\n"
	}
	var folders strings.Builder
	err = walk(root, func(name string, e fs.DirEntry) error {
		if e.IsDir() {
			folders.WriteString(name + "\n")
		}
		return nil
	})
	if err != nil {
		return err
	}
	for name, text := range map[string]string{datadir.SettingsFile: text, datadir.FoldersFile: folders.String()} {
		if err := root.WriteFile(name, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// prove starts a private server on the clone, which changes its files, and reads what it has recovered.
func (src *source) prove(ctx context.Context, dir string, after mysqldump.Position, o Options, r *Result) error {
	p, err := datadir.Start(ctx, dir, datadir.StartOptions{
		Program: src.program(o), Temp: o.Temp, Owner: src.owner, Now: o.Now,
		Flags: append([]string{
			"--basedir=" + src.basedir, "--lc-messages-dir=" + src.messages, "--character-sets-dir=" + src.charsets, "--plugin-dir=" + src.plugins,
			"--innodb-doublewrite=OFF", "--innodb-flush-log-at-trx-commit=0",
		}, Flags...),
	})
	if err != nil {
		return err
	}
	c, err := p.Connect(ctx)
	if err == nil {
		err = src.read(ctx, c, after, o, r)
		c.Close()
	}
	return errors.Join(err, p.Stop())
}

// program is that of the server.
func (src *source) program(o Options) string { return cmp.Or(o.Program, Program(src.basedir)) }

// Program returns the path of the server's program below a basedir, such as /usr; "mysqld" if it is not there.
func Program(basedir string) string {
	for _, dir := range []string{"sbin", "bin", "libexec"} {
		program := filepath.Join(basedir, dir, "mysqld")
		if info, err := os.Stat(program); err == nil && info.Mode().IsRegular() {
			return program
		}
	}
	return "mysqld"
}

// Flags are what a private server on a clone needs, beside what all have, to say what it recovered, and what keeps it small.
var Flags = []string{
	"--plugin-load-add=mysql_clone.so", "--performance-schema=ON", "--mysqlx=OFF", "--upgrade=NONE", "--table-open-cache=200",
	"--performance-schema-max-thread-instances=200", "--auto-generate-certs=OFF", "--caching-sha2-password-auto-generate-rsa-keys=OFF",
	"--loose-sha256-password-auto-generate-rsa-keys=OFF",
}

// read reads what a private server on the clone has recovered.
func (src *source) read(ctx context.Context, c *server.Session, after mysqldump.Position, o Options, r *Result) error {
	p, err := Recovered(ctx, c)
	if err != nil {
		return err
	}
	id := src.identity
	p.ServerID, p.ServerUUID, p.Flavor, p.Version, p.Time = id.ServerID, id.ServerUUID, id.Flavor, id.Version, after.Time
	if id.GTIDMode != "ON" {
		p.GTIDs = mysqldump.GTIDSet{} // some transactions have none
	}
	if err := p.Check(); err != nil {
		return fmt.Errorf("read the position of the clone: %w", err)
	}
	if err := within(src.before, p, after); err != nil {
		return err
	}
	r.Position = p
	if r.Sources, err = sources(ctx, c, p, o.Warn); err != nil {
		return err
	}
	missing, err := otherEngines(ctx, c) // of all, whether the account may see them or not
	if err != nil {
		return err
	}
	src.left = slices.DeleteFunc(missing, func(t Table) bool { return slices.Contains(src.left, t) })
	r.Left = append(r.Left, src.left...)
	if broken := src.withRows(); len(broken) > 0 && !o.BrokenSkip {
		return enginesError(broken)
	}
	return nil
}

// Recovered reads the position that a server recovered from the clone that it was started on: file, offset and GTIDs, and nothing
// of the server that was cloned.
func Recovered(ctx context.Context, c *server.Session) (p mysqldump.Position, err error) {
	row, err := c.Row(ctx, "SELECT STATE, ERROR_NO, BINLOG_FILE, BINLOG_POSITION, GTID_EXECUTED, @@GLOBAL.gtid_executed FROM performance_schema.clone_status")
	if errors.Is(err, server.ErrNoRow) {
		err = errors.New("the server was not started on a clone")
	}
	if err == nil && (string(row[0]) != "Completed" || string(row[1]) != "0") {
		err = fmt.Errorf("the clone is in state %q, error %s", row[0], row[1])
	}
	if err == nil {
		p.File = path.Base(string(row[2]))
		p.Offset, err = strconv.ParseUint(string(row[3]), 10, 64)
	}
	if err == nil {
		p.GTIDs, err = mysqldump.ParseGTIDSet(string(row[4]))
	}
	if err != nil {
		return p, fmt.Errorf("read the position of the clone: %w", err)
	}
	executed, err := mysqldump.ParseGTIDSet(string(row[5]))
	if err == nil && !executed.Equal(p.GTIDs) && !(executed.IsZero() && p.GTIDs.IsZero()) {
		err = fmt.Errorf("it says %s, and the server has executed %s", p.GTIDs, executed)
	}
	if err != nil {
		return p, fmt.Errorf("read the GTIDs of the clone: %w", err)
	}
	return p, nil
}

// Recover has a private server recover the files of a clone that are in a data directory, and forget whom it replicated from: the
// clone of a replica would go on with that at its first start. It is an error that wraps datadir.ErrPosition if they are not at the
// position that they are said to be at.
func Recover(ctx context.Context, d *datadir.Dir, said mysqldump.Position, o datadir.StartOptions) error {
	o.Flags = append(o.Flags[:len(o.Flags):len(o.Flags)], Flags...)
	return d.Recover(ctx, o, func(ctx context.Context, c *server.Session) error {
		p, err := Recovered(ctx, c)
		if err != nil {
			return err
		}
		if p.File != said.File || p.Offset != said.Offset || !said.GTIDs.IsZero() && !p.GTIDs.Equal(said.GTIDs) {
			return fmt.Errorf("%w: %s, and %s", datadir.ErrPosition, p, said)
		}
		return Forget(ctx, c)
	})
}

// Forget has a server of MySQL forget whom it replicated from.
func Forget(ctx context.Context, c *server.Session) error {
	const known, syntax = "SELECT COUNT(*) FROM mysql.slave_master_info", 1064
	row, err := c.Row(ctx, known)
	if err == nil && string(row[0]) != "0" {
		if err = c.Exec(ctx, "RESET REPLICA ALL"); server.Number(err) == syntax {
			err = c.Exec(ctx, "RESET SLAVE ALL") // as older servers say it
		}
		if err == nil {
			row, err = c.Row(ctx, known)
		}
		if err == nil && string(row[0]) != "0" {
			err = fmt.Errorf("channels that are left: %s", row[0])
		}
	}
	if err != nil {
		return fmt.Errorf("have the server forget whom it replicated from: %w", err)
	}
	return nil
}

// within returns an error unless a position lies between two.
func within(before, p, after mysqldump.Position) error {
	a, err1 := before.CompareFiles(p)
	b, err2 := p.CompareFiles(after)
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("compare the clone's position with those before and after it: %w", err)
	}
	if a > 0 || b > 0 || !p.GTIDs.IsZero() && (!p.GTIDs.Contains(before.GTIDs) || !after.GTIDs.Contains(p.GTIDs)) {
		return fmt.Errorf("the clone says to be at %s, which is not between %s before and %s after it", p, before, after)
	}
	return nil
}

// sources reads whom the server replicates from, and how much of that the clone has. A server commits that with what it executes.
// Of several threads that is not one place in a file, but GTIDs say it all the same.
func sources(ctx context.Context, c *server.Session, p mysqldump.Position, warn func(error)) (all []lock.Source, err error) {
	err = c.Query(ctx, "SELECT m.Channel_name, m.Host, m.Port, m.Uuid, r.Master_log_name, r.Master_log_pos, r.Number_of_workers"+
		" FROM mysql.slave_master_info m JOIN mysql.slave_relay_log_info r USING (Channel_name) ORDER BY 1", func(row [][]byte) error {
		s := lock.Source{Channel: string(row[0]), Host: string(row[1])}
		port, err1 := strconv.ParseUint(string(row[2]), 10, 16)
		offset, err2 := strconv.ParseUint(string(row[5]), 10, 64)
		s.Port = uint16(port)
		var err3 error
		if len(row[3]) > 0 {
			s.Position.ServerUUID, err3 = mysqldump.ParseUUID(string(row[3]))
		}
		if err := errors.Join(err1, err2, err3); err != nil {
			return err
		}
		switch {
		case s.Host == "" || strings.HasPrefix(s.Channel, "group_replication_"):
			return nil
		case !p.GTIDs.IsZero():
			s.Position.GTIDs = p.GTIDs
		case string(row[6]) == "0" && len(row[4]) > 0:
			s.Position.File, s.Position.Offset = path.Base(string(row[4])), offset
		default:
			warn(fmt.Errorf("channel %q: its threads are at several places of the source's log, so that no replica of the source can be made of this clone", s.Channel))
			return nil
		}
		all = append(all, s)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the sources of the server: %w", err)
	}
	return all, nil
}
