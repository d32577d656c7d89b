package backup_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime/debug"
	"testing"

	"nightjar/backup"
	"nightjar/backup/backuptest"
	"nightjar/backup/content"
	"nightjar/chunk"
	"nightjar/repo"
	"nightjar/repo/store/directory"
)

// unbroken returns bytes that nothing compresses, and in which there is no chunk boundary.
func unbroken(rule chunk.Rule, n int) []byte {
	data, s := backuptest.Random(n), chunk.NewSplitter(rule)
	for end := s.Next(data); end >= 0 && end < rule.Max; end = s.Next(data) {
		data[end-1] ^= 1
		s.Reset()
	}
	return data
}

// The worst that contents can hold is no chunk boundary for long, in all of them at the same time. Memory stays below
// what a backup of files takes.
func TestRunMemory(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(180 << 20)) // as the command does
	dir, err := directory.Create(t.TempDir() + "/repository")
	must(t, err)
	t.Cleanup(func() { dir.Close() })
	s := newSiteOn(t, dir)
	const open = 64
	entries := backuptest.Scaled(100_000, 3000)
	data := unbroken(s.Repo.Rule(), backuptest.Scaled(4<<20, 3<<19))
	peak := backuptest.Peak(func() {
		s.run(func(_ context.Context, run *backup.Run) (repo.Labels, error) {
			for i := range entries {
				must(t, put(run, fmt.Sprintf("shop/table%d", i), fmt.Sprint("row ", i)))
			}
			all := make([]*content.Content, open)
			for i := range all {
				var err error
				all[i], err = run.Create(fmt.Sprintf("large/%d", i), content.Hint{})
				must(t, err)
				defer all[i].Abort()
				_, err = all[i].Write(binary.BigEndian.AppendUint64(nil, uint64(i)))
				must(t, err)
			}
			const step = 128 << 10
			for at := 8; at < len(data); at += step {
				for _, c := range all {
					_, err := c.Write(data[at:min(at+step, len(data))])
					must(t, err)
				}
			}
			for _, c := range all {
				must(t, c.Close())
			}
			return nil, nil
		})
	})
	t.Logf("%d MiB for %d contents of %d bytes without a boundary, and %d entries", peak>>20, open, len(data), entries)
	if peak > uint64(backuptest.Scaled(180, 150))<<20 {
		t.Errorf("%d MiB of memory", peak>>20)
	}
	if n := s.node("large/63"); len(n.Contents.Items) != 1 {
		t.Errorf("a content has %d chunks", len(n.Contents.Items))
	}
}
