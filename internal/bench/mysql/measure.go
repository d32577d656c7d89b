package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// cost is what a step took.
type cost struct {
	wall, cpu, server time.Duration // CPU time of the programs, and of the server meanwhile
	peak              int64         // bytes of the largest process
	waits             waits
	bytes             int64 // what it left on the disk; 0: not counted
}

// tool is a way to do a step: a shell's command line, with what has to be ready before and what counts after.
type tool struct {
	name   string
	needs  []string // programs; where one is missing, the tool is left out aloud
	before func(context.Context) error
	line   string
	env    []string
	left   string // a folder or file whose growth counts
	target *instance
	once   bool // it takes long: one round is enough
}

// step runs a tool once, with writers if wanted.
func (b *bench) step(ctx context.Context, t tool, writing bool) (c cost, err error) {
	if t.before != nil {
		if err := t.before(ctx); err != nil {
			return c, fmt.Errorf("%s: %w", t.name, err)
		}
	}
	before, err := sizeOf(t.left)
	if err != nil {
		return c, err
	}
	syscall.Sync()
	spent, err := t.target.used()
	if err != nil {
		return c, err
	}
	w := &writers{stop: func() {}}
	if writing {
		w = b.write(ctx)
		time.Sleep(200 * time.Millisecond) // they are under way
		w.forget()
	}
	cmd := exec.CommandContext(ctx, "bash", "-c", "set -e -o pipefail; "+t.line)
	cmd.Dir, cmd.Env = b.dir, b.environment(t.env)
	var said bytes.Buffer
	cmd.Stderr = &said
	start := time.Now()
	failed := cmd.Run()
	c.wall = time.Since(start)
	c.waits, err = w.waited()
	if failed != nil || err != nil {
		return c, fmt.Errorf("%s: %v, writers: %v: %s", t.name, failed, err, lastOf(said.String()))
	}
	c.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	c.peak = cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
	after, err := sizeOf(t.left)
	c.bytes = after - before
	now, err2 := t.target.used()
	if err == nil {
		err = err2
	}
	c.server = now - spent
	return c, err
}

// forget drops the waits so far.
func (w *writers) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waits = nil
}

func lastOf(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}

// environment is our own, without what would steer a tool.
func (b *bench) environment(more []string) []string {
	var env []string
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		prefix, _, _ := strings.Cut(name, "_")
		switch prefix {
		case "NIGHTJAR", "MYSQL", "MARIADB", "PASSPHRASE", "GNUPGHOME", "TMPDIR", "HOME":
		default:
			env = append(env, v)
		}
	}
	return append(append(env, "TMPDIR="+b.at("temp"), "HOME="+b.at("temp")), more...)
}

// sizeOf counts the bytes of the files in a folder, or of one.
func sizeOf(path string) (size int64, err error) {
	if path == "" {
		return 0, nil
	}
	err = filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	if os.IsNotExist(err) {
		return 0, nil
	}
	return size, err
}

// compare runs each tool in turn, as often as rounds says, and prints medians, and how the first tool's time compares with the others'.
func (b *bench) compare(ctx context.Context, title string, tools []tool, rounds int, writing bool) (map[string]cost, error) {
	fmt.Fprintf(b.out, "\n%s; medians of %d\n\n", title, rounds)
	fmt.Fprintf(b.out, "%-44s %8s %8s %9s %9s %9s %9s %8s %12s %7s\n", "", "wall s", "CPU s", "server s", "peak MiB", "max wait", "99.9%", "99%", "bytes", "ratio")
	all := map[string][]cost{}
	tools = slices.DeleteFunc(tools, func(t tool) bool { return b.missing(t) })
	for round := range rounds {
		for _, t := range tools {
			if t.once && round > 0 {
				continue
			}
			c, err := b.step(ctx, t, writing)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil {
				b.failed++
				fmt.Fprintf(b.out, "%-44s FAILED: %v\n", t.name, err)
				continue
			}
			all[t.name] = append(all[t.name], c)
		}
	}
	medians := map[string]cost{}
	for _, t := range tools {
		if len(all[t.name]) == 0 {
			continue
		}
		c := medianOf(all[t.name])
		medians[t.name] = c
		ratio := "-"
		if mine := medians[tools[0].name]; mine.wall > 0 {
			ratio = fmt.Sprintf("%.2f", mine.wall.Seconds()/c.wall.Seconds())
		}
		fmt.Fprintf(b.out, "%-44s %8.2f %8.2f %9.2f %9d %9s %9s %8s %12d %7s\n", t.name, c.wall.Seconds(), c.cpu.Seconds(), c.server.Seconds(), c.peak>>20,
			milliseconds(c.waits.max), milliseconds(c.waits.p999), milliseconds(c.waits.p99), c.bytes, ratio)
	}
	return medians, nil
}

func milliseconds(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}

// missing says aloud that a tool is left out.
func (b *bench) missing(t tool) bool {
	for _, program := range t.needs {
		if _, err := exec.LookPath(program); err != nil {
			fmt.Fprintf(b.out, "%-44s NOT MEASURED: %v\n", t.name, err)
			return true
		}
	}
	return false
}

// medianOf takes the median of each figure by itself, but the longest of all waits.
func medianOf(all []cost) (m cost) {
	duration := func(of func(cost) time.Duration) time.Duration {
		var d []time.Duration
		for _, c := range all {
			d = append(d, of(c))
		}
		slices.Sort(d)
		return d[len(d)/2]
	}
	m.wall = duration(func(c cost) time.Duration { return c.wall })
	m.cpu = duration(func(c cost) time.Duration { return c.cpu })
	m.server = duration(func(c cost) time.Duration { return c.server })
	m.waits.p99 = duration(func(c cost) time.Duration { return c.waits.p99 })
	m.waits.p999 = duration(func(c cost) time.Duration { return c.waits.p999 })
	for _, c := range all {
		m.peak, m.waits.max, m.bytes = max(m.peak, c.peak), max(m.waits.max, c.waits.max), c.bytes
	}
	return m
}
