package jobstate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"nightjar/internal/bounded"
	"nightjar/internal/versioned"
	"nightjar/job/record"
)

// maxWaiting is how many records wait at most: the oldest go.
const maxWaiting = 100

// waits begins the name of a record that waits, before the nanosecond at which the run ended.
const waits = "~record-"

// Wait keeps a record until Deliver writes it.
func (f Folder) Wait(r *record.Record) error {
	labels := r.Labels()
	content, err := versioned.Encode(map[string]any{"version": versioned.Version, "labels": labels}, versioned.Bounds{Bytes: maxState, Objects: 2, Values: 4096})
	if err == nil {
		err = f.write(filepath.Join(string(f), fmt.Sprintf("%s%020d.json", waits, r.End.UnixNano())), content)
	}
	if err != nil {
		return fmt.Errorf("keep record of job %s: %w", r.Job, err)
	}
	return nil
}

// Deliver calls put with each record that waits, oldest first, until one fails, and forgets those that were written. It does nothing while another process does it. What cannot be
// read is told of and forgotten. left is how many wait on.
func (f Folder) Deliver(ctx context.Context, put func(context.Context, *record.Record) error, warn func(error)) (left int, err error) {
	lock, err := f.lock(filepath.Join(string(f), "~records.lock"))
	if err != nil || lock == nil {
		return 0, err
	}
	defer lock.Close()
	names, err := f.waiting()
	if err != nil {
		return 0, err
	}
	for i, name := range names {
		path := filepath.Join(string(f), name)
		r, err := readWaiting(path)
		switch {
		case len(names)-i > maxWaiting:
		case err != nil:
			warn(fmt.Errorf("forget a record that was to be written: %w", err))
		default:
			if err := put(ctx, &r); err != nil {
				return len(names) - i, err
			}
		}
		if err := os.Remove(path); err != nil {
			return len(names) - i, fmt.Errorf("forget a record that was written: %w", err)
		}
	}
	return 0, nil
}

// waiting returns the files of records that wait, oldest first.
func (f Folder) waiting() ([]string, error) {
	names, err := bounded.Names(string(f), 100_000)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var some []string
	for _, name := range names {
		digits, ok := strings.CutPrefix(strings.TrimSuffix(name, ".json"), waits)
		if _, err := strconv.ParseInt(digits, 10, 64); ok && err == nil {
			some = append(some, name)
		}
	}
	return some, err
}

func readWaiting(path string) (record.Record, error) {
	content, err := bounded.ReadFile(path, maxState)
	var w struct {
		Labels map[string]string `json:"labels"`
	}
	if err == nil {
		err = versioned.Parse(content, &w, versioned.Bounds{Bytes: maxState, Objects: 2, Values: 4096})
	}
	if err != nil {
		return record.Record{}, fmt.Errorf("%s: %w", path, err)
	}
	r, err := record.Parse(maps.Clone(w.Labels))
	if err != nil {
		return record.Record{}, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// Waiting returns how many records of each job wait. What cannot be read is of the job "".
func (f Folder) Waiting() (map[string]int, error) {
	names, err := f.waiting()
	if err != nil {
		return nil, fmt.Errorf("look for records that wait: %w", err)
	}
	all := map[string]int{}
	for _, name := range names[max(len(names)-maxWaiting, 0):] {
		r, err := readWaiting(filepath.Join(string(f), name))
		if !errors.Is(err, fs.ErrNotExist) { // it was delivered meanwhile
			all[r.Job]++
		}
	}
	return all, nil
}
