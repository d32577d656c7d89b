// Package freeze holds back all writes to file systems for a moment, so that what is on their devices is whole.
//
// A process of its own does it, the watchdog: it has the file systems open and its memory locked before the first of them is frozen, and thaws them when it is told to, when
// the limit is reached, or when whoever started it is gone. If the watchdog is killed, whoever started it thaws; if both are, a record in a directory says what is frozen.
//
// The invariant: nothing is frozen that would hold up what has to thaw it: neither the root file system nor any that this program writes to. What another one has frozen is
// neither thawed nor counted as ours, and of nothing is it said that it was frozen all the time unless that was so.
//
// The package makes no snapshot and asks no database. It needs the capabilities CAP_SYS_ADMIN and CAP_IPC_LOCK, which root has.
package freeze

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"nightjar/internal/child"
	"nightjar/snapshot/host"
)

// What Options mean where they say nothing.
const (
	DefaultMax  = 20 * time.Second
	DefaultSync = 2 * time.Minute
)

const (
	starting = 15 * time.Second // for how long a watchdog may get ready
	answers  = 10 * time.Second // how much longer than a limit of its own it may take to answer
	farewell = 5 * time.Second  // for how long it may end
)

var (
	// ErrRefused says that a file system is none that may be frozen.
	ErrRefused = errors.New("the file system is not frozen")
	// ErrBusy says that somebody else has frozen a file system.
	ErrBusy = errors.New("somebody else has frozen it already")
	// ErrTooLong says that a limit was reached: file systems were thawed, or could not be frozen in time.
	ErrTooLong = errors.New("it takes longer than it may")
	// ErrThawed says that somebody else thawed a file system.
	ErrThawed = errors.New("somebody else has thawed it")
	// ErrWatchdog says that the watchdog cannot do its work, or has gone.
	ErrWatchdog = errors.New("the watchdog fails")
)

// Options say how to freeze.
type Options struct {
	// Max is for how long writers may be held back, from the first system call on; 0 is DefaultMax. Half of it may pass until all is frozen.
	Max time.Duration
	// Sync is for how long one Sync may take; 0 is DefaultSync.
	Sync time.Duration
	// Own are files and folders that this program writes to while something is frozen: its state, cache and temp folders. Their file systems are refused.
	Own []string
	// Files are open files likewise: standard output and error. Of those only regular files count.
	Files []*os.File
	// Directory is where a record of what is frozen is kept, until it is thawed. It counts as Own.
	Directory string
	// Hurry is the kernel's file that has it keep writers out at once, at the price of an interrupt on every processor, instead of after some 10 ms, thrice for each file system.
	// It is 1 while file systems are being frozen, if it was 0 before and can be written; else they take longer. Empty: /sys/kernel/rcu_expedited.
	Hurry string
	// Watchdog is the command that runs Watch on its standard input and output.
	Watchdog []string
	// Scope is a command that runs the one after it outside of the control group of this process, as ScopeCommand has it; empty: none.
	Scope []string
	// Env is the environment of these commands.
	Env []string
	// Machine is where mounts are looked up.
	Machine host.Machine
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// A Report says what freezing cost.
type Report struct {
	Frozen   time.Duration // from before the first system call that froze until after the last that thawed
	Freezing time.Duration // how much of that it took until all was frozen
	Scope    bool          // the watchdog was outside of this process's control group
}

// ScopeCommand returns the command that has systemd make a scope for a program, which is then not killed with the unit that started it.
func ScopeCommand() []string {
	return []string{"systemd-run", "--scope", "--quiet", "--collect", "--slice=system.slice", "--description=nightjar: thaws what is frozen", "--"}
}

// A Freeze is file systems that can be frozen, with a watchdog that waits for it. It is for one goroutine, and has to be closed.
type Freeze struct {
	o        Options
	targets  []target
	files    []*os.File // the same file systems, open
	hurry    *hurry     // what the watchdog does with it, to be undone in its place
	record   string
	watchdog *child.Detached
	scope    bool
	answers  chan answer // closed once the watchdog says no more
	asked    int

	mu     sync.Mutex
	frozen bool  // the watchdog was told to freeze, and not yet to thaw
	lost   error // why what was frozen is not any more
	ours   bool  // what the watchdog has left was thawed here
}

// Prepare has a watchdog open the file systems of mounts, each once however often it is mounted. Nothing is frozen yet.
func Prepare(ctx context.Context, mounts []host.Mount, o Options) (*Freeze, error) {
	o.Max, o.Sync, o.Hurry = cmp.Or(o.Max, DefaultMax), cmp.Or(o.Sync, DefaultSync), cmp.Or(o.Hurry, expedited)
	if o.Now == nil {
		o.Now = time.Now
	}
	f := &Freeze{o: o}
	err := f.prepare(ctx, mounts)
	if err != nil {
		return nil, fmt.Errorf("prepare to freeze: %w", errors.Join(err, f.Close()))
	}
	return f, nil
}

func (f *Freeze) prepare(ctx context.Context, mounts []host.Mount) (err error) {
	switch {
	case f.o.Max < 0 || f.o.Sync < 0:
		return errors.New("a limit is negative")
	case f.o.Directory == "" || len(f.o.Watchdog) == 0:
		return errors.New("neither a directory for records nor a watchdog can be left out")
	case os.Getpid() == 1:
		return fmt.Errorf("%w: this is process 1 of a container, with which the watchdog would be killed", ErrWatchdog)
	}
	if f.targets, err = choose(mounts, f.o); err != nil {
		return err
	}
	for _, t := range f.targets {
		file, err := t.open()
		if err != nil {
			return err
		}
		f.files = append(f.files, file)
	}
	f.record, f.hurry = filepath.Join(f.o.Directory, recordPrefix+rand.Text()), newHurry(f.o.Hurry)
	if len(f.o.Scope) > 0 {
		if err = f.start(ctx, append(append([]string{}, f.o.Scope...), f.o.Watchdog...)); err == nil {
			f.scope = true
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
	}
	if without := f.start(ctx, f.o.Watchdog); without != nil {
		return errors.Join(without, err)
	}
	return nil
}

// start has a command be the watchdog.
func (f *Freeze) start(ctx context.Context, command []string) error {
	w, err := child.Detach(child.Command{Name: "watchdog", Args: command, Env: f.o.Env})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrWatchdog, err)
	}
	said := make(chan answer)
	go func() {
		defer close(said)
		for d := json.NewDecoder(io.LimitReader(w, maxTalk)); ; {
			var a answer
			if d.Decode(&a) != nil {
				f.orphaned()
				return
			}
			said <- a
		}
	}()
	f.watchdog, f.answers = w, said
	_, err = f.ask(ctx, order{Do: doHold, Targets: f.targets, Max: f.o.Max, Sync: f.o.Sync, Record: f.record, Hurry: f.o.Hurry}, starting)
	if err != nil {
		w.Kill()
		err = errors.Join(err, f.dismiss())
	}
	return err
}

