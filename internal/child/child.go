// Package child runs the programs that nightjar needs beside it: those that print what is saved or a passphrase, and gpg.
//
// The invariant: what a program started ends with it. When its context ends, it is stopped, or fails, then the program and all that it started are told to end by
// TERM, after a while by KILL, and whoever reads its output is kept waiting no longer. When nightjar itself is killed, the kernel kills the program.
//
// Without a terminal a program has a process group of its own, which a shell leads that kills it when nightjar is gone. At a terminal it stays in nightjar's: so the
// terminal's keys reach it, and it can ask for a password.
//
// The package neither reads the environment nor chooses the temp directory: tempdir makes the environment of programs.
package child

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Grace is how long programs have to end between TERM and KILL, unless a Command says otherwise.
const Grace = 3 * time.Second

const (
	killed = 2 * time.Second       // how long KILL is repeated: a process that waits for a disk cannot be killed
	look   = 20 * time.Millisecond // how often the end of processes is looked for
	late   = 3 * time.Second       // how long a program that has ended may still be heard of: its last words may be in a pipe that others hold
)

// ErrNotFound is in the error of a program that is not in the search path.
var ErrNotFound = exec.ErrNotFound

// ErrFailed is in the error of a program that ran and did not succeed.
var ErrFailed = errors.New("the program failed")

// A Command says what to run.
type Command struct {
	Name   string        // in errors; empty: Args[0]
	Args   []string      // the program, looked for in the search path if it has no slash, and its arguments; not empty
	Env    []string      // its whole environment, temp directory included; nil: empty
	Stdin  io.Reader     // nil: nothing; an *os.File is handed over as it is
	Stderr io.Writer     // likewise; nil: the end of what it says there is part of the error
	Files  []*os.File    // descriptors 3 and up
	Grace  time.Duration // between TERM and KILL; 0: Grace
	Drain  time.Duration // how long after the program has succeeded others who hold its output are listened to; 0: until they end
	Ahead  int           // how many bytes it may print ahead of who reads, as far as the kernel lets it; 0: what a pipe has, 64 KiB as a rule
}

// A Process is a program that runs; what it prints is read from it. It is for one goroutine, which calls Stop at the end.
type Process struct {
	name   string
	cmd    *exec.Cmd
	ctx    context.Context
	cancel context.CancelFunc
	grace  time.Duration
	drain  time.Duration
	keeper *keeper // nil: none
	group  int     // its process group; 0: nightjar's
	begun  uint64  // when it was started, as process.start
	output *os.File
	last   error // of the output
	said   tail  // on standard error

	exited  chan struct{} // closed once the program has ended, and failure is set
	failure error
	whole   chan struct{} // closed once the output has been read to its end
	once    sync.Once
	gone    chan struct{} // closed once nothing is left to be ended
}

// Start starts a program. It is told to end when ctx ends.
func Start(ctx context.Context, c Command) (*Process, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.Name = cmp.Or(c.Name, c.Args[0])
	cmd := exec.Command(c.Args[0], c.Args[1:]...)
	output, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", c.Name, err)
	}
	if c.Ahead > 0 {
		widen(output, c.Ahead)
	}
	p := &Process{
		name: c.Name, cmd: cmd, grace: cmp.Or(c.Grace, Grace), drain: c.Drain, begun: now(), output: output,
		exited: make(chan struct{}), whole: make(chan struct{}), gone: make(chan struct{}),
	}
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = append([]string{}, c.Env...), c.Stdin, w, c.Stderr, c.Files
	if c.Stderr == nil {
		cmd.Stderr = &p.said
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: !hasTerminal()}
	if cmd.SysProcAttr.Setpgid {
		if p.keeper = newKeeper(); p.keeper != nil {
			p.group = p.keeper.cmd.Process.Pid
			cmd.SysProcAttr.Pgid = p.group
		}
	}
	cmd.WaitDelay = late
	started := make(chan error)
	go func() {
		// The death signal comes when the thread ends that started the program, so that thread does nothing else until then.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		if err := cmd.Wait(); !errors.Is(err, exec.ErrWaitDelay) { // which is its own success
			p.failure = err
		}
		close(p.exited)
	}()
	err = <-started
	w.Close()
	if err != nil {
		p.keeper.end()
		output.Close()
		return nil, fmt.Errorf("run %s: %w", c.Name, plain(err))
	}
	if cmd.SysProcAttr.Setpgid && p.keeper == nil {
		p.group = cmd.Process.Pid
	}
	p.ctx, p.cancel = context.WithCancel(ctx)
	go p.watch()
	return p, nil
}

