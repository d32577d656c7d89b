package show

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"nightjar/backup"
	"nightjar/backup/restore"
	"nightjar/internal/human"
	"nightjar/internal/quote"
	"nightjar/repo"
	"nightjar/repo/maintain/check"
)

func count[N int | uint64](n N) string { return fmt.Sprint(n) }

// withRequests appends a row of what was asked of the store, if that is counted.
func withRequests(rows [][2]string, requests map[string]uint64) [][2]string {
	if len(requests) == 0 {
		return rows
	}
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(requests)) {
		parts = append(parts, fmt.Sprintf("%d %s", requests[kind], kind))
	}
	return append(rows, [2]string{"requests", strings.Join(parts, ", ")})
}

// Backup prints how a backup went. requests is nil where they are not counted.
func Backup(w io.Writer, made *repo.Archive, s *backup.Statistics, problems uint64, requests map[string]uint64) {
	ratio := ""
	if s.BytesNew > 0 {
		ratio = fmt.Sprintf("%.1f%% of %s", 100*float64(s.BytesCompressed)/float64(s.BytesNew), human.Size(s.BytesNew))
	}
	fmt.Fprintf(w, "archive %s of %s: %s\n", ShortID(made), quote.Display(made.Host), Source(made))
	Block(w, withRequests([][2]string{
		{"start", human.Time(s.Start)},
		{"end", human.Time(s.End)},
		{"elapsed", human.Elapsed(s.End.Sub(s.Start))},
		{"source files", count(s.Files)},
		{"source folders", count(s.Dirs)},
		{"source others", count(s.Others)},
		{"source bytes", human.ExactSize(s.Bytes)},
		{"new files", count(s.New)},
		{"changed files", count(s.Changed)},
		{"unchanged files", count(s.Unchanged)},
		{"deleted", count(s.Deleted)},
		{"unread", count(s.Unread)},
		{"changed while read", count(s.Unsettled)},
		{"grew while read", count(s.Grown)},
		{"bytes read", human.ExactSize(s.BytesRead)},
		{"chunks new", count(s.ChunksNew)},
		{"chunks known", count(s.ChunksKnown)},
		{"chunks changed", fmt.Sprintf("%d, %s of them new", s.ChunksDelta, human.Size(s.BytesLiteral))},
		{"compressed to", ratio},
		{"objects stored", count(s.ObjectsStored)},
		{"bytes stored", human.ExactSize(s.BytesStored)},
		{"problems", count(problems)},
	}, requests))
}

// BackupJSON returns what --json tells of how a backup went.
func BackupJSON(made *repo.Archive, s *backup.Statistics, problems uint64, requests map[string]uint64, copied *Copied) any {
	return struct {
		Archive    *ArchiveJSON      `json:"archive"`
		Elapsed    float64           `json:"elapsed_seconds"`
		Problems   uint64            `json:"problems"`
		Statistics map[string]uint64 `json:"statistics"`
		Requests   map[string]uint64 `json:"requests,omitempty"`
		Copy       *Copied           `json:"copy,omitempty"`
	}{Archive(made), s.End.Sub(s.Start).Seconds(), problems, s.Map(), requests, copied}
}

// RestoredJSON returns what --json tells of how a restore went.
func RestoredJSON(archive *repo.Archive, target string, dryRun bool, s *restore.Statistics, took time.Duration, requests map[string]uint64) any {
	return struct {
		Archive    *ArchiveJSON      `json:"archive"`
		Target     string            `json:"target"`
		DryRun     bool              `json:"dry_run"`
		Elapsed    float64           `json:"elapsed_seconds"`
		Statistics map[string]uint64 `json:"statistics"`
		Requests   map[string]uint64 `json:"requests,omitempty"`
	}{Archive(archive), quote.Text(target), dryRun, took.Seconds(), s.Map(), requests}
}

// Restored prints how a restore went. requests is nil where they are not counted.
func Restored(w io.Writer, archive *repo.Archive, target string, dryRun bool, s *restore.Statistics, took time.Duration, requests map[string]uint64) {
	verb := "restored"
	if dryRun {
		verb = "would restore"
	}
	again := human.ExactSize(s.Read.Again)
	if s.Read.Bytes > 0 {
		again += fmt.Sprintf(", %.1f%%", 100*float64(s.Read.Again)/float64(s.Read.Bytes))
	}
	fmt.Fprintf(w, "%s archive %s of %s, %s, to %s\n", verb, ShortID(archive), quote.Display(archive.Host), human.Time(archive.Time), quote.Display(target))
	Block(w, withRequests([][2]string{
		{"elapsed", human.Elapsed(took)},
		{"files", count(s.Files)},
		{"folders", count(s.Dirs)},
		{"others", count(s.Others)},
		{"hard links", count(s.Links)},
		{"bytes", human.ExactSize(s.Bytes)},
		{"files read back", count(s.Verified)},
		{"kept as they were", count(s.Kept - s.Amended)},
		{"attributes put right", count(s.Amended)},
		{"problems", count(s.Problems)},
		{"bytes read", human.ExactSize(s.Read.Bytes)},
		{"read again", again},
	}, requests))
}

