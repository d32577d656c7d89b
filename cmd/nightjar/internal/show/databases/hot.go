package databases

import (
	"fmt"
	"io"
	"time"

	"nightjar/backup"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/internal/human"
	"nightjar/internal/quote"
	"nightjar/mysqldump"
	"nightjar/mysqldump/hot"
	"nightjar/repo"
)

// Hot prints how the part of a hot backup went that the server and the program did.
func Hot(w io.Writer, r *hot.Result) {
	experimental := ""
	if r.Tool.Experimental() {
		experimental = " (experimental)"
	}
	fmt.Fprintf(w, "server %s, copied by %s %s%s\n", quote.Display(r.Version), quote.Display(r.Tool.Name), quote.Display(r.Tool.Version), experimental)
	show.Block(w, append(place(r.Position), [][2]string{
		{"files", show.Count(uint64(r.Sums.Files))},
		{"bytes of files", human.ExactSize(r.Sums.Bytes)},
		{"redo log of them", show.SomeBytes(r.Sums.Redo)},
		{"tables covered for", someTime(r.Covered)},
		{"commits held back", someTime(r.Held)},
		{"longest wait seen", someTime(r.LongestWait)},
	}...))
}

// At says where a backup stands, for people.
func At(p mysqldump.Position) string {
	if !p.HasPlace() {
		return "without a position"
	}
	return "at " + quote.Display(p.String())
}

// place returns rows for a position.
func place(p mysqldump.Position) (rows [][2]string) {
	if p.File != "" {
		rows = append(rows, [2]string{"position", quote.Display(fmt.Sprintf("%s:%d", p.File, p.Offset))})
	}
	if gtids := p.GTIDs.String(); gtids != "" {
		rows = append(rows, [2]string{"GTIDs", quote.Display(gtids)})
	}
	if len(rows) == 0 {
		rows = append(rows, [2]string{"position", "none: " + string(show.BinaryLogOff)})
	}
	return rows
}

// positionText is what --json tells of a position; empty if it has no place.
func positionText(p mysqldump.Position) string {
	if !p.HasPlace() {
		return ""
	}
	return p.String()
}

// HotJSON returns what --json tells of a hot backup.
func HotJSON(made *repo.Archive, s *backup.Statistics, requests map[string]uint64, r *hot.Result) any {
	type hotJSON struct {
		Position     string  `json:"position"`
		Version      string  `json:"server_version"`
		Tool         string  `json:"tool"`
		ToolVersion  string  `json:"tool_version"`
		Experimental bool    `json:"experimental"`
		Files        int     `json:"files"`
		Bytes        uint64  `json:"bytes"`
		Redo         uint64  `json:"redo_bytes"`
		Covered      float64 `json:"covered_ms"`
		Held         float64 `json:"held_ms"`
		LongestWait  float64 `json:"longest_wait_ms"`
	}
	ms := func(d time.Duration) float64 { return float64(d) / 1e6 }
	return struct {
		Archive    *show.ArchiveJSON `json:"archive"`
		Elapsed    float64           `json:"elapsed_seconds"`
		Statistics map[string]uint64 `json:"statistics"`
		Requests   map[string]uint64 `json:"requests,omitempty"`
		Hot        hotJSON           `json:"hot"`
	}{show.Archive(made), s.End.Sub(s.Start).Seconds(), s.Map(), requests, hotJSON{
		positionText(r.Position), quote.Text(r.Version), quote.Text(r.Tool.Name), quote.Text(r.Tool.Version), r.Tool.Experimental(),
		r.Sums.Files, r.Sums.Bytes, r.Sums.Redo, ms(r.Covered), ms(r.Held), ms(r.LongestWait),
	}}
}
