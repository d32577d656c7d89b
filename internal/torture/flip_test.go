package torture

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// Bounds of what a damaged object may cost to look at, beyond what a whole one costs.
const (
	mayAllocate = 128 << 20
	mayTake     = 10 * time.Minute
)

// TestFlips flips single bits of all objects, and cuts them off. A check finds each and names the object, or every archive comes back
// whole; and no restore writes a wrong byte, hangs, or allocates without bound.
func TestFlips(t *testing.T) {
	v := newVault(t, 100)
	names, objects := v.objects()
	ctx := context.Background()
	_, usual := measure(func() verdict {
		j := v.judge(ctx, v.store, v.seen(), "whole repository")
		if len(j.faults) > 0 || j.restored != len(v.archives) || j.problems > 0 {
			t.Fatalf("a whole repository: %+v", j)
		}
		return j
	})
	r := random(2)
	harmless := map[string]int{}
	full := rounds(10_000, 40)
	var most uint64
	for round := range full {
		name := names[round%len(names)]
		data, how := damaged(r, objects[name])
		what := name + " " + how
		ctx, cancel := context.WithTimeout(ctx, mayTake)
		j, allocated := measure(func() verdict {
			return v.judge(ctx, &spoiltStore{Store: v.store, name: name, data: data}, v.seen(), what)
		})
		if ctx.Err() != nil {
			t.Fatalf("%s: no end in %v", what, mayTake)
		}
		cancel()
		most = max(most, allocated)
		if allocated > usual+mayAllocate {
			t.Fatalf("%s: %d bytes allocated, usually %d", what, allocated, usual)
		}
		switch {
		case len(j.faults) == 0 && j.restored == len(v.archives) && j.problems == 0:
			kind, _, _ := strings.Cut(name, "/")
			harmless[kind]++
		case !strings.Contains(strings.Join(j.faults, "\n"), name):
			t.Fatalf("%s: a check does not name it: %+v", what, j)
		}
	}
	survived(t, full, fmt.Sprintf("bits flipped and objects cut off, of %d objects; harmless: %v; allocated %d MiB at most, %d MiB when nothing is wrong",
		len(names), harmless, most>>20, usual>>20))
}

// damaged returns an object with a bit flipped, or cut off, and says which.
func damaged(r *rand.Rand, object []byte) (data []byte, how string) {
	data = bytes.Clone(object)
	if r.IntN(4) == 0 {
		n := r.IntN(len(data))
		return data[:n], fmt.Sprintf("cut at %d of %d bytes", n, len(data))
	}
	bit := r.IntN(8 * len(data))
	data[bit/8] ^= 1 << (bit % 8)
	return data, fmt.Sprintf("with bit %d of %d flipped", bit, 8*len(data))
}

// TestFlippedFiles is TestFlips for the program, on files of a repository in a directory.
func TestFlippedFiles(t *testing.T) {
	need(t, "sh")
	r := random(1000)
	m := newMachine(t, r, "")
	m.want(0, "", "init", "--quiet")
	for range 3 {
		m.another()
	}
	var files []string
	must(t, filepath.WalkDir(m.path("repo"), func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	}))
	ids := m.archives()
	n := rounds(500, len(files)/2)
	for round := range n {
		path := files[round%len(files)]
		name, err := filepath.Rel(m.path("repo"), path)
		must(t, err)
		object, err := os.ReadFile(path)
		must(t, err)
		info, err := os.Stat(path)
		must(t, err)
		data, how := damaged(r, object)
		must(t, os.WriteFile(path, data, 0o600))
		checked := m.start(memory(300), "check", "--read-data", "--cache-dir", m.path("cold"))
		if checked.code != 12 || !strings.Contains(checked.stdout+checked.stderr, name) {
			t.Fatalf("%s %s: check ends with %d and does not name it:\n%s%s", name, how, checked.code, checked.stdout, checked.stderr)
		}
		for _, id := range ids {
			target := m.path("restored")
			got := m.start(memory(300), "restore", id+":"+m.src, "--target", target, "--cache-dir", m.path("cold"))
			if !slices.Contains([]int{0, 1, 3, 12}, got.code) || got.code != 0 && got.stderr == "" {
				t.Fatalf("%s %s: restore ends with %d:\n%s", name, how, got.code, got.stderr)
			}
			is := stateOf(t, target)
			found := wrong(is, m.saved[id])
			if got.code == 0 {
				found = differences(is, m.saved[id])
			}
			if len(found) > 0 {
				t.Fatalf("WRONG BYTES: %s %s: restore of %s ends with %d:\n%s", name, how, id, got.code, strings.Join(found, "\n"))
			}
			must(t, os.RemoveAll(target))
			must(t, os.RemoveAll(m.path("cold")))
		}
		must(t, os.WriteFile(path, object, 0o600))
		must(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
	}
	m.whole()
	m.restoreAll()
	survived(t, n, "files of a repository damaged, and looked at with 300 MiB of memory")
}

// measure tells how many bytes were allocated meanwhile.
func measure(f func() verdict) (verdict, uint64) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	v := f()
	runtime.ReadMemStats(&after)
	return v, after.TotalAlloc - before.TotalAlloc
}