// Actions prints what a restore does. Add may be called from any goroutine.
type Actions struct {
	mu    sync.Mutex
	w     *bufio.Writer
	words [4]string
}

// NewActions returns Actions that are printed to w.
func NewActions(w io.Writer, dryRun bool) *Actions {
	l := &Actions{w: bufio.NewWriter(w), words: [4]string{"created", "replaced", "kept", "put attributes right of"}}
	if dryRun {
		l.words = [4]string{"would create", "would replace", "would keep", "would put attributes right of"}
	}
	return l
}

// Add prints what is done with one entry.
func (l *Actions) Add(path string, action restore.Action) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.w, "%s %s\n", l.words[action], quote.Display(path))
}

// End prints what has not been printed yet.
func (l *Actions) End() error {
	if err := l.w.Flush(); err != nil {
		return fmt.Errorf("write to standard output: %w", err)
	}
	return nil
}

// Finding returns one line about a finding of a check.
func Finding(f check.Finding) string {
	var about []string
	if f.Object != "" {
		about = append(about, quote.Display(f.Object))
	}
	if f.Archive != "" {
		about = append(about, "archive "+f.Archive[:min(8, len(f.Archive))]+":"+quote.Display(f.Path))
	}
	line := strings.Join(about, " ") + ": " + string(f.What)
	if f.Err != nil {
		line += ": " + quote.Display(strings.ReplaceAll(f.Err.Error(), "\n", "; "))
	}
	return line
}

// FindingJSON is what --json tells of a finding.
type FindingJSON struct {
	What    check.What `json:"what"`
	Fault   bool       `json:"fault"`
	Object  string     `json:"object,omitempty"`
	Archive string     `json:"archive,omitempty"`
	Path    string     `json:"path,omitempty"`
	Reason  string     `json:"reason,omitempty"`
}

// NewFindingJSON returns what --json tells of a finding.
func NewFindingJSON(f check.Finding) FindingJSON {
	j := FindingJSON{What: f.What, Fault: f.Fault(), Object: quote.Text(f.Object), Archive: f.Archive, Path: quote.Text(f.Path)}
	if f.Err != nil {
		j.Reason = quote.Text(f.Err.Error())
	}
	return j
}

// Checked prints what a check looked at.
func Checked(w io.Writer, s *check.Summary, took time.Duration) {
	opened := "no"
	if s.Opened {
		opened = "yes"
	}
	Block(w, [][2]string{
		{"elapsed", human.Elapsed(took)},
		{"archives", count(s.Archives)},
		{"trees", count(s.Trees)},
		{"files", count(s.Files)},
		{"indexes", count(s.Indexes)},
		{"packs", count(s.Packs)},
		{"bytes stored", human.ExactSize(uint64(s.Bytes))},
		{"checksums compared", count(s.Checksums)},
		{"packs read", count(s.PacksRead)},
		{"bytes read", human.ExactSize(uint64(s.BytesRead))},
		{"content opened", opened},
		{"faults", count(s.Faults)},
		{"not looked at", count(s.Unread)},
		{"repaired", count(s.Repaired)},
		{"lost before", count(s.Lost)},
		{"disowned", count(s.Disowned)},
		{"late, and not whole", count(s.Uncounted)},
		{"without what they need", count(s.Unmet)},
		{"left over", count(s.Leftovers)},
	})
}

// CheckedJSON returns what --json tells of a check.
func CheckedJSON(s *check.Summary, took time.Duration) any {
	return map[string]any{
		"elapsed_seconds": took.Seconds(), "archives": s.Archives, "trees": s.Trees, "files": s.Files, "indexes": s.Indexes, "packs": s.Packs,
		"bytes_stored": s.Bytes, "checksums": s.Checksums, "packs_read": s.PacksRead, "bytes_read": s.BytesRead, "content_opened": s.Opened,
		"faults": s.Faults, "leftovers": s.Leftovers, "repaired": s.Repaired, "lost": s.Lost, "disowned": s.Disowned, "uncounted": s.Uncounted, "unmet": s.Unmet, "unread": s.Unread,
	}
}
