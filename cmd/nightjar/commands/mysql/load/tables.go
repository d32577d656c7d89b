package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"nightjar/backup/browse"
	"nightjar/backup/filter"
	backuprestore "nightjar/backup/restore"
	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/dumpfiles"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/cmd/nightjar/internal/show/databases"
	"nightjar/cmd/nightjar/internal/thawing"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/quote"
	"nightjar/internal/watch"
	"nightjar/mysqldump/choose"
	"nightjar/mysqldump/datadir"
	"nightjar/mysqldump/restore"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/tablespace"
	"nightjar/repo/tree"
)

var existingTables = map[restore.Existing]tablespace.Existing{
	restore.Refuse: tablespace.Refuse, restore.Missing: tablespace.Missing, restore.IfChanged: tablespace.IfChanged, restore.Replace: tablespace.Replace,
}

// A tablesBack says what became of tables of a hot backup.
type tablesBack struct {
	restored, left []string
	bytes          uint64 // fetched
}

// restoreTables brings tables of a hot backup into a running server.
func restoreTables(ctx context.Context, a *app.App, r *Flags, args []string) error {
	if len(args) < 2 {
		return usage.Errorf("name the tables that are to come back out of a hot backup; all of it goes into an empty folder, with --datadir DIR")
	}
	if err := r.Check(args[1:]); err != nil {
		return err
	}
	chosen, err := selectionOf(args[1:]).Tester()
	if err != nil {
		return usage.Error{Err: err}
	}
	srv, err := r.Server.Server(ctx, &a.Settings)
	if err != nil {
		return err
	}
	to, err := srv.Connect(ctx) // before anything long begins
	if err != nil {
		return err
	}
	defer to.Close()
	x, err := OpenSeed(ctx, a, &r.Datadir, args[0], &r.Choice)
	if err != nil {
		return err
	}
	defer x.Close()
	if x.clone {
		return errors.New("tables of a clone are not brought back one by one: make a data directory of it with --datadir, and dump them there")
	}
	begin := a.Now()
	back, err := bringTables(ctx, a, x, to, r, chosen)
	if err != nil {
		if errors.Is(err, tablespace.ErrExists) {
			return usage.Hinted{Err: err, Hint: "nothing was changed. --rename OLD=NEW restores beside it, into another database; --existing replace puts it in the place of what is there, after it was checked; there are if-changed and missing, too"}
		}
		return err
	}
	if err := reportTables(a, x, srv, back, a.Now().Sub(begin)); err != nil {
		return err
	}
	if n := a.Problems.Load(); n > 0 {
		return usage.Hinted{Err: outcome.Problems{What: fmt.Sprintf("not all tables were brought back: problems: %d", n), Damaged: a.Damaged.Load()},
			Hint: "tables of other engines, and partitioned ones, come back with all of the backup: --datadir DIR makes a data directory of it, from which a dump brings them"}
	}
	return nil
}

func selectionOf(names []string) (s choose.Selection) {
	for _, name := range names {
		if choose.Dotted(name) {
			s.Tables = append(s.Tables, name)
		} else {
			s.Databases = append(s.Databases, name)
		}
	}
	return s
}

