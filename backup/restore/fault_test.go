package restore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"nightjar/backup/backuptest"
	"nightjar/backup/restore"
	"nightjar/repo/store"
	"nightjar/repo/store/storetest"
)

// TestStop stops a restore at each of its reads: files are old or new, new ones whole or absent.
func TestStop(t *testing.T) {
	f := &storetest.Faulty{Store: store.NewMemory(nil)}
	s := backuptest.NewOn(t, f)
	for i := range 30 {
		s.Write(fmt.Sprintf("old/%02d", i), string(backuptest.Random(1000+i*10_000)))
		s.Write(fmt.Sprintf("new/%02d", i), string(backuptest.Random(1000+i*10_000)))
	}
	s.Write("old/empty", "")
	must(t, os.Link(s.Path("old/07"), s.Path("old/link")))
	s.Save()
	want := backuptest.FactsOf(t, s.Src)
	for n := int64(1); n < 40; n = n*2 + 1 {
		target := t.TempDir()
		must(t, os.Mkdir(target+"/old", 0o755))
		for name := range want {
			if base, ok := strings.CutPrefix(name, "old/"); ok {
				must(t, os.WriteFile(target+"/old/"+base, []byte("old"), 0o600))
			}
		}
		ctx, cancel := context.WithCancel(context.Background())
		rd := s.Reader()
		var reads atomic.Int64
		f.Before = []storetest.Hook{func(c storetest.Call) error {
			if c.Op == storetest.Get {
				if reads.Add(1) == n {
					cancel()
					return ctx.Err()
				}
			}
			return nil
		}}
		var err error
		backuptest.NoLeak(t, func() { _, _, err = s.RestoreFrom(ctx, rd, overwrite(target, restore.Always)) })
		f.Before = nil
		cancel()
		if reads.Load() >= n && !errors.Is(err, context.Canceled) {
			t.Errorf("stopped at read %d: %v", n, err)
		}
		for name, is := range backuptest.FactsOf(t, target) {
			base := filepath.Base(name)
			switch {
			case strings.HasPrefix(base, ".nightjar"):
				t.Errorf("stopped at read %d: left %s", n, name)
			case base == "." || base == "old" || base == "new":
			case strings.HasPrefix(name, "old") && strings.Contains(is, "size 3 "):
			default:
				if is, _, _ = strings.Cut(is, " ="); is != strings.Split(want[name], " =")[0] {
					t.Errorf("stopped at read %d: %s is %s, not %s", n, name, is, want[name])
				}
			}
		}
	}
}

// TestDamage flips bits of packs as they are read.
func TestDamage(t *testing.T) {
	f := &storetest.Faulty{Store: store.NewMemory(nil)}
	s := backuptest.NewOn(t, f)
	for i := range 8 { // each has a frame to itself, or several
		s.Write(fmt.Sprint("f", i), string(backuptest.Random(800_000+i*300_000)))
	}
	must(t, os.Link(s.Path("f3"), s.Path("g3")))
	s.Save()
	want := backuptest.FactsOf(t, s.Src)
	for _, offset := range []int64{100_000, 2_000_000, 5_000_000} {
		target := t.TempDir()
		must(t, os.WriteFile(target+"/f5", []byte("old"), 0o600))
		rd := s.Reader()
		f.After = []storetest.Hook{func(c storetest.Call) error {
			if i := offset - c.Offset; c.Op == storetest.Get && strings.Contains(c.Name, "content") && i >= 0 && i < int64(len(c.Data)) {
				c.Data[i] ^= 1
			}
			return nil
		}}
		var st restore.Statistics
		var err error
		backuptest.NoLeak(t, func() { _, st, err = s.RestoreFrom(context.Background(), rd, overwrite(target, restore.Always)) })
		f.After = nil
		must(t, err)
		bad := s.Log.Paths()
		if len(bad) == 0 || len(bad) > 2 || st.Problems != uint64(s.Log.Count) {
			t.Errorf("reported %q", bad)
		}
		got := backuptest.FactsOf(t, target)
		for name, is := range want {
			if slices.Contains(bad, s.Path(name)) {
				if got[name] != "" && (name != "f5" || !strings.Contains(got[name], "size 3 ")) {
					t.Errorf("%s: damaged, and there: %s", name, got[name])
				}
			} else if got[name] != is && name != "." {
				t.Errorf("%s is %s, not %s", name, got[name], is)
			}
		}
		for name := range got {
			if want[name] == "" {
				t.Errorf("left %s", name)
			}
		}
	}
}

// TestFull fills a small target.
func TestFull(t *testing.T) {
	backuptest.NeedRoot(t)
	s := backuptest.New(t)
	for i := range 4 {
		s.Write(fmt.Sprint("small", i), string(backuptest.Random(10_000)))
		s.Write(fmt.Sprint("tail", i), string(backuptest.Random(10_000)))
	}
	s.Write("large", string(backuptest.Random(3<<20)))
	s.Save()
	target := t.TempDir()
	must(t, unix.Mount("none", target, "tmpfs", 0, "size=1m"))
	t.Cleanup(func() { unix.Unmount(target, unix.MNT_DETACH) })
	must(t, os.WriteFile(target+"/large", []byte("old"), 0o600))
	if _, _, err := s.TryRestore(overwrite(target, restore.Always)); !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	s.Log.None(t) // nobody reads thousands of the same
	for name, is := range backuptest.FactsOf(t, s.Src) {
		got, err := os.ReadFile(filepath.Join(target, name))
		if name == "large" && string(got) != "old" || name != "large" && err == nil && int64(len(got)) != 10_000 {
			t.Errorf("%s: %d bytes, %v; was %.50s", name, len(got), err, is)
		}
	}
	for _, name := range backuptest.List(t, target) {
		if strings.HasPrefix(name, ".nightjar") {
			t.Errorf("left %s", name)
		}
	}
	must(t, unix.Mount("none", target, "tmpfs", unix.MS_REMOUNT, "size=9m"))
	s.Restore(overwrite(target, restore.IfChanged))
	s.Log.None(t)
	backuptest.Same(t, backuptest.FactsOf(t, target).Below(), backuptest.FactsOf(t, s.Src).Below())
}
