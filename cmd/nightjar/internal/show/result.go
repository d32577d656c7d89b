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

// some is count for what nobody misses where there is none: Block leaves it out.
func some[N int | uint64](n N) string {
	if n == 0 {
		return ""
	}
	return count(n)
}

// someBytes is some for bytes.
func someBytes(n uint64) string {
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
		{"source files", count(s.Files)},
		{"source folders", some(s.Dirs)},
		{"source others", some(s.Others)},
		{"source bytes", human.ExactSize(s.Bytes)},
		{"new files", some(s.New)},
		{"changed files", some(s.Changed)},
		{"unchanged files", some(s.Unchanged)},
		{"deleted", some(s.Deleted)},
		{"unread", some(s.Unread)},
		{"changed while read", some(s.Unsettled)},
		{"grew while read", some(s.Grown)},
		{"bytes read", someBytes(s.BytesRead)},
		{"chunks new", some(s.ChunksNew)},
		{"chunks known", some(s.ChunksKnown)},
		{"chunks changed", changed},
		{"compressed to", ratio},
		{"objects stored", count(s.ObjectsStored)},
		{"bytes stored", human.ExactSize(s.BytesStored)},
		{"problems", some(problems)},
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
	again := someBytes(s.Read.Again)
	if again != "" {
		again += fmt.Sprintf(", %.1f%%", 100*float64(s.Read.Again)/float64(s.Read.Bytes))
	}
	fmt.Fprintf(w, "restored archive %s of %s, %s, to %s\n", ShortID(archive), quote.Display(archive.Host), human.Time(archive.Time), quote.Display(target))
	Block(w, withRequests([][2]string{
		{"elapsed", human.Elapsed(took)},
		{"files", count(s.Files)},
		{"folders", some(s.Dirs)},
		{"others", some(s.Others)},
		{"hard links", some(s.Links)},
		{"bytes", human.ExactSize(s.Bytes)},
		{"files read back", some(s.Verified)},
		{"kept as they were", some(s.Kept - s.Amended)},
		{"attributes put right", some(s.Amended)},
		{"problems", some(s.Problems)},
		{"bytes read", someBytes(s.Read.Bytes)},
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
	if s.Faults > 0 {
		fmt.Fprintf(w, "%s in the repository\n", human.Count(s.Faults, "fault"))
	} else {
		fmt.Fprintln(w, faultless(s))
	}
	Block(w, [][2]string{
		{"elapsed", human.Elapsed(took)},
		{"archives", count(s.Archives)},
		{"trees", count(s.Trees)},
		{"files", count(s.Files)},
		{"indexes", count(s.Indexes)},
		{"packs", count(s.Packs)},
		{"bytes stored", human.ExactSize(uint64(s.Bytes))},
		{"checksums compared", some(s.Checksums)},
		{"packs read", some(s.PacksRead)},
		{"bytes read", someBytes(uint64(s.BytesRead))},
		{"faults", some(s.Faults)},
		{"not looked at", some(s.Unread)},
		{"repaired", some(s.Repaired)},
		{"lost before", some(s.Lost)},
		{"disowned", some(s.Disowned)},
		{"late, and not whole", some(s.Uncounted)},
		{"without what they need", some(s.Unmet)},
		{"left over", some(s.Leftovers)},
	})
}

// faultless says what it means that a check has found no fault.
func faultless(s *check.Summary) string {
	text := "no faults: " + human.Count(s.Archives, "archive")
	switch {
	case s.Unread > 0:
		text += ", but not all could be looked at"
	case s.Archives == 0:
	case s.Unmet > 0:
		text += ", of which some lack what other archives hold"
	default:
		text += ", and all that is needed is there"
	}
	switch {
	case s.Opened && s.PacksRead < s.Packs:
		return text + fmt.Sprintf("; the content of %d of %s was opened", s.PacksRead, human.Count(s.Packs, "pack"))
	case s.Opened:
		return text + "; all content was opened"
	case s.PacksRead > 0:
		return text + fmt.Sprintf("; %d of %s were read, and are as they were stored. A recovery key (--key) opens them, too", s.PacksRead, human.Count(s.Packs, "pack"))
	}
	return text + "; content was not read: --read-data reads it"
}

// CheckedJSON returns what --json tells of a check.
func CheckedJSON(s *check.Summary, took time.Duration) any {
	return map[string]any{
		"elapsed_seconds": took.Seconds(), "archives": s.Archives, "trees": s.Trees, "files": s.Files, "indexes": s.Indexes, "packs": s.Packs,
		"bytes_stored": s.Bytes, "checksums": s.Checksums, "packs_read": s.PacksRead, "bytes_read": s.BytesRead, "content_opened": s.Opened,
		"faults": s.Faults, "leftovers": s.Leftovers, "repaired": s.Repaired, "lost": s.Lost, "disowned": s.Disowned, "uncounted": s.Uncounted, "unmet": s.Unmet, "unread": s.Unread,
	}
}
