package main

import (
	"context"
	"fmt"
	"path/filepath"

	"nightjar/internal/bench/workload"
)

// dump is two nights of an SQL dump.
func (w *work) dump(ctx context.Context) error {
	dump := workload.Dump{Size: int64(300e6 * w.scale), Seed: w.seed}
	file := filepath.Join(w.source, "shop.sql")
	first, err := dump.First(file)
	if err != nil {
		return err
	}
	if err := w.begin(ctx, "an SQL dump of %d bytes, %d rows", first.Bytes, first.Rows); err != nil {
		return err
	}
	if err := w.backup(ctx, w.tools, "first"); err != nil {
		return err
	}
	second, err := dump.Second(file)
	if err != nil {
		return err
	}
	if err := w.backup(ctx, w.tools, "second night"); err != nil {
		return err
	}
	if err := w.restore(ctx, w.tools, "restore", "second night", 1); err != nil {
		return err
	}
	fmt.Fprintf(w.out, "\nsecond night: %d rows changed, %d inserted, %d deleted\n", second.Changed, second.Inserted, second.Deleted)
	w.ratios()

	w.atMost("second night: added, of restic's", w.against("restic", "second night", added), 0.2, times)
	w.atMost("second night: added, of duplicity's", w.against("duplicity", "second night", added), 1, times)
	return nil
}
