package databases

import (
	"fmt"
	"io"
	"strings"
	"time"

	"nightjar/internal/human"
	"nightjar/internal/quote"
	"nightjar/mysqldump/binlog"
	"nightjar/mysqldump/replay"
)

// Replayed shows what was replayed; nothing if r is nil.
func Replayed(w io.Writer, r *replay.Result) {
	switch {
	case r == nil:
	case r.Last == nil:
		fmt.Fprintln(w, "no transaction was replayed")
	default:
		fmt.Fprintf(w, "%s replayed, the last is %s\n", human.Count(r.Transactions, "transaction"), quote.Display(r.Last.String()))
	}
}

// ReplayedJSON returns what Replayed shows; nil if r is nil.
func ReplayedJSON(r *replay.Result) any {
	if r == nil {
		return nil
	}
	j := map[string]any{"transactions": r.Transactions}
	if r.Last != nil {
		j["last"] = foundOf(r.Last)
	}
	return j
}

type foundJSON struct {
	Log        string    `json:"log"`
	Begins     uint64    `json:"begins"`
	Ends       uint64    `json:"ends"`
	GTID       string    `json:"gtid,omitempty"`
	Committed  time.Time `json:"committed"`
	By         string    `json:"by,omitempty"`
	Session    uint32    `json:"session,omitempty"`
	Database   string    `json:"database,omitempty"`
	Statements []string  `json:"statements"`
}

func foundOf(f *replay.Found) foundJSON {
	j := foundJSON{Log: f.Log, Begins: f.At, Ends: f.Next, GTID: f.GTID.String(), Committed: f.Committed(), By: f.By, Statements: []string{}}
	for _, s := range f.Statements {
		j.Session, j.Database = s.Thread, s.Database
		j.Statements = append(j.Statements, s.Text)
	}
	return j
}

// CandidatesJSON returns what Candidates shows.
func CandidatesJSON(all []replay.Found) any {
	out := []foundJSON{}
	for i := range all {
		out = append(out, foundOf(&all[i]))
	}
	return out
}

// Candidates shows transactions, and how a restore stops before each.
func Candidates(w io.Writer, all []replay.Found) {
	for i := range all {
		f := &all[i]
		who := ""
		if f.By != "" {
			who = " by " + quote.Display(f.By)
		}
		before := f.GTID.String()
		if before == "" {
			before = fmt.Sprintf("%s:%d", f.Log, f.At)
		}
		fmt.Fprintf(w, "%s%s, at %s:%d to %d: --before %s\n", f.Committed().Local().Format("2006-01-02 15:04:05 -0700"), who, quote.Display(f.Log), f.At, f.Next, before)
		for _, s := range f.Statements {
			fmt.Fprintln(w, "    "+statementLine(&s))
		}
	}
}

// statementLine is a statement in one line, cut where it is long.
func statementLine(s *binlog.Statement) string {
	const most = 160
	text := strings.Join(strings.Fields(s.Text), " ")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + " …"
	}
	in := ""
	if s.Database != "" {
		in = " in " + quote.Display(s.Database)
	}
	if s.Thread != 0 {
		in += fmt.Sprintf(", session %d", s.Thread)
	}
	return quote.Display(text) + strings.TrimPrefix(in, ",")
}
