package databases

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"nightjar/backup"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/internal/human"
	"nightjar/internal/quote"
	"nightjar/mysqldump/logs"
	"nightjar/repo"
)

// Binlog prints how the part of a backup went that was about binary logs.
func Binlog(w io.Writer, r *logs.Result) {
	rows := [][2]string{{"position", quote.Display(fmt.Sprintf("%s:%d", r.Position.File, r.Position.Offset))}}
	if gtids := r.Position.GTIDs.String(); gtids != "" {
		rows = append(rows, [2]string{"GTIDs", quote.Display(gtids)})
	}
	show.Block(w, append(rows, [][2]string{
		{"binary logs", show.Count(uint64(len(r.Entries)))},
		{"bytes read of them", show.SomeBytes(r.Read)},
		{"written since then", show.SomeBytes(r.Behind)},
		{"left out, not needed", show.Some(uint64(r.Dropped))},
	}...))
}

type breakJSON struct {
	Case string `json:"case"`
	At   string `json:"at"`
	Says string `json:"says"`
}

// BinlogJSON returns what --json tells of how a backup of binary logs went.
func BinlogJSON(made *repo.Archive, s *backup.Statistics, problems uint64, requests map[string]uint64, r *logs.Result) any {
	breaks := []breakJSON{}
	for _, b := range r.Breaks {
		breaks = append(breaks, breakJSON{string(b.Case), quote.Text(b.At), quote.Text(b.Says)})
	}
	return map[string]any{
		"archive": show.Archive(made), "statistics": s.Map(), "problems": problems, "requests": show.Requests(requests),
		"binlog": map[string]any{"position": quote.Text(r.Position.String()), "logs": len(r.Entries), "bytes_read": r.Read, "bytes_behind": r.Behind, "left_out": r.Dropped, "gaps": len(breaks), "breaks": breaks, "spans": SpansJSON(r.Entries)},
	}
}

// Spans prints what an archive covers: one line for each span without a gap and, with all, one for each log.
func Spans(w io.Writer, entries []logs.Entry, all bool) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SERVER\tFROM\tTO\tFIRST\tLAST\tTRANSACTIONS\tLOGS\tSIZE\tBEFORE IT")
	for _, c := range logs.Chains(entries) {
		row(t, c.Entries, string(c.Gap))
		for i := range c.Entries {
			if all {
				row(t, c.Entries[i:i+1], "")
			}
		}
	}
	return t.Flush()
}

// row prints what logs that follow each other cover.
func row(w io.Writer, entries []logs.Entry, before string) {
	s := sumUp(entries)
	first, last := &entries[0], &entries[len(entries)-1]
	fmt.Fprintf(w, "%d\t%s\t%s:%d\t%s\t%s\t%s\t%d\t%s\t%s\n", first.ServerID, quote.Display(first.Name), quote.Display(last.Name), last.Size, moment(s.first), moment(s.last),
		show.Count(s.transactions), len(entries), human.Size(s.size), before)
}

func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return human.Time(t)
}

type sumOfLogs struct {
	first, last        time.Time
	transactions, size uint64
}

func sumUp(entries []logs.Entry) (s sumOfLogs) {
	for i := range entries {
		e := &entries[i]
		if at := e.Span.First; !at.IsZero() && (s.first.IsZero() || at.Before(s.first)) {
			s.first = at
		}
		if e.Span.Last.After(s.last) {
			s.last = e.Span.Last
		}
		s.transactions += e.Span.Transactions
		s.size += e.Size
	}
	return s
}

type logJSON struct {
	Path         string    `json:"path"`
	To           uint64    `json:"to"`
	Closed       bool      `json:"closed"`
	First        time.Time `json:"first,omitzero"`
	Last         time.Time `json:"last,omitzero"`
	Transactions uint64    `json:"transactions"`
	GTIDs        string    `json:"gtids,omitempty"`
	Backward     bool      `json:"times_run_backwards,omitempty"`
}

type spanJSON struct {
	History    string    `json:"history"`
	Before     string    `json:"before,omitempty"` // why what was before is not there
	ServerID   uint32    `json:"server_id"`
	ServerUUID string    `json:"server_uuid,omitempty"`
	From       string    `json:"from"`
	To         string    `json:"to"`
	Offset     uint64    `json:"offset"`
	First      time.Time `json:"first,omitzero"`
	Last       time.Time `json:"last,omitzero"`
	GTIDBefore string    `json:"gtids_before,omitempty"`
	GTIDAfter  string    `json:"gtids_after,omitempty"`
	Logs       []logJSON `json:"logs"`
}

// SpansJSON returns what --json tells of what an archive covers.
func SpansJSON(entries []logs.Entry) []spanJSON {
	all := []spanJSON{}
	for _, c := range logs.Chains(entries) {
		first, last := &c.Entries[0], &c.Entries[len(c.Entries)-1]
		s := sumUp(c.Entries)
		x := spanJSON{
			History: c.History, Before: string(c.Gap), ServerID: first.ServerID, From: quote.Text(first.Name), To: quote.Text(last.Name), Offset: last.Size, First: s.first, Last: s.last,
			GTIDBefore: first.Span.Before.String(), GTIDAfter: last.Span.After.String(),
		}
		if !first.ServerUUID.IsZero() {
			x.ServerUUID = first.ServerUUID.String()
		}
		for i := range c.Entries {
			e := &c.Entries[i]
			x.Logs = append(x.Logs, logJSON{quote.Text(e.Path()), e.Size, e.Closed, e.Span.First, e.Span.Last, e.Span.Transactions, e.Span.GTIDs.String(), e.Span.Backward})
		}
		all = append(all, x)
	}
	return all
}