// bringTables fetches what the chosen tables need, and has the server take their files.
func bringTables(ctx context.Context, a *app.App, x *Seed, to *server.Session, r *Flags, chosen func(database, table string) bool) (back tablesBack, err error) {
	tables, files, err := tablesOf(ctx, a, x, chosen)
	if err != nil {
		return back, err
	}
	o := tablespace.Options{Existing: existingTables[r.Options.Existing], Rename: r.Options.Rename, Warn: func(text string) { a.Note("%s", text) }}
	scratch, remove, err := x.Temp.MkdirTemp("tables-*")
	if err != nil {
		return back, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	first, err := tablespace.Open(ctx, nil, to, scratch, o)
	if err != nil {
		return back, err
	}
	for i := range tables {
		if err := first.Allowed(ctx, &tables[i]); err != nil {
			return back, err
		}
	}
	if back.bytes, err = fetchFiles(ctx, a, x, scratch, files, &r.Thaw); err != nil {
		return back, err
	}
	if err := datadir.PrepareScratch(ctx, scratch, datadir.PrepareOptions{Tool: x.tool, Temp: x.Temp, Memory: x.memory}); err != nil {
		return back, err
	}
	private, err := datadir.Start(ctx, scratch, datadir.StartOptions{Tool: x.tool, Temp: x.Temp, Owner: datadir.Owner{UID: os.Geteuid(), GID: os.Getegid()}, Now: a.Now})
	if err != nil {
		return back, err
	}
	defer func() { err = errors.Join(err, private.Stop()) }()
	from, err := private.Connect(ctx)
	if err != nil {
		return back, err
	}
	defer from.Close()
	o.Warn = nil // it was told
	taking, err := tablespace.Open(ctx, from, to, scratch, o)
	if err != nil {
		return back, err
	}
	for i := range tables {
		done, err := taking.Table(ctx, &tables[i])
		switch {
		case ctx.Err() != nil:
			return back, ctx.Err()
		case err != nil:
			a.Problem(tables[i].String(), err)
		case done:
			back.restored = append(back.restored, tables[i].String())
		default:
			back.left = append(back.left, tables[i].String())
		}
	}
	return back, nil
}

// tablesOf returns the chosen tables of a hot backup that can be brought back, and the files that it takes. It tells of those that cannot.
func tablesOf(ctx context.Context, a *app.App, x *Seed, chosen func(database, table string) bool) (tables []tablespace.Table, files []string, err error) {
	var names []string
	err = browse.List(ctx, x.Reader, x.Archive, dumpfiles.Folder, true, func(at string, n *tree.Node) error {
		if n.IsRegular() {
			names = append(names, strings.TrimPrefix(strings.TrimPrefix(at, "/"), dumpfiles.Folder+"/"))
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	found := 0
	for _, t := range tablespace.Tables(names) {
		switch {
		case !chosen(t.Database, t.Name):
			continue
		case t.Why != "":
			a.Problem(t.String(), errors.New(t.Why))
		default:
			tables, files = append(tables, t), append(files, t.Files...)
		}
		found++
	}
	if found == 0 {
		return nil, nil, usage.Hinted{Err: errors.New("the backup has no table of that name"), Hint: "nothing was changed. nightjar ls ARCHIVE:" + dumpfiles.Folder + " shows its files"}
	}
	for _, name := range names {
		if tablespace.Shared(name) {
			files = append(files, name)
		}
	}
	slices.Sort(files)
	return tables, slices.Compact(files), nil
}

// fetchFiles puts some of a hot backup's files into a folder.
func fetchFiles(ctx context.Context, a *app.App, x *Seed, to string, files []string, thaw *thawing.Flags) (bytes uint64, err error) {
	var include []string
	for _, name := range files {
		if strings.ContainsAny(name, `*?[]{}\`) { // which no server writes
			return 0, fmt.Errorf("fetch %q: it is no file of a server's", name)
		}
		include = append(include, "/"+dumpfiles.Folder+"/"+name)
	}
	only, err := filter.New(filter.Options{Include: include})
	if err != nil {
		return 0, err
	}
	o := backuprestore.Options{Path: dumpfiles.Folder, Target: to, Overwrite: backuprestore.Always, Filter: only, Progress: new(watch.Progress), Problem: a.Problem, Warn: a.Warn}
	need := func(add func(string, int64)) error { return backuprestore.Needs(ctx, x.Reader, x.Archive, o, add) }
	if err := thawing.Ask(ctx, a, x.Session, thaw, need); err != nil {
		return 0, err
	}
	sums, err := backuprestore.Run(ctx, x.Reader, x.Archive, o)
	if err == nil && (sums.Problems > 0 || sums.Files != uint64(len(files))) {
		err = outcome.Problems{What: fmt.Sprintf("nothing was changed: of %d files that the tables need, %d could be fetched", len(files), sums.Files), Damaged: a.Damaged.Load()}
		if !a.Damaged.Load() {
			err = errors.New(err.Error())
		}
	}
	if err != nil {
		return 0, fmt.Errorf("fetch files into %s: %w", filepath.Dir(to), err)
	}
	return sums.Bytes, nil
}

func reportTables(a *app.App, x *Seed, srv *server.Server, back tablesBack, took time.Duration) error {
	if a.JSON {
		return a.PrintJSON(map[string]any{
			"archive": show.Archive(x.Archive), "server": srv.Address(), "restored": app.OrNone(back.restored), "left": app.OrNone(back.left),
			"position": x.Position.String(), "bytes_fetched": back.bytes, "problems": a.Problems.Load(), "took_ms": took.Milliseconds(), "requests": show.Requests(x.Requests()),
		})
	}
	if !a.Chatty() {
		return nil
	}
	return a.Print(func(w io.Writer) {
		fmt.Fprintf(w, "archive %s: tables brought into %s: %d, in %s; left as they are: %d\n", show.ShortID(x.Archive), quote.Display(srv.Address()), len(back.restored), took.Round(time.Millisecond), len(back.left))
		for _, name := range back.restored {
			fmt.Fprintf(w, "  %s, with the checksum that it had there, %s\n", quote.Display(name), databases.At(x.Position))
		}
	})
}