// ask has the watchdog do something, for at most as long as given.
func (f *Freeze) ask(ctx context.Context, o order, most time.Duration) (answer, error) {
	if f.watchdog == nil {
		return answer{}, fmt.Errorf("%w: it has ended", ErrWatchdog)
	}
	timer := time.NewTimer(most)
	defer timer.Stop()
	f.asked++
	o.Number = f.asked
	_ = f.watchdog.SetWriteDeadline(f.o.Now().Add(most))
	if err := json.NewEncoder(f.watchdog).Encode(o); err != nil {
		return answer{}, fmt.Errorf("%w: it does not listen: %w", ErrWatchdog, err)
	}
	for {
		select {
		case a, ok := <-f.answers:
			switch {
			case !ok:
				return answer{}, fmt.Errorf("%w: it has ended", ErrWatchdog)
			case a.Number == o.Number: // else it is of what was given up
				return a, a.err()
			}
		case <-ctx.Done():
			return answer{}, context.Cause(ctx)
		case <-timer.C:
			return answer{}, fmt.Errorf("%w: it has not answered in %v", ErrWatchdog, most)
		}
	}
}

// Sync has all that was written to the file systems so far written to their devices, so that freezing takes less long.
func (f *Freeze) Sync(ctx context.Context) error {
	_, err := f.ask(ctx, order{Do: doSync}, f.o.Sync+answers)
	if err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}

// Freeze freezes all file systems. If it fails nothing stays frozen: what cannot be thawed yet, as a system call hangs, the watchdog thaws as soon as that
// returns.
func (f *Freeze) Freeze(ctx context.Context) error {
	f.mu.Lock()
	f.frozen, f.lost, f.ours = true, nil, false
	f.mu.Unlock()
	_, err := f.ask(ctx, order{Do: doFreeze}, f.o.Max+answers)
	if err != nil {
		if _, thaw := f.Thaw(); errors.Is(thaw, ErrWatchdog) && !errors.Is(err, ErrWatchdog) { // else it is the same that err says
			err = errors.Join(err, thaw)
		}
		return fmt.Errorf("freeze: %w", err)
	}
	return nil
}

// Thaw thaws all file systems in reverse order, and reports what that cost. The error says that they were not proven to be frozen all the time; thawed they are in any case
// but that of a system call that fails. A second call does nothing.
func (f *Freeze) Thaw() (Report, error) {
	f.mu.Lock()
	frozen := f.frozen
	f.mu.Unlock()
	if !frozen {
		return Report{}, nil
	}
	a, err := f.ask(context.Background(), order{Do: doThaw}, answers)
	if errors.Is(err, ErrWatchdog) {
		if f.watchdog != nil { // one that hangs
			f.watchdog.Kill()
		}
		err = errors.Join(err, f.thawHere())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.frozen = false
	if err = errors.Join(err, f.lost); err != nil {
		err = fmt.Errorf("thaw: %w", err)
	}
	return Report{Frozen: a.Frozen, Freezing: a.Freezing, Scope: f.scope}, err
}

// orphaned thaws what a watchdog has left that is gone.
func (f *Freeze) orphaned() {
	f.mu.Lock()
	frozen := f.frozen
	f.mu.Unlock()
	if frozen {
		err := f.thawHere()
		f.mu.Lock()
		f.lost = errors.Join(f.lost, fmt.Errorf("%w: it was gone before it was told to thaw", ErrWatchdog), err)
		f.mu.Unlock()
	}
}

// thawHere thaws without the watchdog, once.
func (f *Freeze) thawHere() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ours {
		return nil
	}
	f.ours = true
	f.hurry.end()
	var failed error
	for i := len(f.files) - 1; i >= 0; i-- {
		if _, err := thaw(f.files[i]); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", f.targets[i].Path, err))
		}
	}
	if failed == nil {
		failed = removeRecord(f.record)
	}
	return failed
}

// Close thaws what is still frozen and has the watchdog end. A second call does nothing.
func (f *Freeze) Close() error {
	_, err := f.Thaw()
	if f.watchdog != nil {
		err = errors.Join(err, f.dismiss())
	}
	for _, file := range f.files {
		file.Close()
	}
	f.files = nil
	f.hurry.close()
	return err
}

// dismiss has the watchdog end.
func (f *Freeze) dismiss() error {
	w := f.watchdog
	f.watchdog = nil
	err := w.Close(farewell)
	for range f.answers { // the pipe is closed, so that this ends
	}
	return err
}
