package hot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"nightjar/mysqldump/lock"
	"nightjar/mysqldump/server"
)

// A stage is how far the program is with its locks.
type stage int

const (
	covering  stage = iota + 1 // it holds back DDL, and writes to tables without transactions
	holding                    // and commits
	unlocking                  // nothing any more
)

// stageWords are in lines of the programs that tell of a stage.
var stageWords = []struct {
	stage stage
	words string
}{
	{covering, "BACKUP STAGE BLOCK_DDL"}, {holding, "BACKUP STAGE BLOCK_COMMIT"}, {unlocking, "BACKUP STAGE END"}, {unlocking, "All tables unlocked"},
	{holding, "FLUSH TABLES WITH READ LOCK"}, {unlocking, "Executing UNLOCK TABLES"},
}

func stageOf(line []byte) stage {
	for _, w := range stageWords {
		if bytes.Contains(line, []byte(w.words)) {
			return w.stage
		}
	}
	return 0
}

// tick is how often the server is asked who waits.
const tick = 100 * time.Millisecond

// A watch looks after the program's locks from the sessions of its own.
type watch struct {
	o       Options
	c       *server.Session // asks and kills
	timer   *server.Session // has the server itself kill
	first   uint64          // sessions with larger numbers are younger than the watch
	program uint64          // that of the program in which it locks; 0: not known
	events  chan event
	done    chan struct{}
	once    sync.Once

	// What was seen, once run has returned.
	covered, held, longest time.Duration
	time                   time.Time // by the server's clock, when commits were held back

	now                     stage
	coveredAt, heldAt, wait time.Time // zero: not, or nobody
	armed                   sync.WaitGroup
	set                     bool               // the timer
	leave                   context.CancelFunc // has the statement of the timer return; nil: there is none
}

type event struct {
	stage
	at time.Time
}

func newWatch(ctx context.Context, s *server.Server, c *server.Session, o Options) (*watch, error) {
	timer, err := s.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &watch{o: o, c: c, timer: timer, first: timer.ID(), events: make(chan event, 64), done: make(chan struct{})}, nil
}

// stage tells the watch of a stage.
func (w *watch) stage(s stage) {
	select {
	case w.events <- event{s, w.o.Now()}:
	case <-w.done:
	}
}

// end has run return.
func (w *watch) end() { w.once.Do(func() { close(w.done) }) }

// close ends the session of the timer. It comes after end.
func (w *watch) close() {
	if w.leave != nil {
		w.leave() // it has been ended at the server by now, or cannot be
	}
	w.armed.Wait()
	_ = w.timer.Close()
}

// run watches until end, or until the program has to be ended: with the reason.
func (w *watch) run(ctx context.Context) error {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	defer w.disarm()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-w.done:
			return w.finish(ctx)
		case e := <-w.events:
			err = w.enter(ctx, e)
		case <-ticker.C:
			err = w.look(ctx)
		}
		if err != nil {
			w.kill(ctx)
			return err
		}
	}
}

// finish takes the stages that are told of already.
func (w *watch) finish(ctx context.Context) error {
	for {
		select {
		case e := <-w.events:
			if err := w.enter(ctx, e); err != nil {
				return err
			}
		default:
			if w.time.IsZero() {
				return w.clock(ctx)
			}
			return nil
		}
	}
}

// enter begins a stage, unless it is there already.
func (w *watch) enter(ctx context.Context, e event) error {
	if e.stage <= w.now {
		return nil
	}
	before := w.now
	w.now = e.stage
	switch {
	case e.stage == unlocking:
		w.account(e.at)
		return w.disarm()
	case e.stage == holding:
		w.heldAt = e.at
	}
	if before < covering {
		w.coveredAt = e.at
		w.arm(ctx)
	}
	if e.stage == holding {
		return w.clock(ctx)
	}
	return nil
}

func (w *watch) account(at time.Time) {
	if !w.coveredAt.IsZero() {
		w.covered = at.Sub(w.coveredAt)
	}
	if !w.heldAt.IsZero() {
		w.held = at.Sub(w.heldAt)
	}
}

// clock reads the server's.
func (w *watch) clock(ctx context.Context) error {
	row, err := w.c.Row(ctx, "SELECT UTC_TIMESTAMP(6)")
	if err == nil {
		w.time, err = time.Parse("2006-01-02 15:04:05.999999", string(row[0]))
	}
	return err
}

// look finds out who waits, and returns an error if that, or the lock, takes too long.
func (w *watch) look(ctx context.Context) error {
	if err := w.find(ctx); err != nil {
		return fmt.Errorf("watch the locks of the program: %w", err)
	}
	now := w.o.Now()
	since := tick
	if !w.wait.IsZero() {
		since += now.Sub(w.wait)
	}
	wait, err := lock.LongestWait(ctx, w.c, since)
	switch {
	case err != nil:
		return fmt.Errorf("watch the locks of the program: %w", err)
	case wait == 0:
		w.wait = time.Time{}
	case w.wait.IsZero():
		w.wait = now
	}
	w.longest = max(w.longest, wait)
	if w.now == unlocking {
		return nil
	}
	if locked := !w.coveredAt.IsZero() && now.Sub(w.coveredAt) > w.o.MaxLock; locked || wait > w.o.MaxLock {
		return fmt.Errorf("%w: %v; a session waited for %v", lock.ErrTooLong, w.o.MaxLock, w.longest.Round(time.Millisecond))
	}
	return nil
}

// arm has the server kill the program's session if nothing is heard of us until then, as when nightjar is stopped. MySQL has no
// statement for that.
func (w *watch) arm(ctx context.Context) {
	if w.find(ctx) != nil || w.program == 0 {
		return
	}
	w.set = true
	statement := fmt.Sprintf("BEGIN NOT ATOMIC DO SLEEP(%d); KILL %d; END", w.o.MaxLock/time.Second+1, w.program)
	ctx, w.leave = context.WithCancel(context.WithoutCancel(ctx))
	w.armed.Go(func() { _ = w.timer.Exec(ctx, statement) })
}

// disarm ends the timer.
func (w *watch) disarm() error {
	if !w.set {
		return nil
	}
	w.set = false
	ctx, cancel := context.WithTimeout(context.Background(), min(farewell, w.o.Silence))
	defer cancel()
	if err := w.c.Kill(ctx, w.timer.ID()); err != nil {
		return fmt.Errorf("end the timer of the lock: %w", err)
	}
	return nil
}

// farewell is how long a server may take to end sessions.
const farewell = 5 * time.Second

// kill ends the program's session, and with it its locks.
func (w *watch) kill(ctx context.Context) {
	if w.program == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(farewell, w.o.Silence))
	defer cancel()
	if err := w.c.Kill(ctx, w.program); err != nil {
		w.o.Warn(fmt.Errorf("end the program's session: %w", err))
	}
}

// find finds the session in which the program locks: its first, which is the first of the account after those of the watch.
func (w *watch) find(ctx context.Context) error {
	if w.program != 0 {
		return nil
	}
	const of = "SELECT id FROM information_schema.processlist WHERE id > %d AND user = SUBSTRING_INDEX(USER(), '@', 1) ORDER BY id LIMIT 1"
	row, err := w.c.Row(ctx, fmt.Sprintf(of, w.first))
	if errors.Is(err, server.ErrNoRow) {
		return nil
	}
	if err == nil {
		w.program, err = strconv.ParseUint(string(row[0]), 10, 64)
	}
	return err
}
