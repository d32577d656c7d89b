package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == stepVerb {
		stepChild(context.Background(), os.Args[2:])
		return
	}
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// The measurement itself, of a small index: every lookup in it is checked.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	var out strings.Builder
	if err := run(t.Context(), options{entries: 30_000, large: 0.5, lookups: 2000, dir: dir}, &out); err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(out.String(), "B/entry\n")
	lines := strings.Split(strings.TrimSpace(table), "\n")
	if !ok || len(lines) != len(steps) {
		t.Fatalf("it says\n%s", out.String())
	}
	for i, line := range lines {
		var start, peak, known, unknown, local float64
		var files int
		rest, ok := strings.CutPrefix(line, steps[i].name)
		if _, err := fmt.Sscan(rest, &start, &peak, &known, &unknown, &files, &local); err != nil || !ok {
			t.Fatalf("line %q: %v", line, err)
		}
		// Of the race detector's memory there may be much.
		if start <= 0 || peak < 5 || peak > 1024 || known <= 0 || unknown <= 0 || files < 1 || local < 32 || local > 100 {
			t.Errorf("line %q", line)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestRunRefusesUsedFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/precious", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), options{entries: 1, lookups: 1, dir: dir}, new(strings.Builder)); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("error %v", err)
	}
}
