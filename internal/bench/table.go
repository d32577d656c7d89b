package main

import (
	"fmt"
	"strconv"
	"time"
)

// row is one line of the table. Where tool has no repository, repo and added are 0.
type row struct {
	tool, step  string
	cost        cost
	repo, added int64
	note        string
	bad         bool // what came back is not what was saved
}

func (r row) failed() bool { return r.bad || r.cost.Exit != 0 || r.cost.Error != "" }

const layout = "%-9s %-13s %8s %8s %8s %9s %14s %14s  %s\n"

func (b *bench) header() {
	fmt.Fprintf(b.w, layout, "tool", "step", "wall s", "CPU s", "user s", "peak MiB", "repository B", "added B", "result")
}

func (b *bench) add(r row) {
	b.rows = append(b.rows, r)
	if r.failed() {
		b.failed++
	} else if r.note == "" {
		r.note = "ok"
	}
	bytes := func(n int64) string {
		if r.repo == 0 {
			return "-"
		}
		return strconv.FormatInt(n, 10)
	}
	c := r.cost
	fmt.Fprintf(b.w, layout, r.tool, r.step, seconds(c.Wall), seconds(c.User+c.System), seconds(c.User),
		fmt.Sprintf("%.0f", float64(c.Peak)/(1<<20)), bytes(r.repo), bytes(r.added), r.note)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()) }

// ratios prints what the first tool took in parts of what the second took.
func (b *bench) ratios() {
	if len(b.tools) < 2 {
		return
	}
	fmt.Fprintf(b.w, "\n%s / %s\n", b.tools[0].name, b.tools[1].name)
	fmt.Fprintf(b.w, layout, "", "step", "wall", "CPU", "user", "peak", "repository", "added", "")
	for _, mine := range b.rows {
		for _, other := range b.rows {
			if mine.tool != b.tools[0].name || other.tool != b.tools[1].name || mine.step != other.step {
				continue
			}
			m, o := mine.cost, other.cost
			note := ""
			if mine.failed() || other.failed() {
				note = "FAILED: not to be compared"
			}
			fmt.Fprintf(b.w, layout, "", mine.step, ratio(m.Wall, o.Wall), ratio(m.User+m.System, o.User+o.System),
				ratio(m.User, o.User), ratio(m.Peak, o.Peak), ratio(mine.repo, other.repo), ratio(mine.added, other.added), note)
		}
	}
}

func ratio[N ~int64](a, b N) string {
	if b == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", float64(a)/float64(b))
}
