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
)

// Count is the cell of a number.
func Count[N int | uint64](n N) string { return fmt.Sprint(n) }

// Milliseconds is the cell of a short time.
func Milliseconds(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/1e6) }

// Some is Count for what nobody misses where there is none: Block leaves it out.
func Some[N int | uint64](n N) string {
	if n == 0 {
		return ""
	}
	return Count(n)
}

// SomeBytes is Some for bytes.
func SomeBytes(n uint64) string {
	if n == 0 {
		return ""
	}
	return human.ExactSize(n)
}

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

// smallest is of how many new bytes it is worth while to say how well they compress: below, what encloses them weighs more.
const smallest = 4 << 10

// Requests has JSON print requests that are not counted, since the store is a folder, as {}, not as null.
func Requests(counted map[string]uint64) map[string]uint64 {
	if counted == nil {
		return map[string]uint64{}
	}
	return counted
}

// Backup prints how a backup went. requests is nil where they are not counted.
func Backup(w io.Writer, made *repo.Archive, s *backup.Statistics, problems uint64, requests map[string]uint64) {
	ratio := ""
	if s.BytesNew >= smallest {
		ratio = fmt.Sprintf("%.1f%% of %s", 100*float64(s.BytesCompressed)/float64(s.BytesNew), human.Size(s.BytesNew))
	}
	changed := ""
	if s.ChunksDelta > 0 {
		changed = fmt.Sprintf("%d, %s of them new", s.ChunksDelta, human.Size(s.BytesLiteral))
	}
	fmt.Fprintf(w, "archive %s of %s: %s\n", ShortID(made), quote.Display(made.Host), Source(made))
	Block(w, withRequests([][2]string{
		{"start", human.Time(s.Start)},
		{"end", human.Time(s.End)},
		{"elapsed", human.Elapsed(s.End.Sub(s.Start))},
		{"source files", Count(s.Files)},
		{"source folders", Some(s.Dirs)},
		{"source others", Some(s.Others)},
		{"source bytes", human.ExactSize(s.Bytes)},
		{"new files", Some(s.New)},
		{"changed files", Some(s.Changed)},
		{"unchanged files", Some(s.Unchanged)},
		{"deleted", Some(s.Deleted)},
		{"unread", Some(s.Unread)},
		{"changed while read", Some(s.Unsettled)},
		{"grew while read", Some(s.Grown)},
		{"bytes read", SomeBytes(s.BytesRead)},
		{"chunks new", Some(s.ChunksNew)},
		{"chunks known", Some(s.ChunksKnown)},
		{"chunks changed", changed},
		{"compressed to", ratio},
		{"objects stored", Count(s.ObjectsStored)},
		{"bytes stored", human.ExactSize(s.BytesStored)},
		{"problems", Some(problems)},
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
func Restored(w io.Writer, archive *repo.Archive, target string, s *restore.Statistics, took time.Duration, requests map[string]uint64) {
	again := SomeBytes(s.Read.Again)
	if again != "" {
		again += fmt.Sprintf(", %.1f%%", 100*float64(s.Read.Again)/float64(s.Read.Bytes))
	}
	fmt.Fprintf(w, "restored archive %s of %s, %s, to %s\n", ShortID(archive), quote.Display(archive.Host), human.Time(archive.Time), quote.Display(target))
	Block(w, withRequests([][2]string{
		{"elapsed", human.Elapsed(took)},
		{"files", Count(s.Files)},
		{"folders", Some(s.Dirs)},
		{"others", Some(s.Others)},
		{"hard links", Some(s.Links)},
		{"bytes", human.ExactSize(s.Bytes)},
		{"files read back", Some(s.Verified)},
		{"kept as they were", Some(s.Kept - s.Amended)},
		{"attributes put right", Some(s.Amended)},
		{"problems", Some(s.Problems)},
		{"bytes read", SomeBytes(s.Read.Bytes)},
		{"read again", again},
	}, requests))
}

// Actions prints what a restore does. Add may be called from any goroutine.
type Actions struct {
	mu     sync.Mutex
	w      *bufio.Writer
	words  [4]string
	counts [4]uint64
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
	l.counts[action]++
	fmt.Fprintf(l.w, "%s %s\n", l.words[action], quote.Display(path))
}

// Would sums up what a restore would do.
func (l *Actions) Would(archive *repo.Archive, target string) error {
	text := fmt.Sprintf("would restore archive %s of %s, %s, to %s", ShortID(archive), quote.Display(archive.Host), human.Time(archive.Time), quote.Display(target))
	separator := ": "
	for i, n := range l.counts {
		if n > 0 {
			text += fmt.Sprintf("%s%s %d", separator, strings.TrimPrefix(l.words[i], "would "), n)
			separator = ", "
		}
	}
	fmt.Fprintln(l.w, text)
	return l.End()
}

// End prints what has not been printed yet.
func (l *Actions) End() error {
	if err := l.w.Flush(); err != nil {
		return fmt.Errorf("write to standard output: %w", err)
	}
	return nil
}
