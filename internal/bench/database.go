package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"nightjar/internal/bench/workload"
)

const (
	nights = 30
	tries  = 3 // of the restores that are compared with each other, which are short
)

func night(n int) string { return fmt.Sprintf("night %d", n) }

// database is one large file of which pages change: two nights of every tool, then the rest of nightjar's
// alone, since others would fill the disk.
func (w *work) database(ctx context.Context) error {
	db := workload.Database{Size: int64((1 << 30) * w.scale), Pages: max(1, int(2000*w.scale)), Seed: w.seed}
	file := filepath.Join(w.source, "ibdata1")
	if err := db.Create(file); err != nil {
		return err
	}
	compressed, err := compressedSize(file)
	if err != nil {
		return err
	}
	if err := w.begin(ctx, "1 file of %d bytes, %d in zstd; %d of its 16 KiB pages change every night", db.Size, compressed, db.Pages); err != nil {
		return err
	}
	if err := w.backup(ctx, w.tools, night(1)); err != nil {
		return err
	}
	mine, others := w.tools[:1], w.tools[1:]
	if err := w.restore(ctx, mine, "restore 1", night(1), tries); err != nil {
		return err
	}
	if err := w.restore(ctx, others, "restore 1", night(1), 1); err != nil {
		return err
	}
	if err := db.Change(file); err != nil {
		return err
	}
	if err := w.backup(ctx, w.tools, night(2)); err != nil {
		return err
	}
	for n := 3; n <= nights; n++ {
		if err := db.Change(file); err != nil {
			return err
		}
		r, err := w.measure(ctx, mine[0], night(n), command{argv: mine[0].backup(label(night(n)), w.source)})
		if err != nil {
			return err
		}
		if n%10 == 0 || r.failed() {
			w.add(r)
		}
	}
	if err := w.restore(ctx, mine, "restore 30", night(nights), tries); err != nil {
		return err
	}
	w.ratios()

	changed := float64(db.Pages * workload.PageChange * (nights - 1))
	w.atMost("night 2: added", w.of("nightjar", night(2), added), 4e6*w.scale, megabytes)
	w.atMost("night 2: wall, of restic's", w.against("restic", night(2), wall), 0.5, times)
	w.atMost("night 30: added, of night 2's", w.of("nightjar", night(30), added).per(w.of("nightjar", night(2), added)), 2, times)
	w.atMost("restoring night 30: wall, of night 1's", w.of("nightjar", "restore 30", wall).per(w.of("nightjar", "restore 1", wall)), 1.25, times)
	w.atMost("night 30: repository, to 1.5 compressed and changes", w.of("nightjar", night(30), repo), 1.5*float64(compressed)+changed, megabytes)
	return nil
}

// compressedSize is what zstd makes of a file at its usual level.
func compressedSize(name string) (int64, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var size counter
	z, err := zstd.NewWriter(&size)
	if err != nil {
		return 0, err
	}
	if _, err := io.Copy(z, f); err != nil {
		return 0, err
	}
	if err := z.Close(); err != nil {
		return 0, err
	}
	return int64(size), nil
}

// counter is a writer that counts.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
