// Package runner runs jobs of the job file, each as a nightjar of its own: so each has its own memory, and none can take another with it.
//
// The invariant: what a child prints is bounded before it is kept, and passed on as it comes. The package prints nothing itself, and neither reads the environment nor the clock.
package runner

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"time"

	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/internal/child"
	"nightjar/internal/quote"
)

const (
	maxOutput = 4 << 20 // bytes that a child prints that are read; of more nothing is made
	maxLine   = 8 << 10 // bytes of a line of standard error
	grace     = 30 * time.Second
)

// A Child is a command line of nightjar.
type Child struct {
	Name string   // in errors
	Args []string // the program and its arguments
	Env  []string
	Line func(line string) // told of each line on standard error but for the last words, as they are in a Ran; from one goroutine at a time
	Each func(json []byte) // of a child that goes on until it is stopped: told of each line of JSON that it prints, the last of which is the result; nil: it prints one value
}

// A Ran is how a child ended.
type Ran struct {
	Exit   int
	Error  string // the last error or warning, in words; empty: none
	Hint   string // what to do about it; empty: nobody knows
	Result []byte // what it printed as JSON; nil: nothing, too much or something else
}

// Run runs a child to its end. The error is that it could not be run, or that ctx ended.
func Run(ctx context.Context, c Child) (Ran, error) {
	said := &lines{pass: c.Line}
	p, err := child.Start(ctx, child.Command{Name: c.Name, Args: c.Args, Env: c.Env, Stderr: said, Grace: grace, Drain: time.Second})
	if err != nil {
		return Ran{Exit: outcome.Failed, Error: err.Error()}, err
	}
	defer p.Stop()
	read := readAll
	if c.Each != nil {
		read = func(from io.Reader) ([]byte, error) { return readEach(from, c.Each) }
	}
	out, err := read(p)
	said.end()
	r := Ran{Error: said.error, Hint: said.hint}
	var result bytes.Buffer
	if json.Compact(&result, out) == nil && result.Len() > 0 {
		r.Result = result.Bytes()
	}
	var exit interface {
		ExitCode() int
		Sys() any
	}
	switch {
	case ctx.Err() != nil:
		r.Exit = outcome.Interrupted
		return r, context.Cause(ctx)
	case err == nil: // warnings are none of a failure
		said.flush()
		r.Error, r.Hint = "", ""
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		r.Exit = exit.ExitCode()
	default:
		r.Exit, r.Error, r.Hint = outcome.Failed, err.Error(), ""
		if exit != nil {
			if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
				r.Error = fmt.Sprintf("it was killed by signal %d (%v)", int(status.Signal()), status.Signal())
				if status.Signal() == syscall.SIGKILL {
					r.Hint = "if nobody sent that signal, the kernel did, for want of memory: journalctl -k, or dmesg, then says so"
				}
			}
		}
	}
	return r, nil
}

// readAll reads all that a child prints; of too much it returns nothing.
func readAll(from io.Reader) ([]byte, error) {
	out, err := io.ReadAll(io.LimitReader(from, maxOutput+1))
	if len(out) > maxOutput {
		_, err = io.Copy(io.Discard, from)
		out = nil
	}
	return out, err
}

// readEach tells of each line of JSON, and returns the last. A line that is too long ends that.
func readEach(from io.Reader, each func([]byte)) (last []byte, err error) {
	in := bufio.NewScanner(from)
	in.Buffer(nil, maxOutput)
	for in.Scan() {
		if json.Valid(in.Bytes()) {
			last = bytes.Clone(in.Bytes())
			each(last)
		}
	}
	if err = in.Err(); errors.Is(err, bufio.ErrTooLong) {
		_, err = io.Copy(io.Discard, from)
	}
	return last, err
}

// lines passes on whole lines, and holds back nightjar's own last words.
type lines struct {
	mu          sync.Mutex
	pass        func(string)
	part        []byte
	held        []string // the error and the hint, as they were printed
	error, hint string
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for rest := b; len(rest) > 0; {
		line, more, whole := bytes.Cut(rest, []byte("\n"))
		l.part = append(l.part, line[:min(len(line), maxLine-len(l.part))]...)
		if whole {
			l.line(string(l.part))
			l.part = l.part[:0]
		}
		rest = more
	}
	return len(b), nil
}

func (l *lines) line(text string) {
	if hint, ok := strings.CutPrefix(text, "nightjar: hint: "); ok && len(l.held) > 0 {
		l.hint = quote.Undisplay(hint)
		l.held = append(l.held, text)
		return
	}
	l.flush()
	for _, kind := range []string{"error", "warning"} {
		if said, ok := strings.CutPrefix(text, "nightjar: "+kind+": "); ok {
			l.error, l.hint, l.held = quote.Undisplay(said), "", []string{text}
			return
		}
	}
	l.tell(text)
}

// flush passes on what was held back, and was not the end.
func (l *lines) flush() {
	for _, text := range l.held {
		l.tell(text)
	}
	l.held = nil
}

func (l *lines) tell(text string) {
	if l.pass != nil {
		l.pass(text)
	}
}

// end takes what is left.
func (l *lines) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.part) > 0 {
		l.line(string(l.part))
		l.part = nil
	}
}
