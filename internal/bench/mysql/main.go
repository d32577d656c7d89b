// Command mysql measures dumps and restores of a database server beside the tools that do the same, on a database of its
// own making while somebody writes to it:
//
//	dump      nightjar mysql dump into an encrypted repository, mariadb-dump into gzip, mariadb-dump of each table in
//	          parallel, mariadb-dump into nightjar backup --stdin, and mydumper
//	night     what a second night adds in which 1% of the rows have changed
//	restore   nightjar mysql restore, gunzip into mariadb, myloader, LOAD DATA from local files with keys in
//	          place and keys afterwards, and nightjar mysql replica until it serves
//	hot       nightjar mysql hot, a night without a change and one with 1% of the rows changed, beside mariadb-backup into nothing,
//	          into gzip, into restic, and into nightjar backup --stdin; and what comes back, until a replica serves
//	waits     for how long writers wait for the lock of a dump
//	many      dumps of many empty tables
//
//	go run ./internal/bench/mysql -size 400 -rounds 3 -dir DIR -only dump,night
//
// The tools run in turn, and medians count. What a step costs is what the kernel says of the finished processes; what
// the server spent meanwhile is told apart. Waits are those of writers to InnoDB, from sending a statement, COMMIT
// among them, to its answer. Nothing is written outside DIR, servers listen on a socket in it and on loopback, and they
// are gone at the end. It does not compare what was restored: that is what nightjar does itself, and is part of its time.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

type options struct {
	size, rounds, threads, tables, writes int
	pool                                  int    // MB
	server                                string // mariadb or mysql57
	dir, nightjar                         string
	only                                  []string // names of parts; empty: all
	keep                                  bool
}

var parts = []string{"dump", "night", "restore", "replica", "hot", "waits", "many"}

func main() {
	var o options
	flag.IntVar(&o.size, "size", 100, "how many `MB` of rows there are")
	flag.IntVar(&o.rounds, "rounds", 3, "how `often` each tool is measured; medians count")
	flag.IntVar(&o.threads, "threads", 4, "how many `sessions` those have that can have several")
	flag.IntVar(&o.tables, "tables", 20_000, "how many empty `tables` the part many has")
	flag.IntVar(&o.writes, "writes", 200, "how many transactions a `second` are written during dumps")
	flag.IntVar(&o.pool, "pool", 512, "size of the servers' buffer pool in `MB`")
	flag.StringVar(&o.server, "server", "mariadb", "the `kind` of server: mariadb (Debian's), or mysql57 (of make mysql57)")
	flag.StringVar(&o.dir, "dir", "", "an empty or new `folder` for servers and repositories, which the servers' user can reach (required)")
	flag.StringVar(&o.nightjar, "nightjar", "", "the `program` to measure (default: built from this tree)")
	flag.BoolVar(&o.keep, "keep", false, "leave what is in the folder, which takes more of the disk")
	flag.Func("only", "the `parts` to measure, separated by commas: "+strings.Join(parts, ", ")+" (default: all); night needs dump", func(s string) error {
		for name := range strings.SplitSeq(s, ",") {
			if name != "" && !slices.Contains(parts, name) {
				return fmt.Errorf("no part is called %q", name)
			}
			if name != "" {
				o.only = append(o.only, name)
			}
		}
		return nil
	})
	flag.Parse()
	if o.dir == "" || o.size < 1 || o.rounds < 1 || o.threads < 1 || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench mysql:", err)
		os.Exit(1)
	}
}

// bench is a run: the folder, and the server with the database.
type bench struct {
	options
	out    io.Writer
	source *instance
	rows   int64 // bytes of rows, as text
	failed int
}

func (b *bench) wants(part string) bool { return len(b.only) == 0 || slices.Contains(b.only, part) }

func (b *bench) at(name string) string { return filepath.Join(b.dir, name) }

// run measures what is asked for. A step that fails is a row that says so, and an error at the end.
func run(ctx context.Context, o options, out io.Writer) (err error) {
	if o.dir, err = filepath.Abs(o.dir); err != nil {
		return err
	}
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	if left, err := os.ReadDir(o.dir); err != nil || len(left) > 0 {
		return errors.Join(err, fmt.Errorf("%s is not empty: name another folder, or remove what is in it", o.dir))
	}
	b := &bench{options: o, out: out}
	if !o.keep {
		defer func() { err = errors.Join(err, b.empty()) }()
	}
	if err := os.Mkdir(b.at("temp"), 0o777); err != nil {
		return err
	}
	if o.nightjar == "" {
		b.nightjar = b.at("nightjar")
		if err := build(ctx, b.nightjar); err != nil {
			return err
		}
	} else if b.nightjar, err = filepath.Abs(o.nightjar); err != nil {
		return err
	}
	if b.source, err = b.start(ctx, "source"); err != nil {
		return err
	}
	defer b.source.stop()
	if err := b.parts(ctx); err != nil {
		return err
	}
	if b.failed > 0 {
		return fmt.Errorf("%d steps failed", b.failed)
	}
	return nil
}

func (b *bench) parts(ctx context.Context) error {
	if b.wants("dump") || b.wants("restore") || b.wants("replica") || b.wants("hot") || b.wants("waits") {
		if err := b.generate(ctx); err != nil {
			return fmt.Errorf("make the database: %w", err)
		}
	}
	for _, part := range []struct {
		name string
		do   func(context.Context) error
	}{{"dump", b.dumps}, {"night", b.night}, {"restore", b.restores}, {"replica", b.replicas}, {"hot", b.hots}, {"waits", b.waits}, {"many", b.many}} {
		if !b.wants(part.name) {
			continue
		}
		if err := part.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
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

// empty removes what is in the folder.
func (b *bench) empty() error {
	entries, err := os.ReadDir(b.dir)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(b.at(e.Name())))
	}
	return err
}
