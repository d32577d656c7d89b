package show

import (
	"fmt"
	"io"
	"time"

	"nightjar/internal/human"
	"nightjar/internal/quote"
	"nightjar/repo/mirror"
)

// Copied says how a copy went.
type Copied struct {
	Place   string  `json:"to"`
	DryRun  bool    `json:"dry_run"`
	Elapsed float64 `json:"elapsed_seconds"`
	mirror.Summary
	Requests     map[string]uint64 `json:"requests,omitempty"`      // to the repository's store; nil where they are not counted
	CopyRequests map[string]uint64 `json:"copy_requests,omitempty"` // to the copy's
}

// Show prints it.
func (c *Copied) Show(w io.Writer) {
	fmt.Fprintln(w, c.verdict())
	rows := [][2]string{
		{"elapsed", human.Elapsed(time.Duration(c.Elapsed * float64(time.Second)))},
		{"copied by the server", objects(c.Direct)},
		{"through this machine", objects(c.Streamed)},
		{"there already", objects(c.Present)},
	}
	if c.Verified.Objects > 0 {
		rows = append(rows, [2]string{"of these verified", objects(c.Verified)})
	}
	rows = append(rows, [2]string{"archives only in the copy", Some(c.Kept.Objects)}, [2]string{"deleted from the copy", objects(c.Deleted)},
		[2]string{"problems", Some(c.Findings)})
	rows = withRequests(rows, c.Requests)
	if parts := withRequests(nil, c.CopyRequests); parts != nil {
		rows = append(rows, [2]string{"requests to the copy", parts[0][1]})
	}
	Block(w, rows)
}

func objects(c mirror.Count) string {
	if c.Objects == 0 {
		return ""
	}
	return fmt.Sprintf("%s, %s", human.Count(c.Objects, "object"), human.ExactSize(uint64(c.Bytes)))
}

// verdict says in a line what the copy has now.
func (c *Copied) verdict() string {
	verb := "copied"
	if c.DryRun {
		verb = "would copy"
	}
	n, bytes := c.Direct.Objects+c.Streamed.Objects, uint64(c.Direct.Bytes+c.Streamed.Bytes)
	text := fmt.Sprintf("%s %s (%s) to %s", verb, human.Count(n, "object"), human.Size(bytes), quote.Display(c.Place))
	if n == 0 && c.Findings == 0 {
		text = "nothing new to copy to " + quote.Display(c.Place)
	}
	if n := c.Deleted.Objects; n > 0 {
		text += ", deleted there: " + human.Count(n, "object")
	}
	if c.Findings > 0 {
		text += "; problems: " + Count(c.Findings)
	}
	return text
}
