package child

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// A Detached is a program that outlives this process: it has a session of its own, so that neither a terminal's keys nor a signal to our process group reach it, and is
// never told to end but by Kill. It finds out that this process is gone by the end of its standard input. It is the one exception to the package's invariant.
type Detached struct {
	cmd    *exec.Cmd
	input  *os.File
	output *os.File
	said   tail
	name   string

	exited  chan struct{} // closed once the program has ended, and failure is set
	failure error
}

// Detach starts a program in the folder /. What is written to the Detached it reads, and what it prints is read from it. Stdin, Grace and Drain of the command have no
// meaning.
func Detach(c Command) (*Detached, error) {
	c.Name = cmp.Or(c.Name, c.Args[0])
	theirs, input, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", c.Name, err)
	}
	defer theirs.Close()
	output, w, err := os.Pipe()
	if err != nil {
		input.Close()
		return nil, fmt.Errorf("run %s: %w", c.Name, err)
	}
	defer w.Close()
	cmd := exec.Command(c.Args[0], c.Args[1:]...)
	d := &Detached{cmd: cmd, input: input, output: output, name: c.Name, exited: make(chan struct{})}
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = "/", append([]string{}, c.Env...), theirs, w, c.Stderr, c.Files
	if c.Stderr == nil {
		cmd.Stderr = &d.said
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.WaitDelay = late
	if err := cmd.Start(); err != nil {
		input.Close()
		output.Close()
		return nil, fmt.Errorf("run %s: %w", c.Name, plain(err))
	}
	go func() {
		d.failure = cmd.Wait()
		close(d.exited)
	}()
	return d, nil
}

// Pid returns the program's process.
func (d *Detached) Pid() int { return d.cmd.Process.Pid }

// Read reads what the program prints, until it ends or closes its output.
func (d *Detached) Read(b []byte) (int, error) { return d.output.Read(b) }

// Write writes to the program's standard input.
func (d *Detached) Write(b []byte) (int, error) { return d.input.Write(b) }

// SetReadDeadline is that of os.File.
func (d *Detached) SetReadDeadline(t time.Time) error { return d.output.SetReadDeadline(t) }

// SetWriteDeadline is that of os.File.
func (d *Detached) SetWriteDeadline(t time.Time) error { return d.input.SetWriteDeadline(t) }

// Close ends the program's standard input and what is read of it, and waits for its end for as long as given. The error is that of the program, with what it said; or that
// it still runs.
func (d *Detached) Close(wait time.Duration) error {
	d.input.Close()
	defer d.output.Close()
	select {
	case <-d.exited:
	case <-time.After(wait):
		return fmt.Errorf("run %s: process %d has not ended in %v", d.name, d.Pid(), wait)
	}
	if d.failure == nil {
		return nil
	}
	return &failure{err: fmt.Errorf("run %s: %w", d.name, d.failure), said: d.said.String()}
}

// Kill kills the program, and nothing that it has started.
func (d *Detached) Kill() { _ = d.cmd.Process.Kill() }
