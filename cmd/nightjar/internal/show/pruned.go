package show

import (
	"fmt"
	"io"
	"time"

	"nightjar/internal/human"
	"nightjar/repo/maintain/prune"
)

// Pruned prints what a prune did, or would do.
func Pruned(w io.Writer, p *prune.Summary, dry bool, took time.Duration) {
	due := "when something is forgotten"
	if !p.Due.IsZero() {
		due = human.Time(p.Due)
	}
	if dry {
		fmt.Fprintln(w, "nothing was changed; it would be like this:")
	}
	Block(w, [][2]string{
		{"elapsed", human.Elapsed(took)},
		{"archives kept", count(p.Archives)},
		{"archives removed", count(p.ArchivesRemoved)},
		{"archives too late", count(p.ArchivesLate)},
		{"packs removed", packs(p.PacksRemoved, p.BytesRemoved)},
		{"recipes and trees dropped", count(p.BlobsRemoved)},
		{"packs reprieved", count(p.PacksReprieved)},
		{"packs repacked", packs(p.PacksRepacked, p.BytesRepacked)},
		{"packs written", packs(p.PacksWritten, p.BytesWritten)},
		{"packs condemned", packs(p.PacksCondemned, p.BytesCondemned)},
		{"packs condemned before", packs(p.PacksWaiting, p.BytesWaiting)},
		{"indexes and lists removed", count(p.IndexesRemoved + p.ListsRemoved)},
		{"locks extended", count(p.LocksExtended)},
		{"more to do", due},
	})
}

func packs(n int, bytes int64) string {
	if n == 0 {
		return count(n)
	}
	return fmt.Sprintf("%d of %s", n, human.Size(uint64(bytes)))
}

// PrunedJSON returns what --json tells of a prune.
func PrunedJSON(p *prune.Summary, dry bool, took time.Duration) any {
	all := map[string]any{
		"dry_run": dry, "elapsed_seconds": took.Seconds(),
		"archives": p.Archives, "archives_late": p.ArchivesLate, "archives_removed": p.ArchivesRemoved,
		"packs_removed": p.PacksRemoved, "bytes_removed": p.BytesRemoved, "blobs_removed": p.BlobsRemoved,
		"packs_reprieved": p.PacksReprieved, "blobs_reprieved": p.BlobsReprieved,
		"packs_condemned": p.PacksCondemned, "bytes_condemned": p.BytesCondemned, "blobs_condemned": p.BlobsCondemned,
		"packs_waiting": p.PacksWaiting, "bytes_waiting": p.BytesWaiting,
		"packs_repacked": p.PacksRepacked, "bytes_repacked": p.BytesRepacked, "packs_written": p.PacksWritten, "bytes_written": p.BytesWritten,
		"indexes_removed": p.IndexesRemoved, "lists_removed": p.ListsRemoved, "locks_extended": p.LocksExtended,
	}
	if !p.Due.IsZero() {
		all["due"] = p.Due.UTC().Format(time.RFC3339)
	}
	return all
}
