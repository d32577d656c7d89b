package databases

import (
	"fmt"
	"io"
	"time"

	"nightjar/cmd/nightjar/internal/show"
	"nightjar/internal/human"
	"nightjar/internal/quote"
	"nightjar/mysqldump/replay"
	"nightjar/mysqldump/restore"
	"nightjar/mysqldump/script"
	"nightjar/repo"
)

// kindsOfObjects are what a dump restores, in the order in which it is shown.
var kindsOfObjects = []struct {
	kind         script.Kind
	name, people string
}{
	{script.Databases, "databases", "databases"}, {script.Servers, "servers", "foreign servers"}, {script.Sequences, "sequences", "sequences"},
	{script.Tables, "tables", "tables"}, {script.Programs, "programs", "programs"}, {script.Views, "views", "views"},
	{script.Triggers, "triggers", "tables with triggers"}, {script.Events, "events", "events"}, {script.Accounts, "accounts", "files of accounts"},
	{script.Grants, "grants", "files of grants on views"},
}

type loadedJSON struct {
	Archive     string            `json:"archive"`
	Server      string            `json:"server"`
	Restored    map[string]int    `json:"restored"`
	Equal       map[string]int    `json:"equal_before"`
	Kept        map[string]int    `json:"kept"`
	Rows        uint64            `json:"rows"`
	Bytes       uint64            `json:"bytes"`
	Verified    int               `json:"tables_verified"`
	Retries     int               `json:"retries"`
	Failures    []failureJSON     `json:"failures"`
	Differences []string          `json:"differences"`
	Notes       []string          `json:"notes"`
	Seconds     float64           `json:"seconds"`
	Requests    map[string]uint64 `json:"requests,omitempty"`
	Replayed    any               `json:"replayed,omitempty"`
}

type failureJSON struct {
	Object string `json:"object"`
	Error  string `json:"error"`
}

// LoadedJSON is what the restore of a dump into a server did.
func LoadedJSON(a *repo.Archive, server string, r *restore.Result, took time.Duration, replayed *replay.Result, requests map[string]uint64) any {
	j := loadedJSON{
		Replayed: ReplayedJSON(replayed),
		Archive:  a.ID, Server: server, Restored: map[string]int{}, Equal: map[string]int{}, Kept: map[string]int{}, Rows: r.Rows, Bytes: r.Bytes, Verified: r.Verified,
		Retries: r.Retries, Failures: []failureJSON{}, Differences: append([]string{}, r.Differences...), Notes: append([]string{}, r.Notes...),
		Seconds: took.Seconds(), Requests: requests,
	}
	for _, k := range kindsOfObjects {
		for to, from := range map[*map[string]int]map[script.Kind]int{&j.Restored: r.Done, &j.Equal: r.Left, &j.Kept: r.Kept} {
			if n := from[k.kind]; n > 0 {
				(*to)[k.name] = n
			}
		}
	}
	for _, f := range r.Failures {
		j.Failures = append(j.Failures, failureJSON{f.Object, f.Err.Error()})
	}
	return j
}

// Loaded shows what the restore of a dump into a server did.
func Loaded(w io.Writer, a *repo.Archive, server string, r *restore.Result, took time.Duration) {
	fmt.Fprintf(w, "archive %s restored into %s in %s: %d rows, %s of SQL\n", show.ShortID(a), quote.Display(server), took.Round(time.Millisecond), r.Rows, human.Size(r.Bytes))
	if a.Labels[show.NoPosition] == show.BinaryLogOff {
		fmt.Fprintf(w, "  no position: %s\n", show.BinaryLogOff)
	}
	for _, k := range kindsOfObjects {
		done, equal, kept := r.Done[k.kind], r.Left[k.kind], r.Kept[k.kind]
		if done+kept == 0 {
			continue
		}
		line := fmt.Sprintf("  %s: %d", k.people, done)
		if equal > 0 {
			line += fmt.Sprintf(" (there already, and equal: %d)", equal)
		}
		if kept > 0 {
			line += fmt.Sprintf("; there already, and left as they are: %d", kept)
		}
		fmt.Fprintln(w, line)
	}
	if r.Retries > 0 {
		fmt.Fprintf(w, "  sessions that were lost and made again: %d\n", r.Retries)
	}
	fmt.Fprintf(w, "  tables whose rows were compared with the archive: %d\n", r.Verified)
}
