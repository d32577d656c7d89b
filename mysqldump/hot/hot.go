// Package hot copies the data directory of a running server by the program that its makers have for that: mariadb-backup, or
// xtrabackup.
//
// The program copies files while they are written to, and the log that makes one state of them. It streams what it copies,
// and each file goes into a Tree by itself, under the name that it has in the data directory; so unchanged pages of a table
// are recognised. The program itself prepares such a backup before a server starts on it.
//
// The invariant: Run succeeds only if the program has said "completed OK!" last and ended well, every file of its stream has
// come to its end, and the backup itself says its position, or that it has none (Options.Unlogged). A lock that the program holds is ended when writers have waited
// for Options.MaxLock, also by the server alone, where it is one of MariaDB.
//
// The package prepares nothing and restores nothing. It reads no option file for the program: options that a server's file has
// for it do not count.
package hot

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"nightjar/internal/child"
	"nightjar/internal/tempdir"
	"nightjar/mysqldump"
	"nightjar/mysqldump/hotinfo"
	"nightjar/mysqldump/lock"
	"nightjar/mysqldump/login"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/xbstream"
)

// ErrIncomplete says that the program has not said that its backup is complete.
var ErrIncomplete = errors.New("the program has not completed the backup")

// Options say how to copy.
type Options struct {
	// Tool is the name or the path of the program; empty is mariadb-backup, or mariabackup.
	Tool string
	// Login is how the program gets onto the server.
	Login *login.Login
	// Datadir is where the program finds the data directory; empty is where the server says.
	Datadir string
	// Threads is how many files are copied at the same time; 0 is 1.
	Threads int
	// LockWait is how long the program waits for a lock, in which writers wait, too; 0 is MaxLock. Programs count whole seconds.
	LockWait time.Duration
	// MaxLock is how long the program's locks may last; 0 is lock.DefaultMax.
	MaxLock time.Duration
	// Silence is for how long the server may say nothing before the backup fails; 0 is lock.DefaultMax. What waits for the server, then
	// or at any other failure, has no longer to end.
	Silence time.Duration
	// Unlogged is whether a server without a binary log will do: then Result.Position names no place. What is copied is of one moment
	// all the same, that of InnoDB's log.
	Unlogged bool
	// Directory is where a file excludes other backups from this machine; empty is nowhere.
	Directory string
	// Temp is where the program has its scratch files, and Environ its environment but for that.
	Temp    tempdir.Dir
	Environ []string
	// Warn is told of what is not as it should be; nil is nobody.
	Warn func(error)
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// A Result says what was copied.
type Result struct {
	Position mysqldump.Position
	Version  string // of the server, as it says
	Tool     Tool
	Sums     Sums
	// Covered is for how long DDL and writes to non-transactional tables were held back, as the program told of it, and Held for
	// how long commits were; 0 where it tells nothing.
	Covered, Held time.Duration
	// LongestWait is the longest wait of a session for a lock that was seen.
	LongestWait time.Duration
}

// MaxThreads is how many files can be copied at the same time.
const MaxThreads = 64

func (o Options) complete() (Options, error) {
	o.Threads, o.MaxLock = cmp.Or(o.Threads, 1), cmp.Or(o.MaxLock, lock.DefaultMax)
	o.LockWait, o.Silence = cmp.Or(o.LockWait, o.MaxLock), cmp.Or(o.Silence, lock.DefaultMax)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Warn == nil {
		o.Warn = func(error) {}
	}
	switch {
	case o.Threads < 0 || o.Threads > MaxThreads:
		return o, fmt.Errorf("%d files at the same time: there may be 1 to %d", o.Threads, MaxThreads)
	case o.LockWait < 0 || o.MaxLock < time.Second:
		return o, errors.New("a lock may be held for a second at least, as servers count")
	}
	return o, nil
}

// Run copies a server's data directory into a tree.
func Run(ctx context.Context, s *server.Server, tree mysqldump.Tree, o Options) (r Result, err error) {
	o, err = o.complete()
	if err == nil {
		r, err = run(ctx, s, tree, o)
	}
	if err != nil {
		return r, fmt.Errorf("copy the data directory of %s: %w", s.Address(), err)
	}
	return r, nil
}

func run(ctx context.Context, s *server.Server, tree mysqldump.Tree, o Options) (r Result, err error) {
	if r.Tool, err = FindTool(ctx, o.Tool, o.Temp.Environ(o.Environ)); err != nil {
		return r, err
	}
	alone, err := lock.Exclude(ctx, s, o.Directory, o.Silence)
	if err != nil {
		return r, err
	}
	defer alone.Close()
	ctx, cancel := alone.Context(ctx)
	defer cancel()
	c, err := s.Connect(ctx)
	if err != nil {
		return r, err
	}
	defer c.Close()
	unlogged, err := o.look(ctx, c)
	if err != nil {
		return r, err
	}
	id, err := c.Identity(ctx)
	if err != nil {
		return r, err
	}
	r.Version = id.Version
	warning, err := r.Tool.fits(id)
	if err != nil {
		return r, err
	}
	if warning != nil {
		o.Warn(warning)
	}
	page, err := pageSize(ctx, c)
	if err != nil {
		return r, err
	}
	w, err := newWatch(ctx, s, c, o)
	if err != nil {
		return r, err
	}
	defer w.close()
	f := o.newFiles(tree, page, r.Tool.Flavor == mysqldump.MariaDB)
	if err := copyFiles(ctx, r.Tool, w, f, o); err != nil {
		return r, err
	}
	r.Sums, r.Covered, r.Held, r.LongestWait = f.sum, w.covered, w.held, w.longest
	if err := f.settle(); err != nil {
		return r, err
	}
	if r.Position, err = f.position(unlogged); err != nil {
		return r, err
	}
	r.Position.ServerID, r.Position.ServerUUID, r.Position.Flavor, r.Position.Version = id.ServerID, id.ServerUUID, id.Flavor, id.Version
	r.Position.Time = w.time
	if unlogged {
		return r, nil
	}
	return r, r.Position.Check()
}

// look refuses a server that cannot be copied, before anything long begins, and reports whether it has no binary log.
func (o Options) look(ctx context.Context, c *server.Session) (unlogged bool, err error) {
	cluster, err := c.Cluster(ctx)
	if err == nil && cluster != "" {
		err = fmt.Errorf("%w: %s", lock.ErrCluster, cluster)
	}
	if err != nil {
		return false, err
	}
	keeping, err := c.Keeping(ctx)
	if err == nil {
		err = cmp.Or(keeping.BinaryLogFiles(), keeping.RedoFiles())
	}
	if err != nil {
		return false, err
	}
	if _, err = c.Position(ctx); o.Unlogged && errors.Is(err, server.ErrNoBinaryLog) {
		return true, nil
	}
	return false, err
}

// position is where the program has written that the backup is, which it has not of a server without a binary log.
func (f *files) position(unlogged bool) (p mysqldump.Position, err error) {
	p, err = hotinfo.Position(f.say(hotinfo.BinlogNames), f.say(hotinfo.Names))
	switch {
	case unlogged && errors.Is(err, hotinfo.ErrNone):
		return p, nil
	case unlogged && err == nil:
		err = fmt.Errorf("the server has no binary log, and the backup says that it is at %v in one", p)
	}
	return p, err
}

// pageSize asks for the size of InnoDB's pages; 0 if the server does not say it.
func pageSize(ctx context.Context, c *server.Session) (int, error) {
	row, err := c.Row(ctx, "SELECT @@GLOBAL.innodb_page_size")
	if server.Number(err) != 0 {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(row[0]))
}

const (
	grace = 10 * time.Second // how long the program has to end: it removes its scratch files
	ahead = 1 << 20          // bytes of its stream that wait: to wake each other for less costs more than to copy it
)

// copyFiles runs the program, watched, and reads its stream to its end.
func copyFiles(ctx context.Context, t Tool, w *watch, f *files, o Options) error {
	folder, cleanup, err := o.Temp.MkdirTemp("hot-*")
	if err != nil {
		return err
	}
	defer func() {
		if err := cleanup(); err != nil {
			o.Warn(err)
		}
	}()
	family := login.MariaDB
	if t.Flavor == mysqldump.MySQL {
		family = login.MySQL
	}
	options, err := o.Login.OptionFile(o.Temp, family)
	if err != nil {
		return err
	}
	defer options.Close()
	scratch, err := tempdir.New(folder)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var watching sync.WaitGroup
	watching.Go(func() { stop(w.run(ctx)) })
	defer watching.Wait()
	defer w.end()
	said := &sayings{stage: w.stage}
	p, err := child.Start(ctx, child.Command{Args: arguments(t, folder, o), Env: scratch.Environ(o.Environ), Stderr: said, Grace: min(grace, o.Silence), Ahead: ahead,
		Files: []*os.File{options}})
	if err != nil {
		return err
	}
	defer p.Stop()
	err = xbstream.Read(p, f)
	if failed := f.queue.wait(); err == nil {
		err = failed
	}
	if err != nil && !errors.Is(err, child.ErrFailed) && ctx.Err() == nil { // what it says is the reason, where it ends by itself
		if _, ended := io.Copy(io.Discard, p); errors.Is(ended, child.ErrFailed) && errors.Is(err, xbstream.ErrTruncated) {
			err = ended
		}
	}
	p.Stop()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil {
		return fmt.Errorf("%w%s", err, said.why())
	}
	if !said.complete() {
		return fmt.Errorf("%w%s", ErrIncomplete, said.why())
	}
	return nil
}

// arguments are those of the program. Its lock-wait options are always there: without them it waits for a year.
func arguments(t Tool, folder string, o Options) []string {
	seconds := func(d time.Duration) string { return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10) }
	args := []string{t.Path, login.FileArgument(3), "--backup", "--stream=xbstream", "--target-dir=" + folder, "--tmpdir=" + folder,
		"--extra-lsndir=" + folder, "--ftwrl-wait-timeout=" + seconds(o.LockWait), "--ftwrl-wait-threshold=1", "--parallel=" + strconv.Itoa(o.Threads)}
	if o.Datadir != "" {
		args = append(args, "--datadir="+o.Datadir)
	}
	return args
}

