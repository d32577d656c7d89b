// Command hosts measures what the archives of other hosts cost one host: it makes two repositories, one of a single host and one of many, and runs in both, in
// turn, what that host runs every night. For each command it prints the medians and their ratio, and the time that listing the larger repository takes.
//
//	go run ./internal/bench/hosts -hosts 1000 -nights 25 -nightjar ./nightjar -dir DIR
//
// DIR needs about 3 KB for each night of each host. Archives and index objects of the other hosts are made up, but sealed and signed as any.
package main

import (
	"bytes"
	"context"
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
	"time"

	"nightjar/repo/store"
	"nightjar/repo/store/directory"
)

type options struct {
	hosts, nights, rounds int
	nightjar, dir         string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o options
	flag.IntVar(&o.hosts, "hosts", 1000, "how many `hosts` the larger repository has")
	flag.IntVar(&o.nights, "nights", 25, "how many `archives` each host has")
	flag.IntVar(&o.rounds, "rounds", 9, "how `often` each command is measured")
	flag.StringVar(&o.nightjar, "nightjar", "./nightjar", "the `program` to measure")
	flag.StringVar(&o.dir, "dir", "", "an empty or new `folder` for the repositories (required)")
	flag.Parse()
	if o.dir == "" || o.hosts < 1 || o.nights < 1 || o.rounds < 1 || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench hosts:", err)
		os.Exit(1)
	}
}

// A night is a command that is measured, with SOURCE and TARGET for folders.
var night = []struct {
	name string
	args []string
}{
	{"backup, nothing new", []string{"backup", "SOURCE"}},
	{"list --host", []string{"list", "--host", "host0000"}},
	{"restore latest", []string{"restore", "latest", "--target", "TARGET"}},
	{"forget --host", []string{"forget", "--host", "host0000", "--keep-last", "1000"}},
	{"list", []string{"list"}},
}

func run(ctx context.Context, o options, w io.Writer) error {
	one, many := site{filepath.Join(o.dir, "one")}, site{filepath.Join(o.dir, "many")}
	began := time.Now()
	if err := one.create(ctx, 1, o.nights); err != nil {
		return err
	}
	if err := many.create(ctx, o.hosts, o.nights); err != nil {
		return err
	}
	fmt.Fprintf(w, "%d hosts of %d nights, made in %.0f s\n\n", o.hosts, o.nights, time.Since(began).Seconds())
	fmt.Fprintf(w, "%-20s %10s %10s %7s %12s\n", "", "alone, ms", "among, ms", "ratio", "less listing")
	for _, s := range []site{one, many} { // what is new is read once
		for _, n := range night {
			if _, err := s.measure(ctx, o.nightjar, n.args); err != nil {
				return err
			}
		}
	}
	for _, n := range night {
		var alone, among, listing []time.Duration
		for range o.rounds {
			a, err := one.measure(ctx, o.nightjar, n.args)
			if err != nil {
				return err
			}
			b, err := many.measure(ctx, o.nightjar, n.args)
			if err != nil {
				return err
			}
			l, err := many.list(ctx)
			if err != nil {
				return err
			}
			alone, among, listing = append(alone, a), append(among, b), append(listing, l)
		}
		a, b, l := median(alone), median(among), median(listing)
		fmt.Fprintf(w, "%-20s %10.1f %10.1f %7.2f %12.2f\n", n.name, ms(a), ms(b), ms(b)/ms(a), ms(b-l)/ms(a))
	}
	return nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

// measure runs a command as the first host.
func (s site) measure(ctx context.Context, nightjar string, args []string) (time.Duration, error) {
	target := filepath.Join(s.dir, "target")
	if err := os.RemoveAll(target); err != nil {
		return 0, err
	}
	var line []string
	for _, arg := range args {
		line = append(line, strings.NewReplacer("SOURCE", s.source(), "TARGET", target).Replace(arg))
	}
	c := exec.CommandContext(ctx, nightjar, line...)
	c.Env = append(os.Environ(), "NIGHTJAR_REPO="+s.store(), "NIGHTJAR_STATE_DIR="+s.state(), "NIGHTJAR_CACHE_DIR="+s.cache())
	var errs bytes.Buffer
	c.Stderr = &errs
	began := time.Now()
	if err := c.Run(); err != nil {
		return 0, fmt.Errorf("nightjar %s: %w: %s", args[0], err, errs.Bytes())
	}
	return time.Since(began), nil
}

// list lists what a backup lists, and nothing else: how long the pages of listings take.
func (s site) list(ctx context.Context) (time.Duration, error) {
	d, err := directory.Open(s.store())
	if err != nil {
		return 0, err
	}
	defer d.Close()
	began := time.Now()
	for _, kind := range []string{"archive/", "index/"} {
		if err := d.List(ctx, kind, func(store.Info) error { return nil }); err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}
