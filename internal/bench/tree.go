package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"nightjar/internal/bench/workload"
)

// tree is two nights of a server's files, and a full restore of the second.
func (w *work) tree(ctx context.Context) error {
	plan, err := workload.New(w.scale, w.seed)
	if err != nil {
		return err
	}
	first, err := plan.Create(w.source)
	if err != nil {
		return err
	}
	if err := w.begin(ctx, "first night: %d files, %d bytes", first.Files, first.Bytes); err != nil {
		return err
	}
	if err := w.floors(ctx); err != nil {
		return err
	}
	for _, step := range []string{"first", "unchanged"} {
		if err := w.backup(ctx, w.tools, step); err != nil {
			return err
		}
	}
	second, err := plan.Mutate(w.source)
	if err != nil {
		return err
	}
	if err := w.backup(ctx, w.tools, "second night"); err != nil {
		return err
	}
	if err := w.restore(ctx, w.tools, "restore", "second night", 1); err != nil {
		return err
	}
	fmt.Fprintf(w.out, "\nsecond night: %d new files (%d bytes), %d deleted, %d changed (of %d bytes)\n",
		second.Files, second.Bytes, second.Deleted, second.Changed, second.ChangedBytes)
	w.ratios()

	w.atMost("first backup: wall, of restic's", w.against("restic", "first", wall), 0.55, times)
	w.atMost("first backup: CPU, of restic's", w.against("restic", "first", cpu), 0.65, times)
	w.atMost("first backup: repository, of restic's", w.against("restic", "first", repo), 0.99, times)
	w.atMost("first backup: peak", w.of("nightjar", "first", peak), 200<<20, mebibytes)
	w.atMost("unchanged run: wall, of restic's", w.against("restic", "unchanged", wall), 0.25, times)
	w.atMost("second night: added", w.of("nightjar", "second night", added), 3e6*w.scale, megabytes)
	w.atMost("second night: wall, of restic's", w.against("restic", "second night", wall), 0.3, times)
	w.atMost("full restore: wall, of restic's", w.against("restic", "restore", wall), 0.7, times)
	w.atMost("full restore: user CPU, of restic's", w.against("restic", "restore", user), 0.6, times)
	w.atMost("full restore: peak", w.of("nightjar", "restore", peak), 250<<20, mebibytes)
	return nil
}

// floors measures what every backup and every restore has to do.
func (w *work) floors(ctx context.Context) error {
	read := command{argv: []string{"sh", "-c", `tar c "$0" | cat >/dev/null`, w.source}}
	floor := tool{name: "floor"}
	if _, err := w.measure(ctx, floor, "warm", read); err != nil {
		return err
	}
	r, err := w.measure(ctx, floor, "tar | cat", read)
	if err != nil {
		return err
	}
	w.add(r)
	copied := filepath.Join(w.dir, "copy")
	r, err = w.measure(ctx, floor, "cp -a", command{argv: []string{"cp", "-a", w.source, copied}})
	if err != nil {
		return err
	}
	w.add(r)
	return os.RemoveAll(copied)
}
