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

// What a row may be judged by, in seconds and bytes.
func wall(r row) float64  { return r.cost.Wall.Seconds() }
func cpu(r row) float64   { return (r.cost.User + r.cost.System).Seconds() }
func user(r row) float64  { return r.cost.User.Seconds() }
func peak(r row) float64  { return float64(r.cost.Peak) }
func repo(r row) float64  { return float64(r.repo) }
func added(r row) float64 { return float64(r.added) }

const layout = "%-9s %-13s %8s %8s %8s %9s %14s %14s  %s\n"

func (w *work) header(title string) {
	fmt.Fprintf(w.out, "%s: %s\n\n", w.name, title)
	fmt.Fprintf(w.out, layout, "tool", "step", "wall s", "CPU s", "user s", "peak MiB", "repository B", "added B", "result")
}

// add keeps a row and prints it.
func (w *work) add(r row) {
	w.rows = append(w.rows, r)
	if r.failed() {
		w.failed++
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
	fmt.Fprintf(w.out, layout, r.tool, r.step, seconds(c.Wall), seconds(c.User+c.System), seconds(c.User),
		fmt.Sprintf("%.0f", float64(c.Peak)/(1<<20)), bytes(r.repo), bytes(r.added), r.note)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()) }

// row finds what a tool took for a step.
func (w *work) row(tool, step string) (row, bool) {
	for _, r := range w.rows {
		if r.tool == tool && r.step == step {
			return r, true
		}
	}
	return row{}, false
}

// ratios prints what the first tool took in parts of what each other took.
func (w *work) ratios() {
	for _, t := range w.tools[1:] {
		fmt.Fprintf(w.out, "\n%s / %s\n", w.tools[0].name, t.name)
		fmt.Fprintf(w.out, layout, "", "step", "wall", "CPU", "user", "peak", "repository", "added", "")
		for _, mine := range w.rows {
			other, ok := w.row(t.name, mine.step)
			if mine.tool != w.tools[0].name || !ok {
				continue
			}
			note := ""
			if mine.failed() || other.failed() {
				note = "FAILED: not to be compared"
			}
			ratio := func(of func(row) float64) string {
				if of(other) == 0 {
					return "-"
				}
				return fmt.Sprintf("%.2f", of(mine)/of(other))
			}
			fmt.Fprintf(w.out, layout, "", mine.step, ratio(wall), ratio(cpu), ratio(user), ratio(peak), ratio(repo), ratio(added), note)
		}
	}
	fmt.Fprintln(w.out)
}
