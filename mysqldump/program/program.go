// Package program finds the servers' own programs, and asks them for their versions. It knows nothing of what they do.
package program

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"nightjar/internal/child"
)

// Say asks a program for its version, and returns what it prints and what it says on standard error, where xtrabackup has it: also when it fails. The
// environment is the program's.
func Say(ctx context.Context, file string, env []string) (printed, said string, err error) {
	other := &strings.Builder{}
	out, err := child.Output(ctx, child.Command{Args: []string{file, "--no-defaults", "--version"}, Env: env, Stderr: other}, 1<<20)
	return string(out), other.String(), err
}

// Version is Say, as Series returns it: empty if the program does not say its version.
func Version(ctx context.Context, file string, env []string) (string, error) {
	printed, said, err := Say(ctx, file, env)
	return cmp.Or(Series(printed), Series(said)), err
}

// Find returns the first program of some names in a search path, written as PATH is; empty if there is none.
func Find(path string, names ...string) string {
	for _, name := range names {
		for _, dir := range filepath.SplitList(path) {
			file := filepath.Join(dir, name)
			if info, err := os.Stat(file); filepath.IsAbs(file) && err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				return file
			}
		}
	}
	return ""
}

var versions = regexp.MustCompile(`\b(\d{1,3}\.\d{1,3})\.\d{1,3}`)

// Series returns the first two numbers of the last version in a text, which follows the version of the program itself: mysqlbinlog prints "Ver 3.5 for Linux"
// before it says 10.11.6.
func Series(text string) string {
	all := versions.FindAllStringSubmatch(text, -1)
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1][1]
}

// Older compares what Series returned.
func Older(a, b string) bool {
	var x, y [2]int
	fmt.Sscanf(a, "%d.%d", &x[0], &x[1])
	fmt.Sscanf(b, "%d.%d", &y[0], &y[1])
	return x[0] < y[0] || x[0] == y[0] && x[1] < y[1]
}
