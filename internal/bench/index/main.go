// Command index measures what a large index costs: a repository is filled with index objects of chunks that do not exist, then backups
// begin, look chunks up, and commit. For each it prints how long the start took, what a lookup takes, and the peak of memory.
//
//	go run ./internal/bench/index -entries 100000000 -dir DIR
//
// It takes up to 140 bytes an entry in DIR (300 if all are large), and nothing is written elsewhere. The local index is made from the sealed objects as any
// host makes it; only what is in them is made up.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

type options struct {
	entries int
	large   float64
	lookups int
	dir     string
}

// stepVerb is the first argument of a process that measures one step.
const stepVerb = "measure-step"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == stepVerb {
		stepChild(ctx, os.Args[2:])
		return
	}
	var o options
	flag.IntVar(&o.entries, "entries", 10_000_000, "how many `chunks` are indexed")
	flag.Float64Var(&o.large, "large", 0.1, "the `share` of them that is of a megabyte, with frames to themselves; 64 of the others share one")
	flag.IntVar(&o.lookups, "lookups", 100_000, "how many `chunks` each backup looks up that are known, and that are not")
	flag.StringVar(&o.dir, "dir", "", "an empty or new `folder` for the repository and the local index (required)")
	flag.Parse()
	if o.dir == "" || o.entries < 1 || o.lookups < 1 || o.large < 0 || o.large > 1 || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench index:", err)
		os.Exit(1)
	}
}

// run measures everything and prints it to w.
func run(ctx context.Context, o options, w io.Writer) (err error) {
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	if left, err := os.ReadDir(o.dir); err != nil {
		return err
	} else if len(left) > 0 {
		return fmt.Errorf("%s is not empty: name another folder, or remove what is in it", o.dir)
	}
	s := site{o.dir}
	defer func() {
		err = errors.Join(err, os.RemoveAll(s.store()), os.RemoveAll(s.cache()), os.Remove(s.key()))
	}()
	if err := s.create(ctx); err != nil {
		return err
	}
	began := time.Now()
	if err := s.add(ctx, 0, o.entries, o.large); err != nil {
		return err
	}
	objects, stored, err := size(filepath.Join(s.store(), "index"))
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%d entries in %d index objects, %.1f bytes an entry, made in %.1f s\n\n", o.entries, objects, float64(stored)/float64(o.entries), time.Since(began).Seconds())
	fmt.Fprintf(w, "%-18s %8s %9s %9s %11s %6s %8s\n", "step", "start s", "peak MiB", "known µs", "unknown µs", "files", "B/entry")
	known := o.entries
	for _, step := range steps {
		if step.more != nil {
			more := step.more(o.entries)
			if err := s.add(ctx, known, known+more, o.large); err != nil {
				return err
			}
			known += more
		}
		if step.cold {
			if err := s.forget(); err != nil {
				return err
			}
		}
		c, err := s.measured(ctx, known, o.lookups)
		if err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		files, local, err := size(s.cache())
		if err != nil {
			return err
		}
		microseconds := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
		fmt.Fprintf(w, "%-18s %8.3f %9.0f %9.1f %11.1f %6d %8.1f\n", step.name, c.Start.Seconds(), float64(c.Peak)/(1<<20),
			microseconds(c.Known), microseconds(c.Unknown), files, float64(local)/float64(known))
	}
	return nil
}

func (s site) add(ctx context.Context, first, end int, large float64) error {
	r, err := s.open(ctx)
	if err != nil {
		return err
	}
	return errors.Join(fill(ctx, r, first, end, large), r.Close())
}

// measured is measure in a process of its own.
func (s site) measured(ctx context.Context, known, lookups int) (c cost, err error) {
	self, err := os.Executable()
	if err != nil {
		return c, err
	}
	cmd := exec.CommandContext(ctx, self, stepVerb, s.dir, strconv.Itoa(known), strconv.Itoa(lookups))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Run(); err != nil {
		return c, err
	}
	return c, json.Unmarshal(out.Bytes(), &c)
}

func stepChild(ctx context.Context, args []string) {
	var known, lookups int
	_, err := fmt.Sscan(args[1]+" "+args[2], &known, &lookups)
	var c cost
	if err == nil {
		c, err = site{args[0]}.measure(ctx, known, lookups)
	}
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(c)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench index:", err)
		os.Exit(1)
	}
}

// size returns how many files a folder holds, and their bytes.
func size(dir string) (files int, bytes int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			files, bytes = files+1, bytes+info.Size()
		}
		return err
	})
	return files, bytes, err
}
