package drill

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"
	"golang.org/x/sys/unix"

	backuprestore "nightjar/backup/restore"
	"nightjar/cmd/nightjar/commands/mysql/load"
	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/choice"
	"nightjar/cmd/nightjar/internal/drilled"
	"nightjar/cmd/nightjar/internal/dumpfiles"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/progress"
	"nightjar/cmd/nightjar/internal/scratch"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/thawing"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/child"
	"nightjar/internal/quote"
	"nightjar/internal/tempdir"
	"nightjar/internal/watch"
	"nightjar/mysqldump"
	"nightjar/mysqldump/datadir"
	"nightjar/mysqldump/drill"
	"nightjar/mysqldump/replay"
	"nightjar/mysqldump/restore"
	"nightjar/mysqldump/script"
	"nightjar/mysqldump/server"
	"nightjar/repo"
)

// A databaseDrill is the drill of a dump or of a hot backup.
type databaseDrill struct {
	*choice.Opened
	x       *drilled.Drill
	d       *drillFlags
	folder  *scratch.Folder
	temp    tempdir.Dir // in the scratch folder
	owner   datadir.Owner
	label   mysqldump.Position
	program drill.Program
	more    []string // flags of the server
}

func (b *databaseDrill) data() string { return filepath.Join(b.folder.Path, "data") }

// drillDatabase restores a dump or a hot backup, and has a private server read it.
func drillDatabase(ctx context.Context, a *app.App, s *session.Session, rd *repo.Reader, d *drillFlags, x *drilled.Drill, folder *scratch.Folder) (err error) {
	b := &databaseDrill{Opened: &choice.Opened{Session: s, Archive: x.Archive, Reader: rd}, x: x, d: d, folder: folder}
	x.Full = true
	if b.label, err = dumpfiles.PositionOf(x.Archive); err != nil {
		return err
	}
	if b.label.IsZero() && d.until != "" {
		return dumpfiles.NoPosition(x.Archive, "replayed")
	}
	temp := filepath.Join(folder.Path, "temp")
	if err := os.Mkdir(temp, 0o711); err != nil {
		return err
	}
	if b.temp, err = tempdir.New(temp); err != nil {
		return err
	}
	b.owner = serverOwner(temp)
	for _, option := range d.options {
		b.more = append(b.more, "--"+option)
	}
	version := string(x.Archive.Labels["server-version"])
	b.program, err = drill.Find(ctx, drill.Need{
		MariaDB: b.label.Flavor == mysqldump.MariaDB || strings.Contains(version, "MariaDB"), Version: version, Files: x.Archive.Kind == dumpfiles.Hot, Program: d.mysqld,
	}, b.temp)
	if err != nil {
		return usage.Hinted{Err: err, Hint: fmt.Sprintf("nothing was fetched. Install the server of version %s on this machine, or name its program with --mysqld; it need not run", quote.Display(version))}
	}
	x.Server = b.program.Path + " " + b.program.Version
	if x.Archive.Kind == dumpfiles.Hot {
		err = drillHot(ctx, a, b)
	} else {
		err = drillDump(ctx, a, b)
	}
	if errors.Is(err, datadir.ErrPosition) {
		return outcome.Problems{What: err.Error(), Damaged: true}
	}
	if err != nil {
		return noRoom(err)
	}
	return verdict(x)
}

// serverOwner is as whom a private server runs: as root's, as user mysql if there is one who reaches the folder; else as who runs this.
func serverOwner(folder string) datadir.Owner {
	me := datadir.Owner{UID: os.Geteuid(), GID: os.Getegid()}
	o, err := datadir.FindOwner("mysql", folder)
	if err != nil || me.UID != 0 {
		return me
	}
	for dir := filepath.Dir(folder); ; dir = filepath.Dir(dir) {
		var s unix.Stat_t
		if unix.Stat(dir, &s) != nil || s.Mode&0o001 == 0 {
			return me
		}
		if dir == "/" {
			return o
		}
	}
}

// start starts a server, which counts as part of a recovery.
func (b *databaseDrill) start(ctx context.Context, a *app.App, accounts bool, login func(*mysql.Config)) (p *datadir.Private, err error) {
	begin := a.Now()
	p, err = b.program.Start(ctx, b.data(), accounts, b.more, datadir.StartOptions{Temp: b.temp, Owner: b.owner, Now: a.Now, Login: login})
	b.x.Took[drilled.Start] += a.Now().Sub(begin)
	return p, err
}

