// Package maintenance shows what checks, prunes and retention found, did, or would do.
//
// The invariant is that of package show: nothing of a repository gets into text unescaped. What a finding means, its finder says.
package maintenance

import (
	"fmt"
	"io"
	"strings"
	"time"

	"nightjar/cmd/nightjar/internal/show"
	"nightjar/internal/human"
	"nightjar/internal/quote"
	"nightjar/repo/maintain/check"
)

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
	show.Block(w, [][2]string{
		{"elapsed", human.Elapsed(took)},
		{"archives", show.Count(s.Archives)},
		{"trees", show.Count(s.Trees)},
		{"files", show.Count(s.Files)},
		{"indexes", show.Count(s.Indexes)},
		{"packs", show.Count(s.Packs)},
		{"bytes stored", human.ExactSize(uint64(s.Bytes))},
		{"checksums compared", show.Some(s.Checksums)},
		{"packs read", show.Some(s.PacksRead)},
		{"bytes read", show.SomeBytes(uint64(s.BytesRead))},
		{"faults", show.Some(s.Faults)},
		{"not looked at", show.Some(s.Unread)},
		{"repaired", show.Some(s.Repaired)},
		{"lost before", show.Some(s.Lost)},
		{"disowned", show.Some(s.Disowned)},
		{"late, and not whole", show.Some(s.Uncounted)},
		{"without what they need", show.Some(s.Unmet)},
		{"left over", show.Some(s.Leftovers)},
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
