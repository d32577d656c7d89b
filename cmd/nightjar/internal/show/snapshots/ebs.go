// Package snapshots shows sets of EBS snapshots: those of a region, and one that was taken.
//
// The invariant is that of package show: what tags say is quoted. The package asks nobody and decides nothing.
package snapshots

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"nightjar/cmd/nightjar/internal/show"
	"nightjar/internal/human"
	"nightjar/internal/quote"
	"nightjar/snapshot"
	"nightjar/snapshot/cloud"
	"nightjar/snapshot/sets"
	"nightjar/snapshot/take"
)

// Sets are sets of snapshots of a region, to be listed.
type Sets struct {
	Region, Source string // and what names it
	Sets           []sets.Set
	Copies         map[string][]sets.Set // in other regions, by the id of the set
	Holds          map[string][]string   // by snapshot
	Bin            []sets.Hold           // what is in the Recycle Bin
	Now            time.Time
}

// Table prints a line for each set, fitted to a terminal of so many columns (0: to none), and lines for what is wrong or held.
func (l *Sets) Table(w io.Writer, width int) {
	fmt.Fprintf(w, "region %s, by %s\n", quote.Display(l.Region), l.Source)
	for _, line := range human.Table(l.columns(), width) {
		fmt.Fprintln(w, line)
	}
	for i := range l.Sets {
		s := &l.Sets[i]
		if faults := Faults(s); faults != "" {
			fmt.Fprintf(w, "set %s: %s\n", quote.Display(s.ID), faults)
		}
		for _, x := range s.Snapshots {
			if by := l.Holds[x.ID]; len(by) > 0 {
				fmt.Fprintf(w, "%s is held by %s\n", x.ID, quote.Display(strings.Join(by, ", ")))
			}
		}
	}
	for _, h := range l.Bin {
		fmt.Fprintf(w, "%s is in the %s, and still billed\n", quote.Display(h.Snapshot), quote.Display(h.By))
	}
}

func (l *Sets) columns() (all []human.Column) {
	add := func(head string, rank int, cell func(*sets.Set) string) {
		c := human.Column{Head: head, Rank: rank}
		for i := range l.Sets {
			c.Cells = append(c.Cells, cell(&l.Sets[i]))
		}
		all = append(all, c)
	}
	add("SET", 0, func(s *sets.Set) string { return quote.Display(s.ID) })
	add("JOB", 0, func(s *sets.Set) string { return dash(quote.Display(s.Job)) })
	add("CLASS", 2, func(s *sets.Set) string { return dash(quote.Display(s.Class)) })
	add("AGE", 0, func(s *sets.Set) string { return human.Age(l.Now.Sub(s.Time)) })
	add("VOLUMES", 5, func(s *sets.Set) string { return strconv.Itoa(len(s.Volumes)) })
	add("SIZE", 1, size)
	add("STATE", 0, state)
	add("CONSISTENCY", 4, func(s *sets.Set) string { return string(s.Consistency) })
	add("POSITION", 3, func(s *sets.Set) string { return dash(quote.Display(position(s.Position))) })
	add("COPIES", 0, func(s *sets.Set) string { return dash(l.copies(s)) })
	return all
}

func dash(s string) string { return cmp.Or(s, "-") }

func size(s *sets.Set) string {
	gib := 0
	for _, x := range s.Snapshots {
		gib += x.GiB
	}
	if n := s.Bytes(); n > 0 {
		return fmt.Sprintf("%s of %d GiB", human.Size(uint64(n)), gib)
	}
	return fmt.Sprintf("%d GiB", gib)
}

func state(s *sets.Set) string {
	switch {
	case len(s.Failed) > 0:
		return "failed"
	case s.Pending():
		return fmt.Sprintf("%d%%", s.Progress())
	case !s.Whole():
		return "incomplete"
	}
	return "completed"
}

func position(p snapshot.Position) string {
	switch {
	case p.File != "":
		return fmt.Sprintf("%s:%d", p.File, p.Offset)
	case p.GTIDs != "":
		return p.GTIDs
	}
	return ""
}

func (l *Sets) copies(s *sets.Set) string {
	var where []string
	if s.CopyFrom != "" {
		where = append(where, "from "+quote.Display(s.CopyFrom))
	}
	for i := range l.Copies[s.ID] {
		c := &l.Copies[s.ID][i]
		text := quote.Display(c.Region)
		if !c.Whole() {
			text += " (" + state(c) + ")"
		}
		where = append(where, text)
	}
	return strings.Join(where, ", ")
}

// Faults says in a line what is wrong with a set; empty: nothing.
func Faults(s *sets.Set) string {
	var all []string
	add := func(what string, ids []string) {
		if len(ids) > 0 {
			all = append(all, what+" "+quote.Display(strings.Join(ids, ", ")))
		}
	}
	add("no snapshot of", s.Missing)
	add("failed:", s.Failed)
	add("half tagged:", s.Untagged)
	add("tags that differ:", s.Differ)
	extra := make([]string, len(s.Extra))
	for i, x := range s.Extra {
		extra[i] = x.ID
	}
	add("not of this set, or twice:", extra)
	return strings.Join(all, "; ")
}

type setJSON struct {
	ID          string         `json:"set"`
	Region      string         `json:"region"`
	CopyFrom    string         `json:"copied_from,omitempty"`
	Job         string         `json:"job"`
	Host        string         `json:"host"`
	Class       string         `json:"class,omitempty"`
	Time        time.Time      `json:"time"`
	State       string         `json:"state"`
	Progress    int            `json:"progress_percent"`
	Whole       bool           `json:"whole"`
	Consistency string         `json:"consistency"`
	Why         string         `json:"why,omitempty"`
	Position    *positionJSON  `json:"position,omitempty"`
	Snapshots   []snapshotJSON `json:"snapshots"`
	Missing     []string       `json:"missing,omitempty"`
	Failed      []string       `json:"failed,omitempty"`
	HalfTagged  []string       `json:"half_tagged,omitempty"`
	Differ      []string       `json:"differ,omitempty"`
	Copies      []setJSON      `json:"copies,omitempty"`
}

