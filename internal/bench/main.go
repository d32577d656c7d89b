// Command bench measures nightjar beside Debian's restic on a workload of its own making: first
// backup, unchanged second run, second night and full restore, with the floors that no tool gets under
// (reading the tree, copying it). Every restored tree is compared with its source.
//
//	go run ./internal/bench -scale 0.1 -dir DIR
//
// All steps run on a warm page cache and after a sync; what a step costs is what the kernel says of the
// finished process and its children. Nothing is written outside DIR. It measures once: on a busy
// machine, measure again.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"nightjar/internal/bench/workload"
)

type options struct {
	scale            float64
	seed             uint64
	dir              string
	nightjar, restic string // programs; empty: built from this tree, and left out
	keep             bool
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == measureVerb {
		measureChild(os.Args[2:])
		return
	}
	var o options
	flag.Float64Var(&o.scale, "scale", 0.1, "`fraction` of 174,531 files and 5.08 GB; 1 needs 30 GB of disk")
	flag.Uint64Var(&o.seed, "seed", 1, "what names and contents follow from")
	flag.StringVar(&o.dir, "dir", "", "an empty or new `folder` for trees and repositories (required)")
	flag.StringVar(&o.nightjar, "nightjar", "", "the `program` to measure (default: built from this tree)")
	flag.StringVar(&o.restic, "restic", "restic", "the `program` to measure beside it; empty for none")
	flag.BoolVar(&o.keep, "keep", false, "leave trees, repositories and logs in the folder")
	flag.Parse()
	if o.dir == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if _, err := exec.LookPath(o.restic); o.restic != "" && err != nil {
		fmt.Fprintln(os.Stderr, "bench: measuring without restic:", err)
		o.restic = ""
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures everything and prints the table to w. A step that fails is a row that says so, and an
// error at the end.
func run(ctx context.Context, o options, w io.Writer) (err error) {
	dir, err := filepath.Abs(o.dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if left, err := os.ReadDir(dir); err != nil {
		return err
	} else if len(left) > 0 {
		return fmt.Errorf("%s is not empty: name another folder, or remove what is in it", dir)
	}
	if !o.keep {
		defer func() { err = errors.Join(err, empty(dir)) }()
	}
	if o.nightjar == "" {
		o.nightjar = filepath.Join(dir, "nightjar")
		if err := build(ctx, o.nightjar); err != nil {
			return err
		}
	} else if o.nightjar, err = filepath.Abs(o.nightjar); err != nil {
		return err
	}
	b := &bench{dir: dir, source: filepath.Join(dir, "source"), w: w}
	b.tools = append(b.tools, nightjar(o.nightjar, dir))
	if o.restic != "" {
		b.tools = append(b.tools, restic(o.restic, dir))
	}
	plan, err := workload.New(o.scale, o.seed)
	if err != nil {
		return err
	}
	if err := b.nights(ctx, plan); err != nil {
		return err
	}
	b.ratios()
	if b.failed > 0 {
		return fmt.Errorf("%d steps failed", b.failed)
	}
	return nil
}

func build(ctx context.Context, program string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", program, "nightjar/cmd/nightjar")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build nightjar: %w\n%s", err, out)
	}
	return nil
}

// empty removes what is in a folder, also where a restore left folders that cannot be written.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return err
}

// bench is one run: the tools, what they cost so far, and where things are.
type bench struct {
	dir, source string
	tools       []tool
	rows        []row
	failed      int
	w           io.Writer
}

func (b *bench) nights(ctx context.Context, plan *workload.Plan) error {
	made, err := plan.Create(b.source)
	if err != nil {
		return err
	}
	fmt.Fprintf(b.w, "first night: %d files, %d bytes\n\n", made.Files, made.Bytes)
	b.header()
	if err := b.floors(ctx); err != nil {
		return err
	}
	for _, t := range b.tools {
		if r, err := b.measure(ctx, t, "init", t.init); err != nil || r.failed() {
			return errors.Join(fmt.Errorf("%s init: %s", t.name, r.note), err)
		}
	}
	backup := func(step string) error {
		for _, t := range b.tools {
			r, err := b.measure(ctx, t, step, append(t.backup, b.source))
			if err != nil {
				return err
			}
			b.add(r)
		}
		return nil
	}
	for _, step := range []string{"first", "unchanged"} {
		if err := backup(step); err != nil {
			return err
		}
	}
	changed, err := plan.Mutate(b.source)
	if err != nil {
		return err
	}
	if err := backup("second night"); err != nil {
		return err
	}
	want, err := readManifest(b.source)
	if err != nil {
		return err
	}
	for _, t := range b.tools {
		if err := b.restore(ctx, t, want); err != nil {
			return err
		}
	}
	fmt.Fprintf(b.w, "\nsecond night: %d new files (%d bytes), %d deleted, %d changed (of %d bytes)\n",
		changed.Files, changed.Bytes, changed.Deleted, changed.Changed, changed.ChangedBytes)
	return nil
}

func (b *bench) floors(ctx context.Context) error {
	read := []string{"sh", "-c", `tar c "$0" | cat >/dev/null`, b.source}
	floor := tool{name: "floor"}
	if _, err := b.measure(ctx, floor, "warm", read); err != nil {
		return err
	}
	r, err := b.measure(ctx, floor, "tar | cat", read)
	if err != nil {
		return err
	}
	b.add(r)
	copied := filepath.Join(b.dir, "copy")
	r, err = b.measure(ctx, floor, "cp -a", []string{"cp", "-a", b.source, copied})
	if err != nil {
		return err
	}
	b.add(r)
	return os.RemoveAll(copied)
}

func (b *bench) restore(ctx context.Context, t tool, want manifest) error {
	target := filepath.Join(b.dir, "restored")
	if err := os.Mkdir(target, 0o755); err != nil {
		return err
	}
	r, err := b.measure(ctx, t, "restore", t.restore(target))
	if err != nil {
		return err
	}
	got, err := readManifest(restoredRoot(target, b.source))
	if err != nil {
		return err
	}
	if differences := want.compare(got); len(differences) > 0 {
		r.note = strings.TrimSpace(fmt.Sprintf("%s %d DIFFER, first %s", r.note, len(differences), differences[0]))
		r.bad = true
	} else if !r.failed() {
		r.note = "identical"
	}
	b.add(r)
	return os.RemoveAll(target)
}

// restoredRoot finds the source's counterpart below the target of a restore: some tools keep the
// absolute path, some the last name, some nothing.
func restoredRoot(target, source string) string {
	for _, root := range []string{filepath.Join(target, source), filepath.Join(target, filepath.Base(source))} {
		if st, err := os.Stat(root); err == nil && st.IsDir() {
			return root
		}
	}
	return target
}

// treeSize adds up the files of a folder, which need not exist.
func treeSize(dir string) (int64, error) {
	var size int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return size, err
}
