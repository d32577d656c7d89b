package maintenance

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"nightjar/cmd/nightjar/internal/show"
	"nightjar/internal/human"
	"nightjar/internal/quote"
	"nightjar/repo"
	"nightjar/repo/maintain/retain"
)

// Decisions prints what becomes of each archive, and why.
func Decisions(w io.Writer, decisions []retain.Decision, dryRun bool) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\tID\tTIME\tHOST\tSOURCE\tWHY")
	gone := 0
	for _, d := range decisions {
		what := "keep"
		if !d.Keep {
			what = "forget"
			gone++
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", what, show.ShortID(d.Archive), human.Time(d.Dated()), quote.Display(d.Host), show.Source(d.Archive), quote.Display(strings.Join(d.Reasons, "; ")))
	}
	_ = t.Flush() // w keeps its error
	if dryRun {
		fmt.Fprintf(w, "%s would be forgotten, %d kept\n", human.Count(gone, "archive"), len(decisions)-gone)
		return
	}
	fmt.Fprintf(w, "%s forgotten, %d kept\n", human.Count(gone, "archive"), len(decisions)-gone)
}

// decisionJSON is what --json tells of one.
type decisionJSON struct {
	ID      string    `json:"id"`
	Host    string    `json:"host"`
	Job     repo.Text `json:"job"`
	Time    time.Time `json:"time"`
	Keep    bool      `json:"keep"`
	Reasons []string  `json:"reasons"`
}

// DecisionsJSON is what --json tells of all.
func DecisionsJSON(decisions []retain.Decision, dryRun bool) any {
	list := []decisionJSON{}
	for _, d := range decisions {
		list = append(list, decisionJSON{d.ID, d.Host, d.Job, d.Dated().UTC(), d.Keep, d.Reasons})
	}
	return struct {
		DryRun   bool           `json:"dry_run"`
		Archives []decisionJSON `json:"archives"`
	}{dryRun, list}
}
