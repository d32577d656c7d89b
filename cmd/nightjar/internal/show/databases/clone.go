package databases

import (
	"fmt"
	"io"

	"nightjar/backup"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/internal/human"
	"nightjar/internal/quote"
	"nightjar/mysqldump/clone"
	"nightjar/repo"
)

// Clone prints how the part of a hot backup went that the server's clone plugin did.
func Clone(w io.Writer, r *clone.Result) {
	fmt.Fprintf(w, "server %s, copied by its clone plugin\n", quote.Display(r.Version))
	rows := append(place(r.Position), [][2]string{
		{"files", show.Count(uint64(r.Sums.Files))},
		{"bytes of files", human.ExactSize(r.Sums.Bytes)},
		{"redo log of them", show.SomeBytes(r.Sums.Redo)},
		{"cloned in", show.Milliseconds(r.Cloning)},
		{"started and read in", show.Milliseconds(r.Proving)},
	}...)
	show.Block(w, rows)
}

// CloneJSON returns what --json tells of a hot backup that the clone plugin took.
func CloneJSON(made *repo.Archive, s *backup.Statistics, problems uint64, requests map[string]uint64, r *clone.Result) any {
	type left struct {
		Table  string `json:"table"`
		Engine string `json:"engine"`
	}
	type cloneJSON struct {
		Position string  `json:"position"`
		Version  string  `json:"server_version"`
		Files    int     `json:"files"`
		Bytes    uint64  `json:"bytes"`
		Redo     uint64  `json:"redo_bytes"`
		Cloning  float64 `json:"cloning_ms"`
		Proving  float64 `json:"proving_ms"`
		Left     []left  `json:"left_out"`
	}
	all := []left{}
	for _, t := range r.Left {
		all = append(all, left{quote.Text(t.Schema + "." + t.Name), t.Engine})
	}
	return struct {
		Archive    *show.ArchiveJSON `json:"archive"`
		Elapsed    float64           `json:"elapsed_seconds"`
		Problems   uint64            `json:"problems"`
		Statistics map[string]uint64 `json:"statistics"`
		Requests   map[string]uint64 `json:"requests,omitempty"`
		Clone      cloneJSON         `json:"clone"`
	}{show.Archive(made), s.End.Sub(s.Start).Seconds(), problems, s.Map(), requests, cloneJSON{
		r.Position.String(), quote.Text(r.Version), r.Sums.Files, r.Sums.Bytes, r.Sums.Redo, float64(r.Cloning) / 1e6, float64(r.Proving) / 1e6, all,
	}}
}
