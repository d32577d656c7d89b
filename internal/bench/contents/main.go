// Command contents measures runs of many contents in one process: what memory takes that are open at the same time and
// hold no chunk boundary, what tables of one row cost beside files with the same in them, and what a night stores in
// which nothing has changed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"nightjar/backup"
	"nightjar/backup/content"
	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/internal/tempdir"
	"nightjar/repo"
	"nightjar/repo/keyring"
	"nightjar/repo/store/directory"
)

// limit is what nightjar sets itself, in bytes.
const limit = 180 << 20

type options struct {
	dir                  string
	open, tables, rounds int
	length               int // of each content that is open, in bytes
}

func main() {
	o := options{length: chunk.MaxSize - 1}
	flag.StringVar(&o.dir, "dir", "", "an empty or new `folder` for repositories and files (required)")
	flag.IntVar(&o.open, "open", 64, "how many contents are open at the same time, at most 256")
	flag.IntVar(&o.tables, "tables", 10_000, "how many tables of one row there are")
	flag.IntVar(&o.rounds, "rounds", 9, "how often files and tables are saved in turn; medians count")
	flag.Parse()
	if o.dir == "" {
		flag.Usage()
		os.Exit(2)
	}
	debug.SetMemoryLimit(limit)
	if err := o.run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "contents:", err)
		os.Exit(1)
	}
}

func (o *options) run(ctx context.Context, out io.Writer) error {
	if err := errors.Join(os.MkdirAll(o.dir, 0o755), os.Mkdir(o.at("temp"), 0o755)); err != nil {
		return err
	}
	defer os.RemoveAll(o.at("temp"))
	// First, since a process never forgets its peak.
	if err := o.memory(ctx, out); err != nil {
		return err
	}
	return o.small(ctx, out)
}

func (o *options) at(name string) string { return filepath.Join(o.dir, name) }

// with has f use a new repository.
func (o *options) with(ctx context.Context, f func(*repo.Repository) error) (err error) {
	at, err := os.MkdirTemp(o.dir, "repository-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(at)) }()
	d, err := directory.Create(filepath.Join(at, "store"))
	if err != nil {
		return err
	}
	defer d.Close()
	key, err := crypto.Generate("bench", time.Now(), nil)
	if err != nil {
		return err
	}
	keys, err := repo.Init(ctx, d, repo.InitOptions{HostName: "bench", Host: key, Recovery: []*crypto.Key{key}})
	if err != nil {
		return err
	}
	temp, err := tempdir.New(o.at("temp"))
	if err != nil {
		return err
	}
	r, err := repo.OpenContent(ctx, d, keys, keyring.Held(key), repo.Options{IndexDir: filepath.Join(at, "index"), Temp: temp})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if err := r.SetHost(key); err != nil {
		return err
	}
	return f(r)
}

// A cost is what something took.
type cost struct{ wall, cpu time.Duration }

func measure(f func() error) (cost, error) {
	start, before := time.Now(), used()
	err := f()
	return cost{time.Since(start), cpu(used()) - cpu(before)}, err
}

func used() (u syscall.Rusage) {
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // which cannot fail
	return u
}

func cpu(u syscall.Rusage) time.Duration { return time.Duration(u.Utime.Nano() + u.Stime.Nano()) }

func median(all []cost, of func(cost) time.Duration) time.Duration {
	var d []time.Duration
	for _, c := range all {
		d = append(d, of(c))
	}
	slices.Sort(d)
	return d[len(d)/2]
}

// memory writes to many contents in turn what has no chunk boundary and does not compress.
func (o *options) memory(ctx context.Context, out io.Writer) error {
	return o.with(ctx, func(r *repo.Repository) error {
		data := unbroken(r.Rule(), o.length)
		c, err := measure(func() error {
			_, _, err := backup.Save(ctx, r, &repo.Record{Job: "open"}, backup.Options{}, func(_ context.Context, run *backup.Run) (repo.Labels, error) {
				return nil, writeInTurn(run, data, o.open)
			})
			return err
		})
		fmt.Fprintf(out, "%d open contents of %d bytes without a boundary: peak %d MiB, %.2f CPU s\n", o.open, len(data), used().Maxrss>>10, c.cpu.Seconds())
		return err
	})
}

func writeInTurn(run *backup.Run, data []byte, open int) error {
	all := make([]*content.Content, open)
	for i := range all {
		c, err := run.Create(fmt.Sprint("content", i), content.Hint{})
		if err != nil {
			return err
		}
		defer c.Abort()
		if _, err := fmt.Fprintf(c, "%08d", i); err != nil { // or all would be one
			return err
		}
		all[i] = c
	}
	for part := range slices.Chunk(data[8:], 128<<10) {
		for _, c := range all {
			if _, err := c.Write(part); err != nil {
				return err
			}
		}
	}
	for _, c := range all {
		if err := c.Close(); err != nil {
			return err
		}
	}
	return nil
}

// unbroken returns n bytes that nothing compresses, and in which no chunk ends before it must.
func unbroken(rule chunk.Rule, n int) []byte {
	data, s := random(n), chunk.NewSplitter(rule)
	for end := s.Next(data); end >= 0 && end < rule.Max; end = s.Next(data) {
		data[end-1] ^= 1
		s.Reset()
	}
	return data
}
