package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// bench is one run: what was asked for, and what came of it so far.
type bench struct {
	options
	root, temp           string // folders
	keyring, fingerprint string // duplicity's
	out                  io.Writer
	verdicts             []verdict
	failed               int
}

// work is one thing to back up, in a folder of its own, by tools with repositories of their own there.
type work struct {
	*bench
	name        string
	dir, source string
	tools       []tool // nightjar first
	rows        []row
}

// works are what there is to measure, in this order.
var works = []struct {
	name string
	do   func(*work, context.Context) error
}{
	{"tree", (*work).tree},
	{"database", (*work).database},
	{"tablespace", (*work).tablespace},
	{"dump", (*work).dump},
	{"stream", (*work).stream},
}

func workNames() []string {
	var names []string
	for _, w := range works {
		names = append(names, w.name)
	}
	return names
}

// do makes the folder for a work, does it, and removes the folder.
func (b *bench) do(ctx context.Context, name string, do func(*work, context.Context) error) error {
	dir := filepath.Join(b.root, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	w := &work{bench: b, name: name, dir: dir, source: filepath.Join(dir, "source"), tools: []tool{nightjar(b.nightjar, dir)}}
	if b.restic != "" {
		w.tools = append(w.tools, restic(b.restic, dir))
	}
	if b.borg != "" {
		w.tools = append(w.tools, borg(b.borg, dir))
	}
	if b.duplicity != "" {
		w.tools = append(w.tools, duplicity(b.duplicity, dir, b.keyring, b.fingerprint))
	}
	if err := do(w, ctx); err != nil || b.keep {
		return err
	}
	return os.RemoveAll(dir)
}

// begin says what the work is, and makes the repositories.
func (w *work) begin(ctx context.Context, format string, args ...any) error {
	w.header(fmt.Sprintf(format, args...))
	for _, t := range w.tools {
		if len(t.init) == 0 {
			continue
		}
		if r, err := w.measure(ctx, t, "init", command{argv: t.init}); err != nil || r.failed() {
			return errors.Join(fmt.Errorf("%s init: %s", t.name, r.note), err)
		}
	}
	return nil
}

// backup has tools back up the source.
func (w *work) backup(ctx context.Context, tools []tool, step string) error {
	for _, t := range tools {
		r, err := w.measure(ctx, t, step, command{argv: t.backup(label(step), w.source)})
		if err != nil {
			return err
		}
		w.add(r)
	}
	return nil
}

// label makes a name of a step that is fit for files and archives.
func label(step string) string { return strings.ReplaceAll(step, " ", "-") }

// restore has tools restore what they saved in a step, and compares that with the source. Of several
// tries the fastest counts, unless one fails.
func (w *work) restore(ctx context.Context, tools []tool, step, saved string, tries int) error {
	want, err := readManifest(w.source)
	if err != nil {
		return err
	}
	for _, t := range tools {
		var best row
		for n := range tries {
			r, err := w.restoreOne(ctx, t, step, saved, want)
			if err != nil {
				return err
			}
			if n == 0 || r.failed() || r.cost.Wall < best.cost.Wall {
				best = r
			}
			if r.failed() {
				break
			}
		}
		w.add(best)
	}
	return nil
}

func (w *work) restoreOne(ctx context.Context, t tool, step, saved string, want manifest) (row, error) {
	target := filepath.Join(w.dir, "restored")
	if err := os.Mkdir(target, 0o755); err != nil {
		return row{}, err
	}
	r, err := w.measure(ctx, t, step, command{argv: t.restore(label(saved), target)})
	if err != nil {
		return row{}, err
	}
	got, err := readManifest(restoredRoot(target, w.source))
	if err != nil {
		return row{}, err
	}
	if t.seconds {
		want, got = want.inSeconds(), got.inSeconds()
	}
	if differences := want.compare(got); len(differences) > 0 {
		r.note = strings.TrimSpace(fmt.Sprintf("%s %d DIFFER, first %s", r.note, len(differences), differences[0]))
		r.bad = true
	} else if !r.failed() {
		r.note = "identical"
	}
	return r, os.RemoveAll(target)
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
