// Package crashsafe asks a server whether its files are worth something by themselves, as they are at any one moment: as after a loss of power, which InnoDB recovers from.
//
// The invariant: what the server does not say is a fault. That its files are all on what is saved together the caller has to see, as only that knows devices.
//
// The package changes nothing.
package crashsafe

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"nightjar/mysqldump"
	"nightjar/mysqldump/server"
)

// A Folder is where a server has files that belong together.
type Folder struct {
	Variable string // that names it
	Path     string // absolute, as the server sees it
}

// A Report says what a server answered.
type Report struct {
	Faults  []string // why its files are not enough, in words; empty: they are, if they are of one moment
	Folders []Folder // where they are
	// Log is the file that the binary log is written to now, and Written how much of it was at the time; empty: it writes none. Who sees no such file is not on its machine.
	Log     string
	Written uint64
	UUID    mysqldump.UUID // of a server of MySQL, in auto.cnf of its data directory
}

const maxTables = 10 // that are named

// wanted are settings with which a commit is on the disk when it is answered, and pages are written whole.
var wanted = []struct {
	name   string
	values []string
	why    string
}{
	{"innodb_flush_log_at_trx_commit", []string{"1"}, "commits of the last second may be missing"},
	{"sync_binlog", []string{"1"}, "the binary log may lack what was committed"},
	{"innodb_doublewrite", []string{"ON", "1", "DETECT_AND_RECOVER"}, "pages that were half written cannot be mended"},
}

// folders are the variables that name folders, or files in them, below the data directory if not absolute.
var folders = []string{"innodb_data_home_dir", "innodb_log_group_home_dir", "innodb_undo_directory", "innodb_doublewrite_dir", "innodb_directories", "aria_log_dir_path", "log_bin_basename", "log_bin_index", "relay_log_basename", "relay_log_index"}

// Ask asks a server. It has to be the one that wrote the files.
func Ask(ctx context.Context, c *server.Session) (r Report, err error) {
	variables := map[string]string{}
	if err := c.Texts(ctx, "SHOW GLOBAL VARIABLES", func(row []string) error {
		variables[strings.ToLower(row[0])] = row[1]
		return nil
	}); err != nil {
		return r, fmt.Errorf("ask whether files survive a loss of power: %w", err)
	}
	logs := variables["log_bin"] == "ON" || variables["log_bin"] == "1"
	for _, w := range wanted {
		value, said := variables[w.name]
		if w.name == "sync_binlog" && !logs {
			continue
		}
		if !said || !slices.Contains(w.values, strings.ToUpper(value)) {
			r.Faults = append(r.Faults, fmt.Sprintf("%s is %q: %s", w.name, value, w.why))
		}
	}
	data := variables["datadir"]
	if !filepath.IsAbs(data) {
		return r, fmt.Errorf("ask whether files survive a loss of power: datadir is %.200q", data)
	}
	r.Folders = foldersOf(variables, data)
	if err := r.tables(ctx, c); err != nil {
		return r, fmt.Errorf("ask whether files survive a loss of power: %w", err)
	}
	identity, err := c.Identity(ctx)
	if err != nil {
		return r, err
	}
	r.UUID = identity.ServerUUID
	if logs {
		position, err := c.Position(ctx)
		if err != nil {
			return r, err
		}
		if base := variables["log_bin_basename"]; base != "" && position.File != "" {
			r.Log, r.Written = filepath.Join(data, position.File), position.Offset
			if filepath.IsAbs(base) {
				r.Log = filepath.Join(filepath.Dir(base), position.File)
			}
		}
	}
	return r, nil
}

func foldersOf(variables map[string]string, data string) []Folder {
	all := []Folder{{"datadir", data}}
	add := func(name, path string) {
		if path = strings.TrimSpace(path); path == "" {
			return
		}
		if !filepath.IsAbs(path) {
			path = filepath.Join(data, path)
		}
		all = append(all, Folder{name, path})
	}
	for _, name := range folders {
		for _, path := range strings.Split(variables[name], ";") {
			if strings.HasSuffix(name, "_basename") || strings.HasSuffix(name, "_index") {
				path = strings.TrimSuffix(filepath.Dir(path), ".")
			}
			add(name, path)
		}
	}
	home := variables["innodb_data_home_dir"]
	const files = "innodb_data_file_path"                       // what temporary tables are in is made anew at each start
	for _, file := range strings.Split(variables[files], ";") { // ibdata1:12M:autoextend
		path, _, _ := strings.Cut(file, ":")
		if dir := filepath.Dir(path); path != "" && dir != "." {
			add(files, filepath.Join(home, dir))
		}
	}
	return all
}

// tables looks for rows that no recovery brings back, and for tables outside of the data directory.
func (r *Report) tables(ctx context.Context, c *server.Session) error {
	// MySQL has numbers of rows from a cache of a day otherwise; others know no such variable.
	if err := c.Exec(ctx, "SET SESSION information_schema_stats_expiry=0"); err != nil && server.Number(err) != 1193 {
		return err
	}
	var names []string
	err := c.Texts(ctx, "SELECT TABLE_SCHEMA, TABLE_NAME, COALESCE(ENGINE,'broken') FROM information_schema.TABLES WHERE TABLE_TYPE='BASE TABLE' AND UPPER(COALESCE(ENGINE,'broken')) NOT IN ('INNODB','MEMORY','BLACKHOLE','PERFORMANCE_SCHEMA','FEDERATED','SEQUENCE') "+
		"AND COALESCE(TABLE_ROWS,1)<>0 AND TABLE_SCHEMA NOT IN ('mysql','information_schema','performance_schema','sys') ORDER BY 1, 2", func(row []string) error {
		names = append(names, fmt.Sprintf("%s.%s (%s)", row[0], row[1], row[2]))
		return nil
	})
	if err != nil {
		return err
	}
	if len(names) > 0 {
		more := ""
		if len(names) > maxTables {
			more = fmt.Sprintf(" and %d more", len(names)-maxTables)
		}
		r.Faults = append(r.Faults, fmt.Sprintf("tables with rows are not of InnoDB: %s%s", strings.Join(names[:min(len(names), maxTables)], ", "), more))
	}
	for _, table := range []string{"INNODB_DATAFILES", "INNODB_SYS_DATAFILES"} {
		err = c.Texts(ctx, "SELECT DISTINCT PATH FROM information_schema."+table, func(row []string) error {
			dir := filepath.Dir(row[0])
			if filepath.IsAbs(dir) && !slices.Contains(r.Folders, Folder{"DATA DIRECTORY", dir}) {
				r.Folders = append(r.Folders, Folder{"DATA DIRECTORY", dir})
			}
			return nil
		})
		if err == nil || server.Number(err) != 1109 && server.Number(err) != 1146 { // no such table
			return err
		}
	}
	// A server that lists no files has the paths in its list of table spaces.
	return c.Texts(ctx, "SELECT DISTINCT FILE_NAME FROM information_schema.FILES WHERE FILE_NAME LIKE '/%'", func(row []string) error {
		r.Folders = append(r.Folders, Folder{"DATA DIRECTORY", filepath.Dir(row[0])})
		return nil
	})
}
