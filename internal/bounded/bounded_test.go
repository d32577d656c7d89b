package bounded

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	if err := os.WriteFile(path, []byte("1234"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadFile(path, 4); err != nil || string(got) != "1234" {
		t.Errorf("read %q: %v", got, err)
	}
	if _, err := ReadFile(path, 3); err == nil {
		t.Error("a file that is too large is read")
	}
	if _, err := ReadFile("/dev/zero", 1<<10); err == nil {
		t.Error("a file without an end is read")
	}
	if err := os.WriteFile(filepath.Join(dir, "B"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Names(dir, 2); err != nil || !slices.Equal(got, []string{"B", "a"}) {
		t.Errorf("names %q: %v", got, err)
	}
	if _, err := Names(dir, 1); err == nil {
		t.Error("a folder that is too large is read")
	}
}