// drillHot makes a data directory of a hot backup, and starts a server on it.
func drillHot(ctx context.Context, a *app.App, b *databaseDrill) (err error) {
	f := load.DatadirFlags{Dir: b.data(), Owner: fmt.Sprintf("%d:%d", b.owner.UID, b.owner.GID), Tool: b.d.tool}
	seed := &load.Seed{Opened: b.Opened, Temp: b.temp}
	if b.Archive.Labels["method"] == "clone" {
		f.Tool = b.program.Path
	}
	if err := load.FindTool(ctx, a, seed, &f); err != nil {
		return err
	}
	const beside = 256 << 20 // a server's redo log and temporary tables
	if err := b.folder.Fits(b.x.Of + b.x.Of/10 + beside); err != nil {
		return err
	}
	begin := a.Now()
	m, err := load.MakeDatadir(ctx, a, seed, &f, &b.d.thaw, false)
	b.x.Took[drilled.Fetch] = m.Took[0]
	b.x.Took[drilled.Prepare] = a.Now().Sub(begin) - m.Took[0]
	b.x.Bytes, b.x.Figures["files"] = m.Sums.Bytes, m.Sums.Files
	if err != nil {
		var told usage.Hinted // it says how to go on in the folder, which is removed
		if errors.As(err, &told) {
			err = told.Err
		}
		return blame(ctx, a, b, err)
	}
	for _, setting := range m.Settings {
		b.more = append(b.more, "--"+setting)
	}
	p, err := b.start(ctx, a, false, nil)
	if err == nil && b.d.until != "" {
		login, failed := drill.Administrator(ctx, p)
		if err := errors.Join(failed, p.Stop()); err != nil {
			return err
		}
		p, err = b.start(ctx, a, true, login)
	}
	if err != nil {
		return blame(ctx, a, b, err)
	}
	defer func() { err = errors.Join(err, p.Stop()) }()
	b.x.Position = b.label.String()
	return replayAndCheck(ctx, a, b, p.Server, true)
}

// blame says whether what came back is to blame for a server, or a tool, that failed on it: it is, if the same server starts here on a data directory that is new.
func blame(ctx context.Context, a *app.App, b *databaseDrill, why error) error {
	var exit interface{ Sys() any }
	if ctx.Err() != nil || !errors.Is(why, child.ErrFailed) || !errors.As(why, &exit) {
		return why
	}
	if s, ok := exit.Sys().(syscall.WaitStatus); !ok || s.Signal() == syscall.SIGKILL || s.Signal() == syscall.SIGTERM { // by somebody, or for want of memory
		return why
	}
	dir := filepath.Join(b.folder.Path, "control")
	if err := b.program.Make(ctx, dir, b.more, b.owner, b.temp); err != nil {
		return why
	}
	p, err := b.program.Start(ctx, dir, true, b.more, datadir.StartOptions{Temp: b.temp, Owner: b.owner, Now: a.Now})
	if err != nil {
		return why
	}
	b.differs(fmt.Sprintf("what came back is of no use to a server, though one starts here on a new data directory: %v", why))
	return p.Stop()
}

// drillDump loads a dump into a new server, which compares each table's rows with the sums that the dump has.
func drillDump(ctx context.Context, a *app.App, b *databaseDrill) (err error) {
	source, err := dumpfiles.Open(ctx, b.Reader, b.Archive)
	if err != nil {
		return err
	}
	const empty = 512 << 20 // what a server takes before anything is in it
	b.x.Of = source.Bytes()
	if err := b.folder.Fits(2*source.Bytes() + empty); err != nil {
		return err
	}
	need := func(add func(string, int64)) error {
		return backuprestore.Needs(ctx, b.Reader, b.Archive, backuprestore.Options{Path: dumpfiles.Folder}, add)
	}
	if err := thawing.Ask(ctx, a, b.Session, &b.d.thaw, need); err != nil {
		return err
	}
	if err := saysPosition(source, b.label); err != nil {
		return err
	}
	begin := a.Now()
	if err := b.program.Make(ctx, b.data(), b.more, b.owner, b.temp); err != nil {
		return err
	}
	b.x.Took[drilled.Prepare] = a.Now().Sub(begin)
	p, err := b.start(ctx, a, true, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Stop()) }()
	if err := loadForDrill(ctx, a, b, p.Server, source); err != nil {
		return err
	}
	b.x.Position = b.label.String()
	return replayAndCheck(ctx, a, b, p.Server, false)
}

