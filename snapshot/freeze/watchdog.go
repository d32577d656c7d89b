package freeze

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const maxTalk = 4 << 20 // what a watchdog says or is told in all

// What a watchdog is told to do.
const (
	doHold   = "hold"   // open the file systems, and be ready
	doSync   = "sync"   // write back what was written
	doFreeze = "freeze" //
	doThaw   = "thaw"   //
)

type order struct {
	Number    int
	Do        string
	Targets   []target      `json:",omitempty"`
	Max, Sync time.Duration `json:",omitempty"`
	Record    string        `json:",omitempty"`
	Hurry     string        `json:",omitempty"` // see Options
}

type answer struct {
	Number           int
	Fault, Kind      string        `json:",omitempty"`
	Frozen, Freezing time.Duration `json:",omitempty"`
}

// kinds are the errors that a watchdog tells its master.
var kinds = map[string]error{"busy": ErrBusy, "long": ErrTooLong, "thawed": ErrThawed, "refused": ErrRefused}

func (a answer) err() error {
	if a.Fault == "" {
		return nil
	}
	if kind := kinds[a.Kind]; kind != nil {
		return &fault{text: a.Fault, kind: kind}
	}
	return errors.New(a.Fault)
}

type fault struct {
	text string
	kind error
}

func (f *fault) Error() string { return f.text }
func (f *fault) Unwrap() error { return f.kind }

// A watchdog is one process's work. All of its fields but the channels are the main goroutine's.
type watchdog struct {
	out     *json.Encoder
	now     func() time.Time
	targets []target
	files   []*os.File
	record  *record
	hurry   *hurry
	max     time.Duration
	sync    time.Duration

	steps    chan step // of the goroutine that freezes
	synced   chan error
	syncing  int  // which order wants to know
	slow     bool // the last sync did not end in time, and still runs
	freezing int  // which order wants to know; 0: none
	pending  bool // a goroutine freezes
	stop     chan struct{}
	begun    time.Time     // when the first system call was made
	all      time.Duration // how long it took until all were frozen
	last     time.Duration // how long it was until the last was thawed
	frozen   []bool
	failure  error // why not all were frozen all the time
	limit    *time.Timer
	patience *time.Timer // of a sync
}

// A step is one file system that was frozen, or not; the last has end set.
type step struct {
	i   int
	err error
	end bool
}

// Watch is the watchdog: what reads orders and answers them, until in ends, which thaws, or ctx does. It takes over the process, which is to have a session of its own and to
// do nothing else.
func Watch(ctx context.Context, in io.Reader, out io.Writer) error {
	signal.Ignore(unix.SIGPIPE) // of a master that is gone
	w := &watchdog{now: time.Now, out: json.NewEncoder(out), steps: make(chan step), synced: make(chan error, 1), limit: stopped(), patience: stopped()}
	orders := make(chan order)
	go func() {
		defer close(orders)
		for d := json.NewDecoder(io.LimitReader(in, maxTalk)); ; {
			var o order
			if d.Decode(&o) != nil {
				return
			}
			orders <- o
		}
	}()
	for done := ctx.Done(); ; {
		select {
		case o, ok := <-orders:
			if !ok {
				return w.leave()
			}
			w.obey(o)
		case <-done:
			return w.leave()
		case s := <-w.steps:
			w.stepped(s)
		case <-w.limit.C:
			w.expired()
		case err := <-w.synced:
			w.isSynced(err)
		case <-w.patience.C:
			w.say(w.syncing, answer{}, fmt.Errorf("%w: what was written was not on the devices in %v", ErrTooLong, w.sync))
			w.syncing, w.slow = 0, true
		}
	}
}

// stopped returns a timer that is not running.
func stopped() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// say answers an order. Nobody may be there to hear it.
func (w *watchdog) say(number int, a answer, err error) {
	if number == 0 {
		return
	}
	a.Number = number
	if err != nil {
		a.Fault = err.Error()
		for name, kind := range kinds {
			if errors.Is(err, kind) {
				a.Kind = name
			}
		}
	}
	_ = w.out.Encode(a)
}

