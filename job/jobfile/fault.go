package jobfile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Position is where something stands in a file, both from 1. The zero value: nowhere.
type Position struct{ Line, Column int }

// A Fault is one thing that is wrong with a job file.
type Fault struct {
	Position
	Key  string // with its tables, as files.etc.paths; empty: the file as a whole
	Job  string // the job that it is in; empty: what every command goes by
	What string // in words, with a suggestion if there is one
}

func (f Fault) String() string {
	text := f.What
	if f.Key != "" {
		text = f.Key + ": " + text
	}
	switch {
	case f.Line > 0 && f.Column > 0:
		text = fmt.Sprintf("line %d, column %d: %s", f.Line, f.Column, text)
	case f.Line > 0:
		text = fmt.Sprintf("line %d: %s", f.Line, text)
	}
	return text
}

// Faults is the error of a file that says what it must not: all that was found, in the order of the lines.
type Faults struct {
	Path string
	All  []Fault
}

// maxTold is how many faults an error tells.
const maxTold = 5

func (f *Faults) Error() string {
	var told []string
	for _, x := range f.All[:min(len(f.All), maxTold)] {
		told = append(told, x.String())
	}
	text := fmt.Sprintf("read job file %s: %s", f.Path, strings.Join(told, "; "))
	if more := len(f.All) - maxTold; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}

// General reports whether a fault is in what every command goes by, and not in the jobs alone.
func (f *Faults) General() bool {
	return slices.ContainsFunc(f.All, func(x Fault) bool { return x.Job == "" })
}

// Sort puts them in the order of the lines.
func (f *Faults) Sort() {
	slices.SortStableFunc(f.All, func(x, y Fault) int { return cmp.Or(cmp.Compare(x.Line, y.Line), cmp.Compare(x.Column, y.Column)) })
}

// meant asks whether one of the names is meant by a word that is none of them; "" if none is near. shown has what is said of a name, where that is another.
func meant(word string, names []string, shown map[string]string) string {
	best, least := "", max(1, len(word)/3)+1
	for _, name := range names {
		if d := distance(word, name); d < least {
			best, least = cmp.Or(shown[name], name), d
		}
	}
	if best == "" {
		return ""
	}
	return ": is " + best + " meant?"
}

const maxWord = 64

// distance is how many letters have to be put in, left out, changed or swapped with the next to make b of a, in either case of letters.
func distance(a, b string) int {
	a, b = strings.ToLower(a), strings.ToLower(b)
	if len(a) > maxWord || len(b) > maxWord {
		return maxWord
	}
	var before, last []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, last, row = last, row, make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			change := 1
			if a[i] == b[j] {
				change = 0
			}
			row[j+1] = min(last[j]+change, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}

// joined writes a key with its tables, as they are: whoever shows it escapes it.
func joined(path []string) string {
	out := make([]string, len(path))
	for i, p := range path {
		if out[i] = p; !nameForm.MatchString(p) {
			out[i] = `"` + short(p) + `"`
		}
	}
	return strings.Join(out, ".")
}

// short cuts a word off before it fills the screen.
func short(s string) string {
	if len(s) <= maxWord {
		return s
	}
	return strings.ToValidUTF8(s[:maxWord], "") + "…"
}
