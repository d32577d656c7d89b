package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// cost is what a command took, with all its children that it waited for.
type cost struct {
	Wall, User, System time.Duration
	Peak               int64 // bytes of the largest process
	Exit               int
	Error              string // why there is no exit code: not started, killed
}

// measureVerb is the first argument of the process between us and what we measure. A process begins
// life with the peak of the one that started it, and ours holds manifests: the one in between is small.
const measureVerb = "measure-one"

// measureChild is that process: it runs a command, whose standard files are its own, and writes its cost
// to file descriptor 3.
func measureChild(argv []string) {
	const report = 3
	syscall.CloseOnExec(report)
	runtime.LockOSThread() // which the death signal below goes by
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	start := time.Now()
	err := cmd.Run()
	c := cost{Wall: time.Since(start)}
	var exit *exec.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.Exited()) {
		c.Error = err.Error()
	}
	if p := cmd.ProcessState; p != nil {
		c.User, c.System, c.Exit = p.UserTime(), p.SystemTime(), p.ExitCode()
		c.Peak = p.SysUsage().(*syscall.Rusage).Maxrss << 10
	}
	if err := json.NewEncoder(os.NewFile(report, "report")).Encode(c); err != nil {
		fmt.Fprintln(os.Stderr, "bench: report cost:", err)
		os.Exit(1)
	}
}

// A command is what is measured. Its standard input is empty and its standard output goes to the log,
// unless they are given.
type command struct {
	argv          []string
	stdin, stdout *os.File
}

// measureCommand runs a command, what it says into log, and says what it took.
func measureCommand(ctx context.Context, dir string, env []string, c command, log *os.File) (cost, error) {
	self, err := os.Executable()
	if err != nil {
		return cost{}, fmt.Errorf("measure %s: %w", c.argv[0], err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return cost{}, fmt.Errorf("measure %s: %w", c.argv[0], err)
	}
	defer r.Close()
	cmd := exec.CommandContext(ctx, self, append([]string{measureVerb}, c.argv...)...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = dir, env, log, log, []*os.File{w}
	if c.stdin != nil {
		cmd.Stdin = c.stdin
	}
	if c.stdout != nil {
		cmd.Stdout = c.stdout
	}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return cost{}, fmt.Errorf("measure %s: %w", c.argv[0], err)
	}
	var took cost
	err = json.NewDecoder(r).Decode(&took)
	if err := errors.Join(cmd.Wait(), err); err != nil {
		return cost{}, fmt.Errorf("measure %s: %w", c.argv[0], err)
	}
	return took, nil
}

// measure runs one step of a tool. Only what keeps us from measuring is an error; a tool that failed
// is a row that says so.
func (w *work) measure(ctx context.Context, t tool, step string, c command) (row, error) {
	before, err := treeSize(t.repo)
	if err != nil {
		return row{}, err
	}
	name := filepath.Join(w.dir, fmt.Sprintf("log.%s.%s", t.name, strings.ReplaceAll(step, " ", "-")))
	log, err := os.Create(name)
	if err != nil {
		return row{}, err
	}
	defer log.Close()
	if w.settle != nil {
		w.settle()
	}
	took, err := measureCommand(ctx, w.dir, w.environment(t), c, log)
	if err != nil {
		return row{}, err
	}
	after, err := treeSize(t.repo)
	if err != nil {
		return row{}, err
	}
	r := row{tool: t.name, step: step, cost: took, repo: after, added: after - before}
	if r.failed() {
		said, err := os.ReadFile(name)
		if err != nil {
			return row{}, err
		}
		r.note = fmt.Sprintf("FAILED (%s)", took.ending(said))
	}
	return r, nil
}

// ending says how a command ended and the last line that it printed.
func (c cost) ending(output []byte) string {
	how := fmt.Sprintf("exit %d", c.Exit)
	if c.Error != "" {
		how = c.Error
	}
	output = bytes.TrimSpace(output)
	last := string(output[bytes.LastIndexByte(output, '\n')+1:])
	if last == "" {
		return how
	}
	return how + ": " + last
}
