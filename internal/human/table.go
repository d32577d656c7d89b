package human

import (
	"slices"
	"strings"

	"github.com/mattn/go-runewidth"
)

// A Column is one of a table for people.
type Column struct {
	Head  string
	Rank  int      // where a terminal is too narrow, the column with the highest goes first; 0: it stays
	Cells []string // harmless: without control characters; as many in each column
}

// Table returns a table's lines, the first of which are the heads. They are as wide as a terminal at most (in columns; 0: as wide as they are), unless those of rank 0
// are wider. Columns in which no cell has anything are left out, but for a table without rows.
func Table(columns []Column, width int) []string {
	all := slices.DeleteFunc(slices.Clone(columns), func(c Column) bool {
		return len(c.Cells) > 0 && !slices.ContainsFunc(c.Cells, func(s string) bool { return s != "" })
	})
	widest := func(c Column) int {
		n := runewidth.StringWidth(c.Head)
		for _, s := range c.Cells {
			n = max(n, runewidth.StringWidth(s))
		}
		return n
	}
	total := -gap
	for _, c := range all {
		total += gap + widest(c)
	}
	for width > 0 && total > width {
		i := last(all)
		if i < 0 {
			break
		}
		total -= gap + widest(all[i])
		all = slices.Delete(all, i, i+1)
	}
	var lines []string
	for _, c := range all {
		n := widest(c)
		for i, s := range append([]string{c.Head}, c.Cells...) {
			if i == len(lines) {
				lines = append(lines, "")
			}
			lines[i] += s + strings.Repeat(" ", n-runewidth.StringWidth(s)+gap)
		}
	}
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return lines
}

// gap is between columns.
const gap = 2

// last returns the column that is needed least; negative: all stay.
func last(columns []Column) int {
	worst, rank := -1, 0
	for i, c := range columns {
		if c.Rank > rank {
			worst, rank = i, c.Rank
		}
	}
	return worst
}
