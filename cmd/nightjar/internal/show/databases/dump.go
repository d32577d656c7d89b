package databases

import (
	"fmt"
	"io"
	"time"

	"nightjar/backup"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/internal/quote"
	"nightjar/mysqldump/dump"
	"nightjar/mysqldump/schema"
	"nightjar/repo"
)

// Dump prints how the part of a backup went that the database server did.
func Dump(w io.Writer, r *dump.Result) {
	fmt.Fprintf(w, "server %s\n", quote.Display(r.Version))
	for _, from := range r.Sources {
		fmt.Fprintf(w, "replica of %s:%d, at %s\n", quote.Display(from.Host), from.Port, quote.Display(from.Position.String()))
	}
	history := ""
	if known := r.Lock.History >= 0 && r.Lock.HistoryNow >= 0; !known {
		history = "not known"
	} else if r.Lock.History > 0 || r.Lock.HistoryNow > 0 {
		history = fmt.Sprintf("%d, then %d", r.Lock.History, r.Lock.HistoryNow)
	}
	show.Block(w, append(place(r.Position), [][2]string{
		{"databases", show.Count(uint64(r.Databases))},
		{"tables", show.Some(r.Tables)},
		{"rows", show.Some(r.Rows)},
		{"bytes of rows", show.SomeBytes(r.Bytes)},
		{"lock", quote.Display(r.Lock.Method)},
		{"attempts at it", show.Some(r.Lock.Attempts)},
		{"waited for it", someTime(r.Lock.Waited)},
		{"commits held back", someTime(r.Lock.Held)},
		{"tables covered for", someTime(r.Lock.Covered)},
		{"longest wait seen", someTime(r.Lock.LongestWait)},
		{"old versions of rows", history},
		{"begun again", show.Some(r.Retries)},
	}...))
}

// someTime is milliseconds for what nobody misses where it took no time that shows.
func someTime(d time.Duration) string {
	if d < 50*time.Microsecond {
		return ""
	}
	return show.Milliseconds(d)
}

// leftJSON is what --json tells of what is not in a dump.
type leftJSON struct {
	What string `json:"what"`
	Name string `json:"name"`
	Why  string `json:"why"`
}

func leftOut(all []schema.LeftOut) []leftJSON {
	list := []leftJSON{}
	for _, l := range all {
		list = append(list, leftJSON{quote.Text(l.What), quote.Text(l.Name), quote.Text(l.Why)})
	}
	return list
}

// DumpJSON returns what --json tells of how a dump went.
func DumpJSON(made *repo.Archive, s *backup.Statistics, problems uint64, requests map[string]uint64, r *dump.Result) any {
	type lockJSON struct {
		Method      string  `json:"method"`
		Attempts    int     `json:"attempts"`
		Waited      float64 `json:"waited_ms"`
		Held        float64 `json:"held_ms"`
		Covered     float64 `json:"covered_ms"`
		LongestWait float64 `json:"longest_wait_ms"`
		History     int64   `json:"history_before"`
		HistoryNow  int64   `json:"history_after"`
	}
	type sourceJSON struct {
		Channel  string `json:"channel"`
		Host     string `json:"host"`
		Port     uint16 `json:"port"`
		Position string `json:"position"`
	}
	sources := []sourceJSON{}
	for _, from := range r.Sources {
		sources = append(sources, sourceJSON{quote.Text(from.Channel), quote.Text(from.Host), from.Port, from.Position.String()})
	}
	type dumpJSON struct {
		Position  string     `json:"position"`
		Version   string     `json:"server_version"`
		Databases int        `json:"databases"`
		Tables    int        `json:"tables"`
		Rows      uint64     `json:"rows"`
		Bytes     uint64     `json:"bytes"`
		Lock      lockJSON   `json:"lock"`
		Retries   int        `json:"ddl_retries"`
		Left      []leftJSON `json:"left_out"`
		Broken    []leftJSON `json:"broken"`

		Sources []sourceJSON `json:"sources"`
	}
	ms := func(d time.Duration) float64 { return float64(d) / 1e6 }
	l := r.Lock
	return struct {
		Archive    *show.ArchiveJSON `json:"archive"`
		Elapsed    float64           `json:"elapsed_seconds"`
		Problems   uint64            `json:"problems"`
		Statistics map[string]uint64 `json:"statistics"`
		Requests   map[string]uint64 `json:"requests,omitempty"`
		Dump       dumpJSON          `json:"dump"`
	}{show.Archive(made), s.End.Sub(s.Start).Seconds(), problems, s.Map(), requests, dumpJSON{
		positionText(r.Position), quote.Text(r.Version), r.Databases, r.Tables, r.Rows, r.Bytes,
		lockJSON{l.Method, l.Attempts, ms(l.Waited), ms(l.Held), ms(l.Covered), ms(l.LongestWait), l.History, l.HistoryNow},
		r.Retries, leftOut(r.Left), leftOut(r.Broken), sources,
	}}
}
