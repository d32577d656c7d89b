package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"nightjar/internal/bench/stages"
	"nightjar/internal/bench/workload"
)

const streamName = "stream"

// stream is one long stream through standard input, and each stage of saving it by itself.
func (w *work) stream(ctx context.Context) error {
	size := int64(20e9 * w.scale)
	source := workload.NewStream(size, w.seed)
	w.tools = slices.DeleteFunc(w.tools, func(t tool) bool { return t.save == nil })
	if err := w.begin(ctx, "%d bytes through standard input", size); err != nil {
		return err
	}
	floor := tool{name: "floor", save: func(_, _ string) []string { return []string{"sh", "-c", "cat >/dev/null"} }}
	for _, t := range append([]tool{floor}, w.tools...) {
		r, err := w.save(ctx, t, source)
		if err != nil {
			return err
		}
		if !r.failed() {
			r.note = fmt.Sprintf("%.0f MB/s", float64(size)/1e6/wall(r))
		}
		w.add(r)
		if t.print == nil {
			continue
		}
		if r, err = w.print(ctx, t, source); err != nil {
			return err
		}
		w.add(r)
		if !w.keep {
			if err := os.RemoveAll(t.repo); err != nil { // two of them may be more than the disk holds
				return err
			}
		}
	}
	w.ratios()
	rates, err := w.stages(ctx, source)
	if err != nil {
		return err
	}
	slowest := stages.Slowest(rates)
	share := func(r row) float64 { return float64(size) / wall(r) / slowest.BytesPerSecond }
	w.atLeast(fmt.Sprintf("rate, of the slowest stage's (%s)", slowest.Stage), w.of("nightjar", "save", share), 0.6, percent)
	return nil
}

// save has a tool save the stream.
func (w *work) save(ctx context.Context, t tool, source *workload.Stream) (row, error) {
	from, to, err := os.Pipe()
	if err != nil {
		return row{}, err
	}
	sent := make(chan error, 1)
	go func() {
		_, err := source.WriteTo(to)
		sent <- errors.Join(err, to.Close())
	}()
	r, err := w.measure(ctx, t, "save", command{argv: t.save(streamName, streamName), stdin: from})
	from.Close() // or a tool that does not read all would keep us
	if unsent := <-sent; unsent != nil && !r.failed() {
		r.note, r.bad = fmt.Sprintf("FAILED (%v)", unsent), true
	}
	return r, err
}

// print has a tool print the stream, and compares.
func (w *work) print(ctx context.Context, t tool, source *workload.Stream) (row, error) {
	from, to, err := os.Pipe()
	if err != nil {
		return row{}, err
	}
	defer from.Close()
	compared := make(chan error, 1)
	go func() { compared <- compareStream(from, source) }()
	r, err := w.measure(ctx, t, "print", command{argv: t.print(streamName, streamName), stdout: to})
	to.Close()
	if difference := <-compared; difference != nil {
		r.note, r.bad = strings.TrimSpace(fmt.Sprintf("%s DIFFERS: %v", r.note, difference)), true
	} else if !r.failed() {
		r.note = "identical"
	}
	return r, err
}

// compareStream reads got to its end and says how it differs from the stream.
func compareStream(got io.Reader, source *workload.Stream) error {
	_, err := source.WriteTo(&comparer{from: got})
	more, readErr := io.Copy(io.Discard, got)
	if err == nil && more > 0 {
		err = fmt.Errorf("%d bytes too many", more)
	}
	return errors.Join(err, readErr)
}

// comparer is a writer that takes only what it reads itself.
type comparer struct {
	from io.Reader
	at   int64
	buf  []byte
}

func (c *comparer) Write(p []byte) (int, error) {
	c.buf = slices.Grow(c.buf[:0], len(p))[:len(p)]
	n, err := io.ReadFull(c.from, c.buf)
	if err != nil {
		return 0, fmt.Errorf("ends after %d bytes", c.at+int64(n))
	}
	if !bytes.Equal(p, c.buf) {
		return 0, fmt.Errorf("other content within %d bytes from %d on", n, c.at)
	}
	c.at += int64(n)
	return n, nil
}

// stages measures the stages on the beginning of the stream, and prints their rates.
func (w *work) stages(ctx context.Context, source *workload.Stream) ([]stages.Rate, error) {
	var sample bytes.Buffer
	if _, err := source.First(w.sample).WriteTo(&sample); err != nil {
		return nil, err
	}
	rates, err := stages.Measure(ctx, sample.Bytes(), filepath.Join(w.dir, "stages"), w.stageTime)
	if err != nil {
		return nil, err
	}
	const layout = "%-20s %8.0f\n"
	fmt.Fprintf(w.out, "%-20s %8s\n", "stage, alone", "MB/s")
	for _, r := range rates {
		fmt.Fprintf(w.out, layout, r.Stage, r.BytesPerSecond/1e6)
	}
	fmt.Fprintf(w.out, layout+"\n", "all of them in turn", stages.InTurn(rates)/1e6)
	return rates, nil
}
