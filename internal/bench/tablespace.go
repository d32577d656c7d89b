package main

import (
	"context"
	"path/filepath"

	"nightjar/internal/bench/workload"
)

// tableNight is what a night may add, in parts of the first: with a grid that follows the pages it is 2%, without 3%. (Of a real table, copied by
// mariadb-backup, 2.4% and 5%.)
const tableNight = 0.025

// tablespace is two nights of a table of InnoDB, of which rows change here and there.
func (w *work) tablespace(ctx context.Context) error {
	table := workload.Tablespace{Size: int64(470e6 * w.scale), Seed: w.seed}
	file := filepath.Join(w.source, "shop", "orders.ibd")
	if err := table.Create(file); err != nil {
		return err
	}
	if err := w.begin(ctx, "1 table of %d bytes; every night changes 1%% of its rows, and so 46%% of its pages", table.Size); err != nil {
		return err
	}
	if err := w.backup(ctx, w.tools, night(1)); err != nil {
		return err
	}
	if err := table.Change(file); err != nil {
		return err
	}
	if err := w.backup(ctx, w.tools, night(2)); err != nil {
		return err
	}
	if err := w.restore(ctx, w.tools, "restore 2", night(2), 1); err != nil {
		return err
	}
	w.ratios()
	w.atMost("night 2: added, of night 1's", w.of("nightjar", night(2), added).per(w.of("nightjar", night(1), added)), tableNight, perMille)
	return nil
}