func (w *watchdog) obey(o order) {
	switch {
	case o.Do == doHold && w.files == nil:
		w.say(o.Number, answer{}, w.hold(o))
	case w.files == nil || w.pending || w.syncing != 0 && o.Do != doThaw:
		if o.Do != doThaw {
			w.say(o.Number, answer{}, fmt.Errorf("the order to %q comes at the wrong time", o.Do))
			return
		}
		w.thawFor(o.Number)
	case o.Do == doSync:
		w.startSync(o.Number)
	case o.Do == doFreeze:
		w.startFreeze(o.Number)
	case o.Do == doThaw:
		w.thawFor(o.Number)
	default:
		w.say(o.Number, answer{}, fmt.Errorf("nobody knows the order to %q", o.Do))
	}
}

// hold opens the file systems and locks the memory, so that nothing is needed any more to thaw them.
func (w *watchdog) hold(o order) error {
	if len(o.Targets) == 0 || len(o.Targets) > maxTargets || o.Max <= 0 || o.Sync <= 0 || o.Record == "" {
		return errors.New("the order to hold is not whole")
	}
	var files []*os.File
	for _, t := range o.Targets {
		f, err := t.open()
		if err != nil {
			return err
		}
		files = append(files, f)
	}
	if err := stayInMemory(); err != nil {
		return err
	}
	_ = unix.Setpriority(unix.PRIO_PGRP, 0, -20) // of all its threads; on a machine that is busy writers wait less long
	record, err := newRecord(o.Record, o.Targets)
	if err != nil {
		return err
	}
	w.targets, w.files, w.record, w.max, w.sync, w.frozen = o.Targets, files, record, o.Max, o.Sync, make([]bool, len(files))
	w.hurry = newHurry(o.Hurry)
	return nil
}

func (w *watchdog) startSync(number int) {
	if w.slow {
		w.say(number, answer{}, fmt.Errorf("%w: an earlier sync has not ended", ErrTooLong))
		return
	}
	w.syncing = number
	w.patience.Reset(w.sync)
	go func() {
		var err error
		for last := time.Duration(0); err == nil; { // what was written meanwhile is less each time, unless writers are as fast as the device
			begin := w.now()
			err = w.syncOnce()
			took := w.now().Sub(begin)
			if took < littleSync || last > 0 && took > last/2 {
				break
			}
			last = took
		}
		w.synced <- err
	}()
}

// littleSync is how long one sync takes when so little is left to be written that another one gains nothing.
const littleSync = 10 * time.Millisecond

