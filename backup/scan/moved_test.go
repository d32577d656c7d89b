package scan_test

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"nightjar/backup/backuptest"
	"nightjar/backup/scan"
	"nightjar/internal/watch"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A directory that is moved while the walk is deep in it costs what is in it, not the backup.
func TestMoved(t *testing.T) {
	src := t.TempDir()
	bottom := src + "/top" + strings.Repeat("/d", 200)
	must(t, os.MkdirAll(bottom, 0o755))
	must(t, os.WriteFile(bottom+"/large", make([]byte, 1<<20), 0o600)) // so that its batch is sent at once
	must(t, os.WriteFile(src+"/z", nil, 0o600))
	log := new(backuptest.Problems)
	sel, err := scan.Select([]string{src}, log.Add)
	must(t, err)
	var seen []string
	open, left := 0, 0
	backuptest.NoLeak(t, func() {
		_, err = scan.Walk(context.Background(), sel, scan.Options{Progress: new(watch.Progress), Problem: log.Add}, func(b *scan.Batch) error {
			for _, e := range b.Events {
				switch e.Kind {
				case scan.Enter:
					open++
				case scan.Leave:
					open--
					left++
				default:
					seen = append(seen, e.Node.Name)
					if e.Node.Name == "large" {
						must(t, os.Rename(src+"/top/d/d/d", src+"/away"))
						must(t, os.RemoveAll(src+"/top/d/d"))
					}
				}
			}
			b.Close()
			return nil
		})
	})
	must(t, err)
	if len(log.Paths()) == 0 {
		t.Error("nothing is reported")
	}
	if open != 0 || !slices.Contains(seen, "z") {
		t.Errorf("%d directories open at the end of %d; saw %q", open, left, seen)
	}
}
