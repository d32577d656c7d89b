package clone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nightjar/internal/human"
	"nightjar/mysqldump"
	"nightjar/mysqldump/datadir"
	"nightjar/mysqldump/server"
)

// A source is a server that is to be cloned, as it was before.
type source struct {
	identity server.Identity
	before   mysqldump.Position
	datadir  string
	basedir  string
	plugins  string // its plugin_dir
	messages string // its lc_messages_dir
	charsets string // its character_sets_dir
	settings map[string]string
	owner    datadir.Owner // of its files
	left     []Table
	bytes    uint64 // that its files take
}

// settings are what a server on the clone needs as the source has it.
var settings = []string{"innodb_page_size", "innodb_data_file_path", "lower_case_table_names"}

// look finds out all that would make a clone fail.
func look(ctx context.Context, c *server.Session, o Options) (*source, error) {
	src := &source{settings: map[string]string{}}
	err := c.Exec(ctx, fmt.Sprintf("SET SESSION lock_wait_timeout=%d", max(1, int64(o.LockWait/time.Second))))
	if err != nil {
		return nil, err
	}
	if src.identity, err = c.Identity(ctx); err != nil {
		return nil, err
	}
	row, err := c.Row(ctx, "SELECT COUNT(*) FROM information_schema.PLUGINS WHERE PLUGIN_NAME='clone' AND PLUGIN_STATUS='ACTIVE'")
	if err == nil && string(row[0]) == "0" {
		err = ErrNoPlugin
	}
	if err != nil {
		return nil, err
	}
	if src.before, err = c.Position(ctx); err != nil {
		return nil, err
	}
	rows, err := c.Rows(ctx, "SELECT @@GLOBAL.datadir d, @@GLOBAL.basedir b, @@GLOBAL.plugin_dir p, @@GLOBAL.lc_messages_dir m, @@GLOBAL.character_sets_dir c, @@GLOBAL."+
		strings.Join(settings, ", @@GLOBAL."))
	if err != nil {
		return nil, err
	}
	src.datadir, src.basedir, src.plugins, src.messages, src.charsets = rows[0]["d"], rows[0]["b"], rows[0]["p"], rows[0]["m"], rows[0]["c"]
	for _, name := range settings {
		src.settings[name] = rows[0]["@@GLOBAL."+name]
	}
	for _, step := range []func(context.Context, *server.Session) error{src.isHere, src.files, src.engines} {
		if err := step(ctx, c); err != nil {
			return nil, err
		}
	}
	if broken := src.withRows(); len(broken) > 0 && !o.BrokenSkip {
		return nil, enginesError(broken)
	}
	return src, nil
}

var uuidLine = regexp.MustCompile(`(?m)^server[-_]uuid\s*=\s*(\S+)\s*$`)

// isHere proves that the server's data directory is on this machine, under the name that the server has for it.
func (src *source) isHere(_ context.Context, _ *server.Session) error {
	f, err := os.Open(filepath.Join(src.datadir, "auto.cnf"))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: there is no %s/auto.cnf", ErrElsewhere, strings.TrimSuffix(src.datadir, "/"))
	} else if err != nil {
		return fmt.Errorf("see whether the server's files are here, which root may and the server's own user: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 1<<16))
	if err != nil {
		return err
	}
	if found := uuidLine.FindSubmatch(text); found == nil || !strings.EqualFold(string(found[1]), src.identity.ServerUUID.String()) {
		return fmt.Errorf("%w: %s is of another server", ErrElsewhere, f.Name())
	}
	var info unix.Stat_t
	if err := unix.Stat(src.datadir, &info); err != nil {
		return &fs.PathError{Op: "stat", Path: src.datadir, Err: err}
	}
	src.owner = datadir.Owner{UID: int(info.Uid), GID: int(info.Gid)}
	if me := os.Geteuid(); me != 0 && me != src.owner.UID {
		return fmt.Errorf("%w: only root, and the server's own user, may read the clone", fs.ErrPermission)
	}
	return nil
}

// files sums up what InnoDB's files take, and refuses those that the server would clone onto themselves.
func (src *source) files(ctx context.Context, c *server.Session) error {
	var outside []string
	add := func(name string) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(src.datadir, name)
		}
		var info unix.Stat_t
		if err := unix.Stat(name, &info); err == nil { // one that is gone by now takes nothing
			src.bytes += uint64(info.Blocks) * 512
		}
	}
	add("mysql.ibd")                                                                                       // which is not listed
	err := c.Query(ctx, "SELECT PATH FROM information_schema.INNODB_DATAFILES", func(row [][]byte) error { // FILES would wait for DDL
		name := string(row[0])
		if filepath.IsAbs(name) && strings.HasSuffix(name, ".ibd") {
			outside = append(outside, name)
		}
		add(name)
		return nil
	})
	if err == nil && len(outside) > 0 {
		err = fmt.Errorf("%w: %s", ErrOutside, some(outside))
	}
	return err
}

// own are the server's databases. Tables in them that are not InnoDB's are logs.
const own = "('mysql', 'sys', 'performance_schema', 'information_schema')"

func (src *source) engines(ctx context.Context, c *server.Session) (err error) {
	src.left, err = otherEngines(ctx, c)
	return err
}

// otherEngines returns the tables that are not InnoDB's.
func otherEngines(ctx context.Context, c *server.Session) (found []Table, err error) {
	rowless := []string{"MEMORY", "BLACKHOLE", "FEDERATED", "MRG_MYISAM"}
	err = c.Query(ctx, "SELECT TABLE_SCHEMA, TABLE_NAME, ENGINE FROM information_schema.TABLES WHERE TABLE_TYPE='BASE TABLE' AND ENGINE<>'InnoDB' AND TABLE_SCHEMA NOT IN "+own+" ORDER BY 1, 2",
		func(row [][]byte) error {
			t := Table{Schema: string(row[0]), Name: string(row[1]), Engine: string(row[2])}
			t.Rows = !slices.Contains(rowless, strings.ToUpper(t.Engine))
			found = append(found, t)
			return nil
		})
	return found, err
}

// withRows returns the tables whose rows are missing.
func (src *source) withRows() (broken []Table) {
	return slices.DeleteFunc(slices.Clone(src.left), func(t Table) bool { return !t.Rows })
}

func enginesError(broken []Table) error {
	var names []string
	for _, t := range broken {
		names = append(names, t.String())
	}
	return fmt.Errorf("%w, not those of %s", ErrEngines, some(names))
}

// some joins names, of many the first.
func some(names []string) string {
	const most = 10
	if more := len(names) - most; more > 0 {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(names, ", ")
}

// spare is what a clone takes beside the server's files: log, and what a server makes of itself when it is started.
const spare = 128 << 20

// fits returns an error that wraps ErrSpace if the clone does not fit in where it is to be.
func (src *source) fits(at string) error {
	var s unix.Statfs_t
	dir := filepath.Dir(at)
	if err := unix.Statfs(dir, &s); err != nil {
		return &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	if free := s.Bavail * uint64(s.Bsize); free < src.bytes+spare {
		return fmt.Errorf("%w: it takes %s, and %s are free in %s", ErrSpace, human.Size(src.bytes+spare), human.Size(free), filepath.Dir(dir))
	}
	return nil
}
