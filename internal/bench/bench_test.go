package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == measureVerb {
		measureChild(os.Args[2:])
		return
	}
	// The race detector makes each process, ours in between too, sleep a second before it exits.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// copier is a backup tool of a few lines: its repository is a copy of the tree.
const copier = `#!/bin/sh
set -eu
for last; do :; done
case $1 in
init) mkdir "$NIGHTJAR_REPO" ;;
backup) rm -rf "$NIGHTJAR_REPO/source"; cp -a "$last" "$NIGHTJAR_REPO/source" ;;
restore) cp -a "$NIGHTJAR_REPO/source/." "$last" ;;
esac
`

func TestRun(t *testing.T) {
	for _, c := range []struct {
		name, script string
		wantErr      string
		want         []string // patterns of lines
	}{
		{
			"faithful", copier, "",
			[]string{`^floor +tar \| cat .* - +-  ok$`, `^nightjar +first .* [1-9]\d+ +[1-9]\d+  ok$`, `^nightjar +unchanged .* 0  ok$`, `^nightjar +restore .* 0  identical$`},
		},
		{
			"loses a file", copier + "[ $1 != restore ] || rm \"$last\"/var/new/000.txt\n", "1 steps failed",
			[]string{`^nightjar +restore .*  2 DIFFER, first var/new has time`},
		},
		{
			"fails", copier + "[ $1 != backup ] || { echo no space >&2; exit 3; }\n", "3 steps failed",
			[]string{`^nightjar +first .*  FAILED \(exit 3: no space\)$`, `^nightjar +restore .* identical$`},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			program := filepath.Join(t.TempDir(), "copier")
			if err := os.WriteFile(program, []byte(c.script), 0o755); err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			var out strings.Builder
			err := run(t.Context(), options{scale: 0.001, seed: 1, dir: dir, nightjar: program}, &out)
			if (err == nil) != (c.wantErr == "") || err != nil && !strings.Contains(err.Error(), c.wantErr) {
				t.Errorf("error %v, want %q", err, c.wantErr)
			}
			for _, p := range c.want {
				if !regexp.MustCompile("(?m)" + p).MatchString(out.String()) {
					t.Errorf("no line %q in\n%s", p, out.String())
				}
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

func TestRunRefusesUsedFolder(t *testing.T) {
	dir := t.TempDir()
	precious := filepath.Join(dir, "precious")
	if err := os.WriteFile(precious, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), options{scale: 0.001, dir: dir}, new(strings.Builder)); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(precious); err != nil {
		t.Error(err)
	}
}

func TestMeasureCommand(t *testing.T) {
	ballast := make([]byte, 300<<20) // must not show in what we measure
	for i := 0; i < len(ballast); i += os.Getpagesize() {
		ballast[i] = 1
	}
	defer runtime.KeepAlive(ballast)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	measure := func(script string) cost {
		c, err := measureCommand(context.Background(), t.TempDir(), os.Environ(), []string{"sh", "-c", script}, log)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if c := measure("exit 3"); c.Exit != 3 || c.Error != "" || c.Peak > 100<<20 || c.Peak == 0 {
		t.Errorf("exit 3: %+v", c)
	}
	if c := measure("head -c 150M /dev/zero | tail -c 150M >/dev/null"); c.Exit != 0 || c.Peak < 150<<20 || c.Peak > 250<<20 {
		t.Errorf("150 MiB in memory: %+v", c)
	}
	if c := measure("sleep 0.2"); c.Wall < 200*time.Millisecond || c.User > 150*time.Millisecond {
		t.Errorf("sleep: %+v", c)
	}
	if c := measure("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"); c.User < 10*time.Millisecond {
		t.Errorf("busy loop: %+v", c)
	}
	if c := measure("kill -9 $$"); !strings.Contains(c.Error, "killed") {
		t.Errorf("killed: %+v", c)
	}
	if _, err := log.Seek(0, 0); err != nil {
		t.Fatal(err)
	}
	c, err := measureCommand(context.Background(), t.TempDir(), nil, []string{"/no/such/program"}, log)
	if err != nil || !strings.Contains(c.Error, "no such file") {
		t.Errorf("no program: %+v, %v", c, err)
	}
}

func TestCompare(t *testing.T) {
	base := manifest{"d": {mode: os.ModeDir | 0o755, modTime: 7}, "d/f": {mode: 0o644, size: 1, modTime: 5, sum: [32]byte{1}}}
	for _, c := range []struct {
		want string
		got  entry
	}{
		{"", entry{0o644, 1, 5, [32]byte{1}}},
		{"d/f has mode", entry{0o600, 1, 5, [32]byte{1}}},
		{"d/f has 2 bytes", entry{0o644, 2, 5, [32]byte{1}}},
		{"d/f has other content", entry{0o644, 1, 5, [32]byte{2}}},
		{"d/f has time 6", entry{0o644, 1, 6, [32]byte{1}}},
	} {
		got := base.compare(manifest{"d": base["d"], "d/f": c.got})
		if all := strings.Join(got, "; "); c.want == "" && all != "" || !strings.HasPrefix(all, c.want) {
			t.Errorf("%q, want %q", all, c.want)
		}
	}
	if got := strings.Join(base.compare(manifest{"d": base["d"], "x": {}}), "; "); got != "d/f is missing; x was not there" {
		t.Error(got)
	}
}

func TestRatios(t *testing.T) {
	var out strings.Builder
	b := &bench{tools: []tool{{name: "nightjar"}, {name: "restic"}}, w: &out}
	b.rows = []row{
		{tool: "nightjar", step: "first", cost: cost{Wall: 1, User: 2, System: 2, Peak: 3}, repo: 10, added: 10},
		{tool: "restic", step: "first", cost: cost{Wall: 2, User: 8, System: 0, Peak: 4}, repo: 8, added: 0},
	}
	b.ratios()
	if want := `(?m)^ +first +0\.50 +0\.50 +0\.25 +0\.75 +1\.25 +- +$`; !regexp.MustCompile(want).MatchString(out.String()) {
		t.Errorf("no line %q in\n%s", want, out.String())
	}
}
