package torture

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// memory limits what a program may have. It is RLIMIT_DATA, which counts all that a program could write to, in use or not: that is harder
// than a control group's limit, and needs none.
func memory(mebibytes int) []string {
	return []string{"sh", "-c", fmt.Sprintf(`ulimit -d %d && exec "$@"`, mebibytes<<10), "sh"}
}

// TestLimits runs commands with 512 MiB of memory, on one processor, and on a disk of which each call takes 10 ms.
func TestLimits(t *testing.T) {
	need(t, "sh", "taskset", "strace")
	mebibytes := rounds(2048, 32)
	const calls = "pread64,pwrite64,read,write,fsync,fdatasync,syncfs,renameat,renameat2,getdents64"
	slow := []string{"strace", "-f", "--seccomp-bpf", "-qq", "-o", os.DevNull, "-e", "trace=" + calls, "-e", "inject=" + calls + ":delay_exit=10000"}
	for _, c := range []struct {
		name   string
		before []string
		env    []string
		size   int // MiB
	}{
		{"512 MiB of memory", memory(512), []string{"GOMEMLIMIT=400MiB"}, mebibytes},
		{"one processor", []string{"taskset", "-c", "0"}, nil, mebibytes},
		{"a slow disk", slow, nil, min(mebibytes, 64)},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine(t, random(900), "", c.env...)
			m.want(0, "", "init", "--quiet")
			m.fillLarge("large", c.size)
			n := 0
			under := func(args ...string) {
				t.Helper()
				r := m.start(c.before, args...)
				if r.code != 0 || r.stderr != "" {
					t.Fatalf("%s: exit code %d\n%s%s", args[0], r.code, r.stdout, r.stderr)
				}
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
			survived(t, n, fmt.Sprintf("commands with %s, on %d MiB", c.name, c.size))
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