// sayings listens to what the program says.
type sayings struct {
	stage func(stage)
	mu    sync.Mutex
	line  []byte
	last  []byte // line that is not blank
	tail  [][]byte
}

const (
	maxSaid  = 4096 // bytes of a line
	lastSaid = 5    // lines, for people
)

func (s *sayings) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for part := range bytes.SplitAfterSeq(b, []byte("\n")) {
		s.line = append(s.line, part[:min(len(part), max(0, maxSaid-len(s.line)))]...)
		if bytes.HasSuffix(part, []byte("\n")) {
			s.end()
		}
	}
	return len(b), nil
}

func (s *sayings) end() {
	line := bytes.TrimSpace(s.line)
	if len(line) > 0 {
		s.last = bytes.Clone(line)
		if s.tail = append(s.tail, s.last); len(s.tail) > lastSaid {
			s.tail = s.tail[1:]
		}
		if st := stageOf(line); st != 0 {
			s.stage(st)
		}
	}
	s.line = s.line[:0]
}

// complete reports whether the last thing said is that all is well.
func (s *sayings) complete() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end()
	return bytes.HasSuffix(s.last, []byte("completed OK!"))
}

func (s *sayings) why() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end()
	if len(s.tail) == 0 {
		return ""
	}
	return ": it said: " + string(bytes.Join(s.tail, []byte("\n")))
}
