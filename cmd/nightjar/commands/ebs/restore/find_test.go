package restore

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightjar/snapshot/bring"
)

// The binary log is where the tags say, else where the last one was written; of two nobody chooses.
func TestFindLogs(t *testing.T) {
	root := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write := func(dir, log string, age time.Duration) {
		t.Helper()
		at := filepath.Join(root, dir)
		must(os.MkdirAll(at, 0o755))
		must(os.WriteFile(filepath.Join(at, "bin.index"), []byte("/was/"+log+"\n"), 0o600))
		must(os.WriteFile(filepath.Join(at, log), []byte("\xfebin"), 0o600))
		when := time.Now().Add(-age)
		must(os.Chtimes(filepath.Join(at, log), when, when))
	}
	r, parts := &restoreFlags{}, []bring.Part{{At: root}}
	r.mount.Under = root
	find := func(named, want string) {
		t.Helper()
		got, err := findLogs(r, parts, filepath.Join(root, "data"), named)
		if want == "several" && err != nil && strings.Contains(err.Error(), want) {
			return
		}
		if want != "" {
			want = filepath.Join(root, want)
		}
		if err != nil || got != want {
			t.Errorf("%q, want %q: %v", got, want, err)
		}
	}
	must(os.Mkdir(filepath.Join(root, "data"), 0o755))
	find("", "")
	write("log/mysql", "bin.000002", time.Hour)
	find("", "log/mysql")
	write("data", "bin.000001", 2*time.Hour) // of earlier days
	find("", "log/mysql")
	find("bin.000001", "")
	write("data", "bin.000001", 0)
	find("", "")
	find("bin.000002", "log/mysql")
	write("data", "bin.000001", 2*time.Hour)
	write("other", "bin.000003", time.Hour)
	find("", "several")
	find("bin.000003", "other")
	r.logs = "/log/mysql"
	find("", "log/mysql")
	r.logs = "/data"
	find("bin.000003", "")
}