// loadForDrill loads a dump, and notes what differs.
func loadForDrill(ctx context.Context, a *app.App, b *databaseDrill, srv *server.Server, source *dumpfiles.Source) error {
	expected := new(atomic.Uint64)
	expected.Store(source.Bytes())
	from, err := dumpfiles.DumpedAt(b.Archive)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	o := restore.Options{
		From: from, Progress: new(watch.Progress), KeepEvents: true, Inside: true,
		Problem: func(object string, err error) {
			mu.Lock()
			defer mu.Unlock()
			b.differs(fmt.Sprintf("%s: %v", quote.Display(object), err))
		},
	}
	stop := a.Follow(progress.Saved(o.Progress, expected))
	begin := a.Now()
	result, err := restore.Run(ctx, srv, source, o)
	stop()
	b.x.Took[drilled.Load] = a.Now().Sub(begin)
	b.x.Bytes = result.Bytes
	b.x.Figures["rows"], b.x.Figures["tables_summed"] = result.Rows, uint64(result.Verified)
	for kind, n := range result.Done {
		b.x.Figures["restored_"+string(kind)] += uint64(n)
	}
	for _, difference := range result.Differences {
		b.differs(difference)
	}
	if errors.Is(err, restore.ErrDiffers) {
		return nil
	}
	return err
}

func (b *databaseDrill) differs(what string) {
	b.x.Different++
	b.x.Differences = append(b.x.Differences, what)
}

// saysPosition compares the position in the dump itself with the label of its archive.
func saysPosition(source *dumpfiles.Source, label mysqldump.Position) error {
	f, err := source.Open("00-about.dump.sql")
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if said, ok := strings.CutPrefix(lines.Text(), "-- position: "); ok {
			if said == script.NoPosition && label.IsZero() {
				return nil
			}
			if p, err := mysqldump.Parse(said); err != nil || p.String() != label.String() {
				return fmt.Errorf("%w: %s, and %s", datadir.ErrPosition, quote.Display(said), label)
			}
			return nil
		}
	}
	if err := lines.Err(); err != nil || label.IsZero() {
		return err
	}
	return fmt.Errorf("%w: the dump says none, and the label %s", datadir.ErrPosition, label)
}

// replayAndCheck replays the binary logs after the backup, if that was asked for, and has all tables checked.
func replayAndCheck(ctx context.Context, a *app.App, b *databaseDrill, srv *server.Server, extended bool) error {
	if b.d.until != "" {
		if err := replayForDrill(ctx, a, b, srv); err != nil {
			return err
		}
	}
	begin := a.Now()
	done, err := drill.Check(ctx, srv, extended)
	b.x.Took[drilled.Check] = a.Now().Sub(begin)
	b.x.Figures["tables_checked"] = uint64(done.Tables)
	for _, what := range done.Broken {
		b.differs(what)
	}
	if a.Verbose {
		for _, what := range done.Warnings {
			a.Note("%.300s", quote.Display(what))
		}
	}
	if err != nil && ctx.Err() == nil { // the server has ended, as it does when it meets a page that is broken
		b.differs(err.Error())
		err = nil
	}
	return err
}

// replayForDrill replays all binary logs that were saved after the backup.
func replayForDrill(ctx context.Context, a *app.App, b *databaseDrill, srv *server.Server) error {
	u := load.UntilFlags{Until: "all"}
	line, err := load.TimelineOf(ctx, a, b.Opened, &u)
	if err != nil {
		if ctx.Err() == nil {
			b.x.Problems = append(b.x.Problems, fmt.Sprintf("no binary log is proven: %v", err))
			err = nil
		}
		return err
	}
	if gap := line.Gap(); gap != "" {
		b.x.Problems = append(b.x.Problems, gap)
	}
	begin := a.Now()
	plan, err := load.PlanReplay(ctx, a, line, &u)
	if err != nil {
		return err
	}
	if err := b.folder.Fits(plan.Bytes); err != nil {
		return err
	}
	result, err := load.Replay(ctx, a, srv, plan, replay.Options{Inside: true})
	b.x.Took[drilled.Replay] = a.Now().Sub(begin)
	b.x.Figures["transactions"], b.x.Figures["replayed_bytes"] = result.Transactions, plan.Bytes
	if result.Last != nil {
		b.x.Position = reached(b.label, &result).String()
	}
	var failed *replay.FailedError
	if errors.As(err, &failed) && ctx.Err() == nil { // what was restored is not what the logs go on from
		b.differs(failed.Error())
		return nil
	}
	return err
}

// reached is the position of a backup after a replay. GTIDs are missing if the backup's are, or what was replayed does not follow them.
func reached(from mysqldump.Position, r *replay.Result) mysqldump.Position {
	p := from
	p.File, p.Offset, p.GTIDs, p.Time = r.Last.Log, r.Last.Next, mysqldump.GTIDSet{}, r.Last.Committed().Truncate(time.Second)
	if from.GTIDs.IsZero() || r.GTIDs.IsZero() {
		return p
	}
	without := p
	all, err := from.GTIDs.Union(r.GTIDs)
	if p.GTIDs = all; err != nil || p.Check() != nil {
		return without
	}
	return p
}
