package simulate

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// leave leaves rules out from now on, and keeps all others. It is nil in a program that was built from the code as it is, where none can be.
var leave func(rules ...string)

// What the overlay adds: a package that the changed files ask, and what sets leave.
const (
	ruleSource = `package rules

var left map[string]bool

func Leave(rules ...string) {
	left = map[string]bool{}
	for _, r := range rules { left[r] = true }
}

func Left(rule string) bool { return left[rule] }
`
	leaveSource = `package simulate

import "nightjar/internal/rules"

func init() { leave = rules.Leave }
`
)

// overlay writes the files of a build in which rules can be left out into a folder, and returns the one that go build -overlay takes.
func overlay(folder string) (string, error) {
	root, err := filepath.Abs("../..")
	if err != nil {
		return "", err
	}
	files := map[string]string{"internal/rules/rules.go": ruleSource, "internal/simulate/leave_test.go": leaveSource}
	for _, w := range without {
		source, ok := files[w.file]
		if !ok {
			b, err := os.ReadFile(filepath.Join(root, w.file))
			if err != nil {
				return "", err
			}
			clause, rest, _ := strings.Cut(string(b), "\n\nimport ")
			source = clause + "\n\nimport \"nightjar/internal/rules\"\nimport " + rest
		}
		if n := strings.Count(source, w.old); n != 1 {
			return "", fmt.Errorf("rule %s: %s has %q %d times, want 1: change it here, too", w.rule, w.file, w.old, n)
		}
		changed := strings.ReplaceAll(w.new, "OLD", w.old)
		changed = strings.ReplaceAll(changed, "LEFT", fmt.Sprintf("rules.Left(%q)", w.rule))
		files[w.file] = strings.Replace(source, w.old, changed, 1)
	}
	replace := map[string]string{}
	for i, file := range slices.Sorted(maps.Keys(files)) {
		to := filepath.Join(folder, fmt.Sprintf("%d.go", i))
		if err := os.WriteFile(to, []byte(files[file]), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(root, file)] = to
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(folder, "overlay.json")
	return path, os.WriteFile(path, b, 0o600)
}

// leavable runs this test in a build in which rules can be left out, with these flags, and reports whether it has: then the caller has nothing left to do.
func leavable(t *testing.T, flags ...string) bool {
	if leave != nil {
		return false
	}
	path, err := overlay(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	run := fmt.Sprintf("^%s$", t.Name())
	if _, sub, ok := strings.Cut(flag.Lookup("test.run").Value.String(), t.Name()+"/"); ok {
		run += "/" + sub
	}
	args := []string{"test", "-overlay", path, "-vet=off", "-count=1", "-run", run}
	if testing.Verbose() {
		args = append(args, "-v")
	}
	out, err := exec.CommandContext(t.Context(), "go", append(append(args, "."), flags...)...).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	} else {
		t.Logf("%s", out)
	}
	return true
}
