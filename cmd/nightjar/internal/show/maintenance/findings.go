package maintenance

import (
	"fmt"

	"nightjar/repo/maintain/check"
)

// each is how many files of an archive are named of which the same is to be said.
const each = 20

// Findings are the lines of a check. Of the files of an archive of which the same is to be said, the first are named, and the rest counted: one pack that is missing
// may be under thousands.
type Findings struct {
	Print func(line string) error
	All   bool // name all

	count map[alike]int
	order []alike
}

type alike struct {
	archive string
	what    check.What
}

// Add prints a finding, or counts it.
func (l *Findings) Add(f check.Finding) error {
	if f.Archive == "" || l.All {
		return l.Print(Finding(f))
	}
	if l.count == nil {
		l.count = map[alike]int{}
	}
	of := alike{f.Archive, f.What}
	l.count[of]++
	switch n := l.count[of]; {
	case n <= each:
		return l.Print(Finding(f))
	case n == each+1:
		l.order = append(l.order, of)
	}
	return nil
}

// End prints what was counted.
func (l *Findings) End() error {
	for _, of := range l.order {
		if err := l.Print(fmt.Sprintf("archive %s: %s: and %d more; --verbose names them", of.archive[:min(8, len(of.archive))], of.what, l.count[of]-each)); err != nil {
			return err
		}
	}
	return nil
}
