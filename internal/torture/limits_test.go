package torture

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestLimits runs commands with 512 MiB of memory, on one processor, and on a disk of which each call takes 10 ms. The limit on memory is
// RLIMIT_DATA, which counts what a program could write to, in use or not: it is harder than a control group's, and needs none.
func TestLimits(t *testing.T) {
	need(t, "sh", "taskset", "strace")
	const limit = 512 << 20
	mebibytes := rounds(2048, 32)
	const calls = "pread64,pwrite64,read,write,fsync,fdatasync,syncfs,renameat,renameat2,getdents64"
	slow := append(slices.Clone(strace), "-e", "trace="+calls, "-e", "inject="+calls+":delay_exit=10000")
	for _, c := range []struct {
		name   string
		before []string
		env    []string
		size   int // MiB
	}{
		{"512 MiB of memory", []string{"sh", "-c", fmt.Sprintf(`ulimit -d %d && exec "$@"`, limit>>10), "sh"}, []string{"GOMEMLIMIT=400MiB"}, mebibytes},
		{"one processor", []string{"taskset", "-c", "0"}, nil, mebibytes},
		{"a slow disk", slow, nil, min(mebibytes, 64)},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine(t, random(t, 900), "", c.env...)
			m.want(0, "", "init", "--quiet")
			m.fillLarge("large", c.size)
			var most int64
			n := 0
			under := func(args ...string) {
				t.Helper()
				r := m.start(c.before, args...)
				if r.code != 0 || r.stderr != "" {
					t.Fatalf("%s: exit code %d\n%s%s", args[0], r.code, r.stdout, r.stderr)
				}
				most = max(most, r.peak)
				n++
			}
			for range 2 {
				m.night()
				under("backup", m.src)
				m.learn()
			}
			under("forget", "--keep-last", "1")
			under("prune")
			under(append(copyAway(m), "--create", "--quiet")...)
			under("check", "--read-data")
			under(restoreNewest(m)...)
			m.targetIsNewest()
			if len(c.env) > 0 && most > limit {
				t.Errorf("%d MiB of memory were used", most>>20)
			}
			survived(t, n, fmt.Sprintf("commands with %s on %d MiB; at most %d MiB of memory were in use", c.name, c.size, most>>20))
		})
	}
}

// fillLarge writes a file that does not compress.
func (m *machine) fillLarge(name string, mebibytes int) {
	m.t.Helper()
	f, err := os.Create(filepath.Join(m.src, name))
	must(m.t, err)
	_, err = io.CopyN(f, rand.NewChaCha8([32]byte{1}), int64(mebibytes)<<20)
	must(m.t, err)
	must(m.t, f.Close())
}
