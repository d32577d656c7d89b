package directory

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"nightjar/repo/store"
)

// A folder that can be read only in part is an error, not a folder of less.
func TestDirListReadFails(t *testing.T) {
	const objects = 3000 // more than are read at once
	path := t.TempDir()
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for i := range objects {
		if err := os.WriteFile(filepath.Join(path, fmt.Sprint(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, last := range []int{1024, 2048} { // the last object of one reading
		dir, err := d.openFolder("")
		if err != nil {
			t.Fatal(err)
		}
		seen := 0
		err = d.list(t.Context(), dir, "", "", func(store.Info) error {
			if seen++; seen == last {
				dir.Close()
			}
			return nil
		})
		if err == nil || seen != last {
			t.Errorf("a listing of %d of %d objects ends with %v", seen, objects, err)
		}
	}
}
