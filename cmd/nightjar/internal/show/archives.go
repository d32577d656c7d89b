package show

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"nightjar/internal/human"
	"nightjar/internal/quote"
	"nightjar/mysqldump"
	"nightjar/repo"
)

type archiveColumn struct {
	head string
	rank int
	cell func(*repo.Archive) string
}

// archiveColumns are all that list prints of an archive, from left to right, with their ranks.
var archiveColumns = []archiveColumn{
	{"ID", 0, ShortID},
	{"TIME", 0, func(a *repo.Archive) string { return human.Time(a.Time) }},
	{"HOST", 0, func(a *repo.Archive) string { return quote.Display(a.Host) }},
	{"KIND", 0, kind},
	{"FILES", 5, func(a *repo.Archive) string { return Count(a.Statistics["files"]) }},
	{"SIZE", 1, func(a *repo.Archive) string { return human.Size(a.Statistics["bytes"]) }},
	{"ADDED", 4, func(a *repo.Archive) string { return human.Size(a.Statistics["bytes_stored"]) }},
	{"TAGS", 3, tags},
	{"LABELS", 6, labels},
	{"SOURCE", 0, func(a *repo.Archive) string { return Source(a) + standing(a) }},
}

// NoPosition is the label of what was taken of a server without a binary log, in the place of the label position, and BinaryLogOff what it says.
const (
	NoPosition   repo.Text = "no-position"
	BinaryLogOff repo.Text = "binary log off"
)

// ArchiveJSON is what --json tells of an archive; texts are as package quote writes them.
type ArchiveJSON struct {
	ID          string            `json:"id"`
	Host        string            `json:"host"`
	Job         repo.Text         `json:"job"`
	Kind        repo.Text         `json:"kind"`
	Paths       []repo.Text       `json:"paths,omitempty"`
	Stream      repo.Text         `json:"stream,omitempty"`
	Excludes    []repo.Text       `json:"excludes,omitempty"`
	Tags        []repo.Text       `json:"tags,omitempty"`
	Labels      repo.Labels       `json:"labels,omitempty"`
	Time        time.Time         `json:"time"`
	Start       time.Time         `json:"start"`
	End         time.Time         `json:"end"`
	Predecessor string            `json:"predecessor,omitempty"`
	Complete    bool              `json:"complete"`
	Late        bool              `json:"late"`
	Counts      bool              `json:"counts"`
	Signer      string            `json:"signer"`
	Program     string            `json:"program"`
	Statistics  map[string]uint64 `json:"statistics"`
	Proven      *time.Time        `json:"proven,omitempty"` // when a drill last proved it; nil: nobody asked, or none did
}

// Archive returns what --json tells of an archive.
func Archive(a *repo.Archive) *ArchiveJSON {
	return &ArchiveJSON{
		ID: a.ID, Host: a.Host, Job: a.Job, Kind: a.Kind, Paths: a.Paths, Stream: a.Stream, Excludes: a.Excludes, Tags: a.Tags, Labels: a.Labels,
		Time: a.Time, Start: a.Start, End: a.End, Predecessor: a.Predecessor, Complete: a.Complete, Late: a.Is(repo.Late), Counts: a.Counts(), Signer: a.Signer,
		Program: a.Program, Statistics: a.Statistics,
	}
}

// Archives prints a table of archives, which is fitted to a terminal of so many columns (0: to none). proven is when a drill last proved them, by their ids.
func Archives(w io.Writer, archives []repo.Archive, proven map[string]time.Time, width int) {
	var table []human.Column
	add := func(c archiveColumn) {
		column := human.Column{Head: c.head, Rank: c.rank}
		for i := range archives {
			column.Cells = append(column.Cells, c.cell(&archives[i]))
		}
		table = append(table, column)
	}
	last := len(archiveColumns) - 1
	for _, c := range archiveColumns[:last] {
		add(c)
	}
	if len(proven) > 0 {
		add(archiveColumn{"PROVEN", 2, func(a *repo.Archive) string {
			if at, ok := proven[a.ID]; ok {
				return human.Time(at)
			}
			return ""
		}})
	}
	add(archiveColumns[last])
	for _, line := range human.Table(table, width) {
		fmt.Fprintln(w, line)
	}
}

// ShortID returns what people call an archive.
func ShortID(a *repo.Archive) string { return a.ID[:min(8, len(a.ID))] }

// Source says in short what an archive is of: the paths or the stream, else the job.
func Source(a *repo.Archive) string {
	switch {
	case a.Stream != "":
		return "< " + quote.Display(string(a.Stream))
	case len(a.Paths) == 0:
		return quote.Display(string(a.Job))
	}
	paths := make([]string, len(a.Paths))
	for i, p := range a.Paths {
		paths[i] = quote.Display(string(p))
	}
	return strings.Join(paths, " ")
}

// standing says what sets an archive apart from others of its job.
func standing(a *repo.Archive) (text string) {
	words := a.Faults()
	if !a.Complete {
		words = append([]string{"incomplete"}, words...)
	}
	if !a.Forgotten.IsZero() {
		words = append(words, "forgotten")
	}
	for _, word := range words {
		text += " (" + word + ")"
	}
	return text
}

// kind leaves out what an archive is as a rule, and what its source tells.
func kind(a *repo.Archive) string {
	if a.Kind == repo.Files || a.Kind == repo.Stream {
		return ""
	}
	return cut(quote.Display(string(a.Kind)), 16)
}

func tags(a *repo.Archive) string {
	words := make([]string, len(a.Tags))
	for i, tag := range a.Tags {
		words[i] = word(string(tag))
	}
	return strings.Join(words, ",")
}

// labels shows so many of the labels as a line of a terminal has room for, in the order of their names; what the archive needs comes last.
func labels(a *repo.Archive) string {
	const width = 33
	var words []string
	if p, err := mysqldump.Parse(string(a.Labels["position"])); err == nil && p.File != "" { // what a replica is told, first and whole
		words = append(words, fmt.Sprintf("position=%s:%d", word(p.File), p.Offset))
	}
	shown := len(words) > 0
	off := a.Labels[NoPosition] == BinaryLogOff
	if off {
		words = append(words, "no position: "+string(BinaryLogOff))
	}
	for _, name := range slices.Sorted(maps.Keys(a.Labels)) {
		if name != repo.Needs && !(off && name == NoPosition) && !(shown && name == "position") {
			words = append(words, word(string(name))+"="+word(string(a.Labels[name])))
		}
	}
	for _, id := range a.Labels.Needs() {
		words = append(words, fmt.Sprintf("%s=%.8s", repo.Needs, id))
	}
	return cut(strings.Join(words, " "), width)
}

// word shows a text so that nothing in it can be taken for what stands beside it.
func word(s string) string {
	s = quote.Display(s)
	if s == "" || strings.ContainsAny(s, ` ",=`) {
		return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"`
	}
	return s
}

// cut shortens a text.
func cut(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}
