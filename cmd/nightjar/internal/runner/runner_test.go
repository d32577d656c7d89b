package runner_test

import (
	"context"
	"maps"
	"os"
	"strings"
	"testing"

	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/runner"
)

func sh(t *testing.T, script string) (runner.Ran, string) {
	t.Helper()
	passed := ""
	r, err := runner.Run(context.Background(), runner.Child{Name: "job x", Args: []string{"sh", "-c", script}, Env: os.Environ(), Line: func(line string) { passed += line + "\n" }})
	if err != nil {
		t.Fatal(err)
	}
	return r, passed
}

func TestRun(t *testing.T) {
	for script, want := range map[string]struct {
		exit                int
		error, hint, passed string
		result              string
	}{
		`echo '{"a":1}'`: {result: `{"a":1}`},
		`echo 'no JSON'; echo nightjar: warning: w >&2; echo nightjar: hint: h >&2`:                                                  {passed: "nightjar: warning: w\nnightjar: hint: h\n"},
		`echo nightjar: warning: w >&2; echo other >&2; echo nightjar: error: e >&2; echo nightjar: hint: h >&2; echo '{}'; exit 10`: {10, "e", "h", "nightjar: warning: w\nother\n", "{}"},
		`echo nightjar: hint: alone >&2; printf 'nightjar: warning: last' >&2; exit 3`:                                               {3, "last", "", "nightjar: hint: alone\n", ""},
		`echo nightjar: error: first >&2; kill -9 $$`:                                                                                {1, "it was killed by signal 9 (killed)", "if nobody sent that signal, the kernel did, for want of memory: journalctl -k, or dmesg, then says so", "", ""},
		`echo 'nightjar: error: a\\\\b\\n\\xff' >&2; exit 1`:                                                                         {1, "a\\b\n\xff", "", "", ""},
		`head -c 5000000 /dev/zero`:                                     {},
		`head -c 20000 /dev/zero | tr '\0' x >&2; echo >&2; echo y >&2`: {passed: strings.Repeat("x", 8<<10) + "\ny\n"},
	} {
		r, passed := sh(t, script)
		if r.Exit != want.exit || r.Error != want.error || r.Hint != want.hint || passed != want.passed || string(r.Result) != want.result {
			t.Errorf("%s: %+v, passed on %q", script, r, passed)
		}
	}
	if r, err := runner.Run(context.Background(), runner.Child{Name: "job x", Args: []string{"/nonexistent"}}); err == nil || r.Exit != outcome.Failed || r.Error == "" {
		t.Errorf("without a program: %+v, %v", r, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r, err := runner.Run(ctx, runner.Child{Name: "job x", Args: []string{"sh", "-c", "echo >&2; sleep 1000"}, Env: os.Environ(), Line: func(string) { cancel() }})
	if err == nil || r.Exit != outcome.Interrupted {
		t.Errorf("interrupted: %+v, %v", r, err)
	}
}

// Of a child that goes on, each line of JSON is told of as it comes, and the last is the result.
func TestEach(t *testing.T) {
	var told []string
	child := runner.Child{Name: "job x", Args: []string{"sh", "-c", `printf '{"a":1}\n{"a":2}\nno JSON\n{"a":3}'; exit 3`}, Env: os.Environ(), Each: func(b []byte) { told = append(told, string(b)) }}
	r, err := runner.Run(context.Background(), child)
	if err != nil || r.Exit != 3 || string(r.Result) != `{"a":3}` || strings.Join(told, " ") != `{"a":1} {"a":2} {"a":3}` {
		t.Errorf("%+v, %v; told %q", r, err, told)
	}
	told = nil
	child.Args[2] = `echo '{"a":1}'; head -c 5000000 /dev/zero; echo; echo '{"a":2}'`
	if r, err := runner.Run(context.Background(), child); err != nil || r.Exit != 0 || string(r.Result) != `{"a":1}` || len(told) != 1 {
		t.Errorf("after a line that is too long: %+v, %v; told %q", r, err, told)
	}
}

func TestRead(t *testing.T) {
	id := strings.Repeat("ab", 32)
	f := runner.Read([]byte(`{"archive": {"id": "` + id + `", "host": "web1", "labels": {"position": "bin.1:4"}, "statistics": {"files": 9}}, "elapsed_seconds": 1.5, "problems": 2,
		"statistics": {"files": 3, "bytes": 9007199254740993}, "requests": {"put": 4}, "dump": {"rows": 5, "lock": {"held_ms": 7.6, "attempts": 1}}, "odd name": 1, "less": -1, "huge": 1e300, "list": [1]}`))
	want := map[string]uint64{"elapsed_milliseconds": 1500, "problems": 2, "files": 3, "bytes": 9007199254740993, "requests_put": 4, "dump_rows": 5, "lock_milliseconds": 8, "lock_attempts": 1}
	if f.Archive != id || f.Host != "web1" || f.Notes["position"] != "bin.1:4" || !maps.Equal(f.Numbers, want) {
		t.Errorf("%+v", f)
	}
	if f := runner.Read([]byte(`{"dry_run": false, "archives": [{"keep": true}, {"keep": false}, {"keep": false}, 1]}`)); f.Numbers["archives_kept"] != 1 || f.Numbers["archives_forgotten"] != 2 {
		t.Errorf("%+v", f)
	}
	if f := runner.Read([]byte(`{"due": true, "taken": {"set": {"set": "s-1"}, "frozen_ms": 3.2}}`)); f.Notes["set"] != "s-1" || f.Numbers["frozen_milliseconds"] != 3 {
		t.Errorf("%+v", f)
	}
	if f := runner.Read([]byte(`{"archive": {"id": "../x"}}`)); f.Archive != "" {
		t.Errorf("%+v", f)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"archive": {"id": "x", "labels": {"position": 1}}, "elapsed_seconds": 1e400, "a": {"b": {"c": {"d": {"e": {"f": {"g": 1}}}}}}}`))
	f.Add([]byte(`{"archives": [null, {"keep": 1}], "taken": {"set": []}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r := runner.Read(b); len(r.Numbers) > 152 {
			t.Errorf("%d numbers", len(r.Numbers))
		}
	})
}