type positionJSON struct {
	File    string `json:"file,omitempty"`
	Offset  uint64 `json:"offset,omitempty"`
	GTIDs   string `json:"gtids,omitempty"`
	GTIDSum string `json:"gtids_sha256,omitempty"`
	Server  string `json:"server,omitempty"`
}

type snapshotJSON struct {
	ID     string   `json:"snapshot"`
	Volume string   `json:"volume"`
	Device string   `json:"device,omitempty"`
	Mount  string   `json:"mount,omitempty"`
	State  string   `json:"state"`
	Error  string   `json:"error,omitempty"`
	GiB    int      `json:"gib"`
	Bytes  int64    `json:"bytes,omitempty"`
	KMSKey string   `json:"kms_key,omitempty"`
	Held   []string `json:"held_by,omitempty"`
}

func setOf(s *sets.Set, holds map[string][]string) setJSON {
	j := setJSON{
		ID: s.ID, Region: s.Region, CopyFrom: quote.Text(s.CopyFrom), Job: quote.Text(s.Job), Host: quote.Text(s.Host), Class: quote.Text(s.Class), Time: s.Time,
		State: state(s), Progress: s.Progress(), Whole: s.Whole(), Consistency: string(s.Consistency), Why: quote.Text(s.Why),
		Missing: s.Missing, Failed: s.Failed, HalfTagged: s.Untagged, Differ: s.Differ, Snapshots: []snapshotJSON{},
	}
	if p := s.Position; p != (snapshot.Position{}) {
		j.Position = &positionJSON{quote.Text(p.File), p.Offset, quote.Text(p.GTIDs), p.GTIDSum, quote.Text(p.Server)}
	}
	of := map[string]snapshot.Volume{}
	for _, v := range s.Volumes {
		of[v.ID] = v
	}
	for _, x := range s.Snapshots {
		v := of[x.Volume]
		j.Snapshots = append(j.Snapshots, snapshotJSON{x.ID, x.Volume, quote.Text(v.Device), quote.Text(v.Mount), string(x.State), quote.Text(x.Message), x.GiB, x.Bytes, x.KMSKey, holds[x.ID]})
	}
	return j
}

// JSON returns what --json tells of them.
func (l *Sets) JSON() any {
	all := []setJSON{}
	for i := range l.Sets {
		j := setOf(&l.Sets[i], l.Holds)
		for k := range l.Copies[j.ID] {
			j.Copies = append(j.Copies, setOf(&l.Copies[j.ID][k], nil))
		}
		all = append(all, j)
	}
	bin := []string{}
	for _, h := range l.Bin {
		bin = append(bin, h.Snapshot)
	}
	return struct {
		Region string    `json:"region"`
		Source string    `json:"region_from"`
		Sets   []setJSON `json:"sets"`
		Bin    []string  `json:"recycle_bin,omitempty"`
	}{l.Region, l.Source, all, bin}
}

// Taken prints what was taken.
func Taken(w io.Writer, c *cloud.Cloud, r *take.Result) {
	s := &r.Set
	rows := [][2]string{
		{"set", s.ID}, {"region", quote.Display(c.Region) + ", by " + c.Source}, {"volumes", show.Count(uint64(len(s.Volumes)))}, {"consistency", consistency(s)},
	}
	if p := position(s.Position); p != "" {
		rows = append(rows, [2]string{"position", quote.Display(p)})
	}
	if r.Locked > 0 {
		rows = append(rows, [2]string{"database locked", show.Milliseconds(r.Locked)})
	}
	if r.Frozen > 0 {
		rows = append(rows, [2]string{"frozen", show.Milliseconds(r.Frozen)})
	}
	show.Block(w, append(rows, [2]string{"calls of EC2 took", show.Milliseconds(r.Called)}))
	for _, x := range s.Snapshots {
		fmt.Fprintf(w, "%s of %s, %d GiB\n", x.ID, x.Volume, x.GiB)
	}
}

func consistency(s *sets.Set) string {
	if s.Why == "" {
		return string(s.Consistency)
	}
	return fmt.Sprintf("%s: %s", s.Consistency, quote.Display(s.Why))
}

// TakenJSON returns what --json tells of it.
func TakenJSON(c *cloud.Cloud, r *take.Result) any {
	type dropped struct {
		Snapshot string   `json:"snapshot"`
		Keys     []string `json:"keys"`
	}
	without := []dropped{}
	for _, d := range r.Dropped {
		without = append(without, dropped{d.Snapshot, d.Keys})
	}
	ms := func(d time.Duration) float64 { return float64(d) / 1e6 }
	set := setOf(&r.Set, nil)
	if p := r.Position; set.Position != nil && p.GTIDs != "" {
		set.Position.GTIDs = quote.Text(p.GTIDs)
	}
	return struct {
		Source   string            `json:"region_from"`
		Set      setJSON           `json:"set"`
		Attempts int               `json:"attempts"`
		Locked   float64           `json:"locked_ms"`
		Frozen   float64           `json:"frozen_ms"`
		Called   float64           `json:"calls_ms"`
		Dropped  []dropped         `json:"dropped_tags"`
		Calls    map[string]uint64 `json:"calls"`
	}{c.Source, set, r.Attempts, ms(r.Locked), ms(r.Frozen), ms(r.Called), without, c.Calls()}
}