func (w *watchdog) syncOnce() error {
	errs := make([]error, len(w.files))
	var all sync.WaitGroup
	for i, f := range w.files {
		all.Go(func() {
			if err := syncFS(f); err != nil {
				errs[i] = fmt.Errorf("sync %q: %w", w.targets[i].Path, err)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func (w *watchdog) isSynced(err error) {
	w.patience.Stop()
	w.say(w.syncing, answer{}, err)
	w.syncing, w.slow = 0, false
}

// startFreeze freezes in goroutines of its own, as the system call may hang. What is not on one another is frozen at the same time: most of what the kernel takes for one is
// waiting, which it does for all together.
func (w *watchdog) startFreeze(number int) {
	w.freezing, w.pending, w.failure, w.all, w.last = number, true, nil, 0, 0
	w.stop = make(chan struct{})
	w.begun = w.now()
	w.limit.Reset(w.max / 2)
	w.hurry.begin()
	stop := w.stop
	go func() {
		for _, level := range together(w.targets) {
			select {
			case <-stop:
				w.steps <- step{end: true}
				return
			default:
			}
			var all sync.WaitGroup
			for _, i := range level {
				all.Go(func() { w.steps <- step{i: i, err: freeze(w.files[i])} })
			}
			all.Wait()
		}
		w.steps <- step{end: true}
	}()
}

// stepped notes that a file system is frozen, and thaws it if it is not to be any more.
func (w *watchdog) stepped(s step) {
	path := ""
	if !s.end {
		path = w.targets[s.i].Path
	}
	switch {
	case s.end:
		w.pending = false
		w.hurry.end()
		if w.failure == nil {
			w.all = w.now().Sub(w.begun)
			w.limit.Reset(max(0, w.max-w.all))
		}
		a := answer{Freezing: w.all}
		w.say(w.freezing, a, w.failure)
		w.freezing = 0
	case errors.Is(s.err, unix.EBUSY):
		w.fail(fmt.Errorf("%q: %w", path, ErrBusy))
	case errors.Is(s.err, unix.EOPNOTSUPP), errors.Is(s.err, unix.ENOTTY):
		w.fail(fmt.Errorf("%q: %w: it is of a kind that cannot be", path, ErrRefused))
	case s.err != nil:
		w.fail(fmt.Errorf("%q: %w", path, s.err))
	case w.failure != nil:
		w.frozen[s.i] = true
		w.thaw()
	default:
		w.frozen[s.i] = true
	}
}

// fail gives the freeze up.
func (w *watchdog) fail(why error) {
	if w.failure == nil {
		w.failure = why
		close(w.stop)
	}
	w.limit.Stop()
	w.hurry.end()
	w.thaw()
}

// expired thaws when the limit is reached. Who asked to freeze need not wait for a system call that hangs.
func (w *watchdog) expired() {
	if w.pending {
		w.fail(fmt.Errorf("%w: not all were frozen in %v, which is half of what writers may wait", ErrTooLong, w.max/2))
		w.say(w.freezing, answer{}, w.failure)
		w.freezing = 0
		return
	}
	w.fail(fmt.Errorf("%w: all was thawed after %v", ErrTooLong, w.max))
}

// thawFor thaws as it was told to.
func (w *watchdog) thawFor(number int) {
	if w.pending {
		w.fail(errors.New("it was told to thaw before all was frozen"))
	}
	w.limit.Stop()
	w.thaw()
	a := answer{Frozen: w.last, Freezing: w.all}
	if w.pending {
		w.say(number, a, fmt.Errorf("%w: a system call that freezes hangs; what it freezes is thawed once it returns", ErrTooLong))
		return
	}
	w.say(number, a, w.failure)
}

// thaw thaws what is frozen in reverse order, and what was frozen at the same time at the same time.
func (w *watchdog) thaw() {
	was, errs := make([]bool, len(w.files)), make([]error, len(w.files))
	for _, level := range slices.Backward(together(w.targets)) {
		level = slices.DeleteFunc(level, func(i int) bool { return !w.frozen[i] })
		var all sync.WaitGroup
		for _, i := range level {
			all.Go(func() { was[i], errs[i] = thaw(w.files[i]) })
		}
		all.Wait()
		for _, i := range level {
			w.last = w.now().Sub(w.begun)
			w.frozen[i] = errs[i] != nil
			switch {
			case errs[i] != nil:
				w.failure = errors.Join(w.failure, fmt.Errorf("%q stays frozen: %w", w.targets[i].Path, errs[i]))
			case !was[i] && w.failure == nil:
				w.failure = fmt.Errorf("%q: %w", w.targets[i].Path, ErrThawed)
			}
		}
	}
}

// leave thaws, waits for a system call that hangs, and ends.
func (w *watchdog) leave() error {
	if w.files == nil {
		return nil
	}
	if w.pending {
		w.fail(errors.New("its master is gone"))
	}
	w.thaw()
	for w.pending {
		w.stepped(<-w.steps)
	}
	for again := 0; again < 60 && w.anyFrozen(); again++ {
		<-time.After(time.Second)
		w.thaw()
	}
	if w.anyFrozen() {
		return w.failure
	}
	return w.record.remove()
}

func (w *watchdog) anyFrozen() bool {
	for _, is := range w.frozen {
		if is {
			return true
		}
	}
	return false
}
