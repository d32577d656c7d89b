// Package stream reads what is saved without being a file: standard input, and what a command prints.
//
// The invariant: a stream ends without an error only if its source did, so that half of a dump is never taken for a whole one. What is read, and where
// it goes, it does not know.
package stream

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a command has to end when it is told to.
const patience = 10 * time.Second

// A Command is the output of a program that runs. It ends as the program does: without an error only if that succeeded.
type Command struct {
	cmd    *exec.Cmd
	cancel context.CancelFunc
	output io.Reader
	ended  bool
	err    error
}

// Start starts a program. It is told to end when ctx ends, or by Stop.
func Start(ctx context.Context, program, env []string, stdin *os.File, stderr io.Writer) (*Command, error) {
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, program[0], program[1:]...)
	cmd.Env, cmd.Stdin, cmd.Stderr = env, stdin, stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = patience
	output, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("run %s: %w", program[0], err)
	}
	return &Command{cmd: cmd, cancel: cancel, output: output}, nil
}

func (c *Command) Read(p []byte) (int, error) {
	if c.ended {
		return 0, c.err
	}
	n, err := c.output.Read(p)
	if err == nil || n > 0 {
		return n, nil
	}
	c.ended, c.err = true, err
	if failed := c.cmd.Wait(); failed != nil {
		c.err = fmt.Errorf("run %s: %w", c.cmd.Args[0], failed)
	}
	return 0, c.err
}

// Stop ends the program, if it has not been read to its end.
func (c *Command) Stop() {
	c.cancel()
	if !c.ended {
		_ = c.cmd.Wait() // why nobody reads on is known already
	}
}

// Interruptible returns a reader of a file that may keep it waiting, but not past the end of ctx.
func Interruptible(ctx context.Context, f *os.File) io.Reader { return &interruptible{ctx, f} }

type interruptible struct {
	ctx context.Context
	f   *os.File
}

func (r *interruptible) Read(p []byte) (int, error) {
	for {
		if err := r.ctx.Err(); err != nil {
			return 0, err
		}
		ready, err := unix.Poll([]unix.PollFd{{Fd: int32(r.f.Fd()), Events: unix.POLLIN}}, 250)
		if err != nil && err != unix.EINTR {
			return 0, fmt.Errorf("wait for standard input: %w", err)
		}
		if ready > 0 {
			return r.f.Read(p)
		}
	}
}
