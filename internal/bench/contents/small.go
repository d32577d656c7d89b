package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"nightjar/backup"
	"nightjar/backup/content"
	"nightjar/repo"
)

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // which does not return an error
	return b
}

func name(i int) string { return fmt.Sprintf("table%06d.sql", i) }

func row(i int) string { return fmt.Sprintf("INSERT INTO t VALUES (%d, 'a row');\n", i) }

// small saves tables of one row, and files with the same in them, in turn, each into a new repository.
func (o *options) small(ctx context.Context, out io.Writer) error {
	source := o.at("source")
	if err := os.Mkdir(source, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(source)
	for i := range o.tables {
		if err := os.WriteFile(filepath.Join(source, name(i)), []byte(row(i)), 0o644); err != nil {
			return err
		}
	}
	var files, tables []cost
	for range o.rounds {
		err := o.with(ctx, func(r *repo.Repository) error {
			c, err := measure(func() error {
				_, _, err := backup.Tree(ctx, r, &repo.Record{Job: "files"}, backup.Options{Paths: []string{source}})
				return err
			})
			files = append(files, c)
			return err
		})
		again := o.with(ctx, func(r *repo.Repository) error {
			c, err := measure(func() error { return o.save(ctx, r) })
			tables = append(tables, c)
			return err
		})
		if err = errors.Join(err, again); err != nil {
			return err
		}
	}
	wall, cpu := func(c cost) time.Duration { return c.wall }, func(c cost) time.Duration { return c.cpu }
	fmt.Fprintf(out, "%d tables of one row, of what as many files take: wall %.2f, CPU %.2f\n", o.tables,
		median(tables, wall).Seconds()/median(files, wall).Seconds(), median(tables, cpu).Seconds()/median(files, cpu).Seconds())
	return o.again(ctx, out)
}

func (o *options) save(ctx context.Context, r *repo.Repository) error {
	_, _, err := o.tablesBeside(ctx, r, nil)
	return err
}

// tablesBeside saves all tables.
func (o *options) tablesBeside(ctx context.Context, r *repo.Repository, previous *repo.Archive) (*repo.Archive, backup.Statistics, error) {
	return backup.Save(ctx, r, &repo.Record{Job: "tables"}, backup.Options{Previous: previous}, func(_ context.Context, run *backup.Run) (repo.Labels, error) {
		for i := range o.tables {
			c, err := run.Create(name(i), content.Hint{})
			if err == nil {
				_, err = io.WriteString(c, row(i))
			}
			if err == nil {
				err = c.Close()
			}
			if err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
}

// again saves all tables twice.
func (o *options) again(ctx context.Context, out io.Writer) error {
	return o.with(ctx, func(r *repo.Repository) error {
		first, was, err := o.tablesBeside(ctx, r, nil)
		if err != nil {
			return err
		}
		_, st, err := o.tablesBeside(ctx, r, first)
		fmt.Fprintf(out, "the same again: %d bytes are stored, after %d\n", st.BytesStored, was.BytesStored)
		return err
	})
}
