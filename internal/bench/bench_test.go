package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
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

// copier is a backup tool of a few lines: its repository is a copy of the source.
const copier = `#!/bin/sh
set -eu
for last; do :; done
repo=${NIGHTJAR_REPO:-${RESTIC_REPOSITORY:-}}
case "$1 $*" in
init*) mkdir "$repo" ;;
*--stdin*) cat >"$repo/stream" ;;
backup*) rm -rf "$repo/source"; cp -a "$last" "$repo/source" ;;
restore*) cp -a "$repo/source/." "$last" ;;
cat*|dump*) cat "$repo/stream" ;;
esac
`

// program makes a script that can be run.
func program(t *testing.T, script string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "copier")
	if err := os.WriteFile(name, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestRun(t *testing.T) {
	for _, c := range []struct {
		name, script string
		only         string
		beside       string // restic's script
		wantErr      string
		want         []string // patterns of lines
	}{
		{
			"tree", copier, "tree", copier, "",
			[]string{
				`^floor +tar \| cat .* - +-  ok$`, `^nightjar +first .* [1-9]\d+ +[1-9]\d+  ok$`, `^restic +unchanged .* 0  ok$`, `^nightjar +restore .* 0  identical$`,
				`^tree +first backup: repository, of restic's +1.00 +<= 0.99  MISSES$`, `^tree +second night: added .* MB +<= 0.00 MB  `, `^tree +full restore: peak +\d+ MiB +<= 250 MiB  ok$`,
			},
		},
		{
			"database", copier, "database", "", "",
			[]string{
				`^nightjar +night 1 .* 1073741 +1073741  ok$`, `^nightjar +night 30 .* 1073741 +0  ok$`, `^nightjar +restore 30 .* 0  identical$`,
				`^database +night 2: added +0.00 MB +<= 0.00 MB  ok$`, `^database +night 2: wall, of restic's +- .*  not judged: no night 2 of restic$`,
				`^database +night 30: added, of night 2's +- .*  not judged: divided by nothing$`, `^database +night 30: repository.* 1.07 MB +<= 0.\d\d MB  MISSES$`,
			},
		},
		{
			"dump", copier, "dump", copier, "",
			[]string{`^restic +second night .*  ok$`, `^nightjar +restore .*  identical$`, `^dump +second night: added, of duplicity's +- +<= 1.00  not judged`},
		},
		{
			"stream", copier, "stream", copier, "",
			[]string{`^floor +save .*  \d+ MB/s$`, `^nightjar +save .* 2000000 +2000000  \d+ MB/s$`, `^restic +print .*  identical$`, `^compress +\d+$`, `^stream +rate, of the slowest stage's \(.*\) +\d+ % +>= 60 %  `},
		},
		{
			"loses a file", copier + "[ $1 != restore ] || rm \"$last\"/var/new/000.txt\n", "tree", "", "1 steps failed",
			[]string{`^nightjar +restore .*  2 DIFFER, first var/new has time`, `^tree +full restore: peak +- .*  not judged: restore of nightjar failed$`},
		},
		{
			"fails", copier + "[ $1 != backup ] || { echo no space >&2; exit 3; }\n", "tree", copier, "3 steps failed",
			[]string{`^nightjar +first .*  FAILED \(exit 3: no space\)$`, `^nightjar +restore .* identical$`, `^ +first .* FAILED: not to be compared$`},
		},
		{
			"prints something else", copier + "[ $1 != cat ] || echo\n", "stream", "", "1 steps failed",
			[]string{`^nightjar +print .*  DIFFERS: 1 bytes too many$`},
		},
		{
			"reads a part of the stream", "#!/bin/sh\n[ $1 != backup ] || exec head -c 1000 >/dev/null\n", "stream", "", "2 steps failed",
			[]string{`^nightjar +save .*  FAILED \(.*broken pipe\)$`, `^nightjar +print .*  DIFFERS: ends after 0 bytes$`},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := options{scale: 0.001, seed: 1, dir: t.TempDir(), only: []string{c.only}, nightjar: program(t, c.script)}
			o.sample, o.stageTime = 1<<20, time.Millisecond
			if c.only == "stream" {
				o.scale = 0.0001
			}
			if c.beside != "" {
				o.restic = program(t, c.beside)
			}
			var out strings.Builder
			err := run(t.Context(), o, &out)
			if (err == nil) != (c.wantErr == "") || err != nil && !strings.Contains(err.Error(), c.wantErr) {
				t.Errorf("error %v, want %q", err, c.wantErr)
			}
			for _, p := range c.want {
				if !regexp.MustCompile("(?m)" + p).MatchString(out.String()) {
					t.Errorf("no line %q in\n%s", p, out.String())
				}
			}
			if left, err := os.ReadDir(o.dir); err != nil || len(left) > 0 {
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
		c, err := measureCommand(context.Background(), t.TempDir(), os.Environ(), command{argv: []string{"sh", "-c", script}}, log)
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
	c, err := measureCommand(context.Background(), t.TempDir(), nil, command{argv: []string{"/no/such/program"}}, log)
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
	whole := manifest{"f": {modTime: 5_000_000_000}}
	if got := (manifest{"f": {modTime: 5_999_999_999}}).inSeconds().compare(whole.inSeconds()); len(got) > 0 {
		t.Errorf("fractions of a second count: %v", got)
	}
	if got := strings.Join(base.compare(manifest{"d": base["d"], "x": {}}), "; "); got != "d/f is missing; x was not there" {
		t.Error(got)
	}
}

// twoTools is a work with a row of nightjar and one of restic.
func twoTools(out *strings.Builder) *work {
	w := &work{bench: &bench{out: out}, name: "tree", tools: []tool{{name: "nightjar"}, {name: "restic"}}}
	w.rows = []row{
		{tool: "nightjar", step: "first", cost: cost{Wall: 1, User: 2, System: 2, Peak: 3}, repo: 10, added: 10},
		{tool: "restic", step: "first", cost: cost{Wall: 2, User: 8, System: 0, Peak: 4}, repo: 8, added: 0},
	}
	return w
}

func TestRatios(t *testing.T) {
	var out strings.Builder
	twoTools(&out).ratios()
	if want := `(?m)^ +first +0\.50 +0\.50 +0\.25 +0\.75 +1\.25 +- +$`; !regexp.MustCompile(want).MatchString(out.String()) {
		t.Errorf("no line %q in\n%s", want, out.String())
	}
}

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		want  string
		judge func(w *work)
	}{
		{"tree a 0.50 <= 0.50 ok", func(w *work) { w.atMost("a", w.against("restic", "first", wall), 0.5, times) }},
		{"tree a 0.50 <= 0.49 MISSES", func(w *work) { w.atMost("a", w.against("restic", "first", wall), 0.49, times) }},
		{"tree a 60 % >= 60 % ok", func(w *work) { w.atLeast("a", figure{value: 0.6}, 0.6, percent) }},
		{"tree a 59 % >= 60 % MISSES", func(w *work) { w.atLeast("a", figure{value: 0.59}, 0.6, percent) }},
		{"tree a 2.50 MB <= 3.00 MB ok", func(w *work) { w.atMost("a", figure{value: 2.5e6}, 3e6, megabytes) }},
		{"tree a - <= 0.50 not judged: no first of borg", func(w *work) { w.atMost("a", w.against("borg", "first", wall), 0.5, times) }},
		{"tree a - <= 0.50 not judged: divided by nothing", func(w *work) { w.atMost("a", w.against("restic", "first", added), 0.5, times) }},
		{"tree a - <= 0.50 not judged: first of restic failed", func(w *work) {
			w.rows[1].cost.Exit = 1
			w.atMost("a", w.against("restic", "first", wall), 0.5, times)
		}},
	} {
		var out strings.Builder
		w := twoTools(&out)
		c.judge(w)
		w.printVerdicts()
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if got := strings.Join(strings.Fields(lines[len(lines)-1]), " "); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// Tools are told nothing by our own environment.
func TestEnvironment(t *testing.T) {
	for _, name := range []string{"NIGHTJAR_REPO", "RESTIC_REPOSITORY", "BORG_REPO", "PASSPHRASE", "SIGN_PASSPHRASE", "GNUPGHOME", "TMPDIR"} {
		t.Setenv(name, "outside")
	}
	t.Setenv("OTHER", "kept")
	w := &work{bench: &bench{temp: "/bench/temp"}}
	got := w.environment(tool{env: []string{"BORG_REPO=/bench/borg"}})
	for _, v := range got {
		if strings.HasSuffix(v, "=outside") {
			t.Error(v)
		}
	}
	for _, want := range []string{"OTHER=kept", "TMPDIR=/bench/temp", "BORG_REPO=/bench/borg"} {
		if !slices.Contains(got, want) {
			t.Errorf("no %s in %q", want, got)
		}
	}
}

func TestKeyring(t *testing.T) {
	home := filepath.Join(t.TempDir(), "gnupg")
	fingerprint, err := makeKeyring(t.Context(), home)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^[0-9A-F]{40}$`).MatchString(fingerprint) {
		t.Errorf("fingerprint %q", fingerprint)
	}
	if err := stopAgent(home); err != nil {
		t.Error(err)
	}
}
