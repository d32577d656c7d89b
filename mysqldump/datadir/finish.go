package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nightjar/internal/durable"
)

// Finished says what became of a data directory.
type Finished struct {
	// Settings are options that the server's option file has to have, as it cannot use the files without: innodb_page_size=8192.
	Settings []string
	// Notes tell of what was changed that people should know of.
	Notes []string
}

// usual are the settings that servers have of themselves.
var usual = map[string]string{"innodb_page_size": "16384", "innodb_data_file_path": "ibdata1:12M:autoextend", "lower_case_table_names": "0"}

// ofTool are files that only the tool reads.
var ofTool = []string{SettingsFile, FoldersFile, "xtrabackup_logfile", "xtrabackup_checkpoints", "xtrabackup_info", "xtrabackup_binlog_info", "xtrabackup_binlog_pos_innodb",
	"mariadb_backup_checkpoints", "mariadb_backup_info", "mariadb_backup_binlog_info", "mariadb_backup_binlog_pos_innodb", "xtrabackup_slave_info", "mariadb_backup_slave_info",
	"xtrabackup_galera_info", "mariadb_backup_galera_info", "xtrabackup_tablespaces"}

// Finish makes the folder one that its server can be started on: without the identity of the server that it comes from, with paths that stay
// in it, owned by o. Then it is no longer ours.
func (d *Dir) Finish(o Owner) (Finished, error) {
	f, err := d.finish(o)
	if err != nil {
		return f, fmt.Errorf("finish data directory %q: %w", d.path, err)
	}
	return f, nil
}

func (d *Dir) finish(o Owner) (f Finished, err error) {
	set, err := settings(d.root)
	if err != nil {
		return f, err
	}
	for _, name := range []string{"innodb_page_size", "innodb_data_file_path", "lower_case_table_names"} {
		if value, ok := set[name]; ok && value != usual[name] {
			f.Settings = append(f.Settings, name+"="+value)
		}
	}
	names, err := d.names()
	if err != nil {
		return f, err
	}
	if err := d.relink(names, &f); err != nil {
		return f, err
	}
	if err := d.own(o, &f); err != nil {
		return f, err
	}
	// What the settings are read from goes last, so that who is killed here finds them again.
	for _, name := range append(ofTool[1:len(ofTool):len(ofTool)], "auto.cnf", ofTool[0]) {
		if err := d.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
	}
	if err := unix.Syncfs(int(d.self.Fd())); err != nil {
		return f, err
	}
	if err := d.root.Remove(Mark); err != nil {
		return f, err
	}
	return f, durable.Sync(d.self)
}

// own gives all that is in the folder, and the folder, to its owner, and removes what no server should find.
func (d *Dir) own(o Owner, f *Finished) error {
	err := d.walk(func(name string, e fs.DirEntry) error {
		base := path.Base(name)
		switch {
		case name == Mark:
			return nil
		case strings.HasPrefix(base, leftover), strings.HasPrefix(base, durable.TempPrefix):
			return d.root.RemoveAll(name)
		case strings.HasSuffix(base, ".isl"): // where the source had the file of a table: here it is in its place
			f.Notes = append(f.Notes, fmt.Sprintf("the file of table %s was elsewhere at the source: now it is in the data directory", strings.TrimSuffix(name, ".isl")))
			return d.root.Remove(name)
		}
		mode := fs.FileMode(0o660)
		if e.IsDir() {
			mode = 0o700
		}
		if err := d.root.Chmod(name, mode); err != nil {
			return err
		}
		return d.give(name, o)
	})
	if err != nil {
		return err
	}
	return d.give(".", o)
}

func (d *Dir) give(name string, o Owner) error {
	if os.Geteuid() != 0 {
		return nil // all is ours
	}
	return d.root.Lchown(name, o.UID, o.GID)
}

// relink rewrites paths in the lists of binary and relay logs, and in what replicas note, to this folder.
func (d *Dir) relink(names []string, f *Finished) error {
	for _, name := range names {
		index := strings.HasSuffix(name, ".index")
		if !index && !(strings.HasSuffix(name, ".info") && (strings.HasPrefix(name, "relay-log") || strings.HasPrefix(name, "master"))) {
			continue
		}
		text, err := readText(d.root, name)
		if err != nil {
			return err
		}
		to, err := relinked(text, "./", index, func(base string) bool { return slices.Contains(names, base) })
		switch {
		case err != nil:
			return fmt.Errorf("rewrite %s: %w", name, err)
		case to == text:
			continue
		case to == "":
			f.Notes = append(f.Notes, fmt.Sprintf("%s is removed: none of the logs that it names is in the backup, and the server begins new ones", name))
			err = d.root.Remove(name)
		default:
			f.Notes = append(f.Notes, fmt.Sprintf("%s named logs by other paths: now it names those in the data directory", name))
			err = durable.WriteFile(path.Join(d.path, name), []byte(to), 0o660)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// relinked returns the text of a list of logs, or of the notes of a replica, with paths to logs that are here, in a folder that ends in a slash. A path to one
// that is not leads elsewhere, which is an error; but a list of which none is here is empty.
func relinked(text, folder string, index bool, here func(base string) bool) (string, error) {
	var lines []string
	var outside error
	found := 0
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch base := path.Base(line); {
		case line == "" || !index && !strings.Contains(line, "/"):
			lines = append(lines, line)
		case here(base) && (folder != "./" || !climbs(line)):
			found++
			lines = append(lines, folder+base)
		case outside == nil:
			outside = fmt.Errorf("%w: it names %.200q, which is not in the data directory", ErrUnsafe, line)
		}
	}
	switch {
	case found == 0 && index:
		return "", nil
	case outside != nil:
		return "", outside
	}
	if len(lines) == 0 {
		return "", nil
	}
	return strings.Join(lines, "\n") + "\n", nil
}

// climbs reports whether a relative path leads out of its folder.
func climbs(p string) bool { return !path.IsAbs(p) && strings.HasPrefix(path.Clean(p), "..") }
