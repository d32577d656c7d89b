package scratch_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"nightjar/cmd/nightjar/internal/scratch"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// What is in use stays; what was left goes, closed folders too; what bears no mark is nobody's to remove.
func TestMake(t *testing.T) {
	below := t.TempDir()
	used, err := scratch.Make(below, true)
	must(t, err)
	left := filepath.Join(below, "nightjar-drill-left")
	must(t, os.MkdirAll(filepath.Join(left, "files/closed/deep"), 0o700))
	must(t, os.Chmod(filepath.Join(left, "files/closed"), 0o500))
	must(t, os.WriteFile(filepath.Join(left, ".nightjar-drill"), nil, 0o600))
	other := filepath.Join(below, "nightjar-drill-other")
	must(t, os.Mkdir(other, 0o700))
	next, err := scratch.Make(below, false)
	must(t, err)
	for path, want := range map[string]bool{used.Path: true, left: false, other: true, next.Path: true} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s: %v", path, err)
		}
	}
	for path, want := range map[string]os.FileMode{used.Path: 0o711, next.Path: 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
	if err := used.Fits(1 << 62); !errors.Is(err, scratch.ErrSpace) {
		t.Error(err)
	}
	must(t, used.Fits(1))
	must(t, os.MkdirAll(filepath.Join(used.Path, "files/fixed"), 0o700))
	must(t, os.WriteFile(filepath.Join(used.Path, "files/fixed/file"), nil, 0o400))
	if out, err := exec.Command("chattr", "+i", filepath.Join(used.Path, "files/fixed/file"), filepath.Join(used.Path, "files/fixed")).CombinedOutput(); err != nil {
		t.Logf("NOT TESTED: a file that nobody may remove: %s", out)
	}
	must(t, used.Remove())
	must(t, next.Remove())
	if entries, err := os.ReadDir(below); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
}
