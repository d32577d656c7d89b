package maintenance

import (
	"fmt"
	"io"
	"strings"
	"time"

	"nightjar/cmd/nightjar/internal/show"
	"nightjar/internal/human"
	"nightjar/repo/maintain/prune"
)

// Pruned prints what a prune did, or would do.
func Pruned(w io.Writer, p *prune.Summary, dry bool, took time.Duration) {
	fmt.Fprintln(w, pruned(p, dry))
	show.Block(w, [][2]string{
		{"elapsed", human.Elapsed(took)},
		{"archives kept", show.Count(p.Archives)},
		{"archives removed", show.Some(p.ArchivesRemoved)},
		{"archives forgotten, and kept until then", show.Some(p.ArchivesForgotten)},
		{"archives too late", show.Some(p.ArchivesLate)},
		{"packs removed", packs(p.PacksRemoved, p.BytesRemoved)},
		{"recipes and trees dropped", show.Some(p.BlobsRemoved)},
		{"packs reprieved", show.Some(p.PacksReprieved)},
		{"packs repacked", packs(p.PacksRepacked, p.BytesRepacked)},
		{"packs written", packs(p.PacksWritten, p.BytesWritten)},
		{"packs condemned", packs(p.PacksCondemned, p.BytesCondemned)},
		{"packs condemned before", packs(p.PacksWaiting, p.BytesWaiting)},
		{"indexes and lists removed", show.Some(p.IndexesRemoved + p.ListsRemoved)},
		{"locks extended", show.Some(p.LocksExtended)},
	})
}

// pruned says in a line what a prune did, or would do.
func pruned(p *prune.Summary, dry bool) string {
	var did []string
	add := func(verb, would string, n int, what string, bytes int64) {
		if n == 0 {
			return
		}
		if dry {
			verb = "would " + would
		}
		text := verb + " " + human.Count(n, what)
		if bytes > 0 {
			text += " of " + human.Size(uint64(bytes))
		}
		did = append(did, text)
	}
	add("removed", "remove", p.ArchivesRemoved, "archive", 0)
	add("deleted", "delete", p.PacksRemoved, "pack", p.BytesRemoved)
	add("repacked", "repack", p.PacksRepacked, "pack", p.BytesRepacked)
	add("condemned", "condemn", p.PacksCondemned, "pack", p.BytesCondemned)
	add("deleted", "delete", p.IndexesRemoved+p.ListsRemoved, "object that was replaced", 0)
	text := strings.Join(did, ", ")
	switch {
	case text == "" && p.Due.IsZero():
		return "nothing to remove: no archive is forgotten, and no pack is unneeded"
	case text == "" && p.ArchivesForgotten > 0:
		text = "nothing to remove yet: " + human.Count(p.ArchivesForgotten, "forgotten archive") + " may come back until the grace period is over"
	case text == "":
		text = "nothing to remove yet"
	}
	if !p.Due.IsZero() {
		text += "; more to do from " + human.Time(p.Due)
	}
	return text
}

func packs(n int, bytes int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %s", n, human.Size(uint64(bytes)))
}

// PrunedJSON returns what --json tells of a prune.
func PrunedJSON(p *prune.Summary, dry bool, took time.Duration) any {
	all := map[string]any{
		"dry_run": dry, "elapsed_seconds": took.Seconds(),
		"archives": p.Archives, "archives_forgotten": p.ArchivesForgotten, "archives_late": p.ArchivesLate, "archives_removed": p.ArchivesRemoved,
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