// widen makes room in a pipe. Where the kernel gives none, the program only waits more often.
func widen(pipe *os.File, size int) {
	if raw, err := pipe.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, size) })
	}
}

// plain returns why a program cannot be started, without the words for the call.
func plain(err error) error {
	var call *os.PathError
	var search *exec.Error
	switch {
	case errors.As(err, &search):
		return search.Err
	case errors.As(err, &call) && call.Op == "fork/exec":
		return call.Err
	}
	return err
}

// watch ends what is left, unless the program succeeds and is read to its end. What it leaves in the background then is meant to stay.
func (p *Process) watch() {
	defer close(p.gone)
	defer p.output.Close()
	defer p.keeper.end()
	select {
	case <-p.ctx.Done():
	case <-p.exited:
		if p.failure == nil {
			p.readWhole()
		}
	}
	if !p.succeeded() { // it may have before ctx ended, even if that is seen first
		p.end()
	}
}

// succeeded reports whether the program has succeeded and was read to its end.
func (p *Process) succeeded() bool {
	for _, ended := range []chan struct{}{p.exited, p.whole} {
		select {
		case <-ended:
		default:
			return false
		}
	}
	return p.failure == nil
}

// readWhole waits until the output has been read to its end, if ctx does not end before. Who is past the drain is not waited for.
func (p *Process) readWhole() {
	var drained <-chan time.Time
	if p.drain > 0 {
		timer := time.NewTimer(p.drain)
		defer timer.Stop()
		drained = timer.C
	}
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-p.whole:
			return
		case <-drained:
			_ = p.output.SetReadDeadline(time.Unix(1, 0)) // a pipe has deadlines
		}
	}
}

// Read reads what the program prints. It returns io.EOF only once the program has succeeded.
func (p *Process) Read(b []byte) (int, error) {
	if p.last != nil {
		return 0, p.last
	}
	n, err := p.output.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		n, err = p.rest(b)
	}
	if n > 0 || err == nil {
		return n, nil
	}
	p.once.Do(func() { close(p.whole) })
	select {
	case <-p.exited:
	case <-p.gone:
	}
	select {
	case <-p.exited: // which says more, where both are
		if p.failure != nil {
			<-p.gone // what it started, too
			if p.group == 0 {
				p.interrupted()
			}
			err = p.failed()
		}
	default: // it cannot be ended, and ctx has
	}
	if p.ctx.Err() != nil {
		err = context.Cause(p.ctx)
	}
	p.last = err
	return 0, err
}

// rest reads what is in the pipe already; io.EOF: nothing is.
func (p *Process) rest(b []byte) (n int, err error) {
	raw, err := p.output.SyscallConn()
	if err != nil {
		return 0, err
	}
	if failed := raw.Control(func(fd uintptr) { n, err = unix.Read(int(fd), b) }); failed != nil {
		return 0, failed
	}
	if n = max(n, 0); n == 0 && (err == nil || err == unix.EAGAIN) {
		err = io.EOF
	}
	return n, err
}

// interrupted waits a moment for ctx to end: a key at the terminal interrupts the program and nightjar alike.
func (p *Process) interrupted() {
	select {
	case <-p.ctx.Done():
	case <-time.After(100 * time.Millisecond):
	}
}

// failed returns the error of a program that did not succeed.
func (p *Process) failed() error {
	return &failure{err: fmt.Errorf("run %s: %w", p.name, p.failure), said: p.said.String()}
}

type failure struct {
	err  error
	said string
}

func (f *failure) Error() string {
	if f.said == "" {
		return f.err.Error()
	}
	return f.err.Error() + ": " + f.said
}

func (f *failure) Unwrap() []error { return []error{ErrFailed, f.err} }

// Stop ends the program with all that it started, unless it has succeeded and was read to its end.
func (p *Process) Stop() {
	p.cancel()
	<-p.gone
}

// All reads what a program prints until it ends, and stops it: at most max bytes, more is an error.
func (p *Process) All(max int) ([]byte, error) {
	defer p.Stop()
	out, err := io.ReadAll(io.LimitReader(p, int64(max)+1))
	if err == nil && len(out) > max {
		err = fmt.Errorf("run %s: it prints more than %d bytes", p.name, max)
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Output runs a program and returns All that it prints.
func Output(ctx context.Context, c Command, max int) ([]byte, error) {
	p, err := Start(ctx, c)
	if err != nil {
		return nil, err
	}
	return p.All(max)
}
