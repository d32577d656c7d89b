package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	o := options{dir: t.TempDir(), open: 3, tables: 50, rounds: 1, length: 100_000}
	var out strings.Builder
	if err := o.run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`^3 open contents of 100000 bytes without a boundary: peak \d+ MiB, `, `^50 tables of one row, .*: wall \d+\.\d+, CPU \d`, `^the same again: \d{3,4} bytes are stored, after \d+$`} {
		if !regexp.MustCompile("(?m)" + want).MatchString(out.String()) {
			t.Errorf("no line %q in\n%s", want, out.String())
		}
	}
	if left, err := os.ReadDir(o.dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
