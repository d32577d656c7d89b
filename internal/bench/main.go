// Command bench measures nightjar beside Debian's restic, borg and duplicity, on works of its own making,
// and holds it to what it has to reach:
//
//	tree       first backup, unchanged second run, second night and full restore of a server's files,
//	           with the floors that no tool gets under (reading the tree, copying it)
//	database   one large file of which scattered pages change, for thirty nights
//	tablespace a table of InnoDB of which rows change in half of its pages
//	dump       an SQL dump of which some rows change
//	stream     one long stream through standard input, and the rate of each stage by itself
//
//	go run ./internal/bench -scale 0.1 -dir DIR -only tree,dump
//
// All steps run on a warm page cache and after a sync; what a step costs is what the kernel says of the
// finished process and its children. Whatever is restored is compared with its source. Nothing is
// written outside DIR. It measures once, but for the short restores that are compared with each other: on
// a busy machine, measure again. A requirement that is missed is a line that says so; a step that fails
// makes the command fail.
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
	"time"
)

type options struct {
	scale     float64
	seed      uint64
	dir       string
	only      []string      // names of works; empty: all
	sample    int64         // bytes of the stream that each of its stages works on
	stageTime time.Duration // how long
	settle    func()        // called before each step: what the last one left to write is not the next one's; nil: nothing
	keep      bool
	// Programs. Without nightjar, it is built from this tree; the others are left out.
	nightjar, restic, borg, duplicity string
}

const scaleHelp = "`fraction` of the full works: of 174,531 files with 5.08 GB, of a database file of 1 GiB and " +
	"2,000 changed pages a night (always 30 nights), of a table of 470 MB, of an SQL dump of 300 MB, and of a stream of 20 GB; " +
	"bounds in bytes of the repository scale too, ratios and memory do not. 1 needs 30 GB of disk"

func main() {
	if len(os.Args) > 1 && os.Args[1] == measureVerb {
		measureChild(os.Args[2:])
		return
	}
	o := options{sample: 256 << 20, stageTime: 3 * time.Second, settle: syscall.Sync}
	flag.Float64Var(&o.scale, "scale", 0.1, scaleHelp)
	flag.Uint64Var(&o.seed, "seed", 1, "what names and contents follow from")
	flag.StringVar(&o.dir, "dir", "", "an empty or new `folder` for sources and repositories (required)")
	flag.StringVar(&o.nightjar, "nightjar", "", "the `program` to measure (default: built from this tree)")
	others := map[string]*string{"restic": &o.restic, "borg": &o.borg, "duplicity": &o.duplicity}
	for name, program := range others {
		flag.StringVar(program, name, name, "the `program` to measure beside it; empty for none")
	}
	flag.Func("only", "the `works` to measure, separated by commas: "+strings.Join(workNames(), ", ")+" (default: all)", func(s string) error {
		o.only = nil
		for name := range strings.SplitSeq(s, ",") {
			if name == "" {
				continue
			}
			if !slices.Contains(workNames(), name) {
				return fmt.Errorf("no work is called %q", name)
			}
			o.only = append(o.only, name)
		}
		return nil
	})
	flag.BoolVar(&o.keep, "keep", false, "leave sources, repositories and logs in the folder, which takes more of the disk")
	flag.Parse()
	if o.dir == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	for name, program := range others {
		if _, err := exec.LookPath(*program); *program != "" && err != nil {
			fmt.Fprintf(os.Stderr, "bench: measuring without %s: %v\n", name, err)
			*program = ""
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures everything that is asked for and prints tables and verdicts to out. A step that fails is a
// row that says so, and an error at the end.
func run(ctx context.Context, o options, out io.Writer) (err error) {
	root, err := filepath.Abs(o.dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	if left, err := os.ReadDir(root); err != nil {
		return err
	} else if len(left) > 0 {
		return fmt.Errorf("%s is not empty: name another folder, or remove what is in it", root)
	}
	if !o.keep {
		defer func() { err = errors.Join(err, empty(root)) }()
	}
	if o.nightjar == "" {
		o.nightjar = filepath.Join(root, "nightjar")
		if err := build(ctx, o.nightjar); err != nil {
			return err
		}
	} else if o.nightjar, err = filepath.Abs(o.nightjar); err != nil {
		return err
	}
	b := &bench{options: o, root: root, temp: filepath.Join(root, "temp"), out: out}
	if err := os.Mkdir(b.temp, 0o700); err != nil {
		return err
	}
	if o.duplicity != "" {
		b.keyring = filepath.Join(root, "gnupg")
		defer func() { err = errors.Join(err, stopAgent(b.keyring)) }()
		if b.fingerprint, err = makeKeyring(ctx, b.keyring); err != nil {
			return err
		}
	}
	for _, kind := range works {
		if len(o.only) > 0 && !slices.Contains(o.only, kind.name) {
			continue
		}
		if err := b.do(ctx, kind.name, kind.do); err != nil {
			return fmt.Errorf("%s: %w", kind.name, err)
		}
	}
	b.printVerdicts()
	if b.failed > 0 {
		return fmt.Errorf("%d steps failed", b.failed)
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

// empty removes what is in a folder, also where a restore left folders that cannot be written.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return err
}
