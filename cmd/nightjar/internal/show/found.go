package show

import (
	"fmt"
	"io"

	"nightjar/backup/browse"
	"nightjar/internal/human"
	"nightjar/internal/quote"
	"nightjar/repo"
)

// Groups returns which archives share a line: all, or each its own.
func Groups(archives []int, each bool) [][]int {
	if !each {
		return [][]int{archives}
	}
	var groups [][]int
	for i := range archives {
		groups = append(groups, archives[i:i+1])
	}
	return groups
}

// Found prints what was found, as the group of archives has it.
func Found(w io.Writer, archives []repo.Archive, group []int, x *browse.Found) error {
	first, last := &archives[group[0]], &archives[group[len(group)-1]]
	which := ShortID(first)
	if len(group) > 1 {
		which += fmt.Sprintf("..%s (%d)", ShortID(last), len(group))
	}
	bytes := "-"
	if x.Node.IsRegular() {
		bytes = fmt.Sprint(x.Node.Size)
	}
	path := quote.Display(x.Path)
	if x.Node.IsDir() {
		path += "/"
	}
	_, err := fmt.Fprintf(w, "%-24s %12s %s %s\n", which, bytes, human.Time(x.Node.Mtime.Time()), path)
	return err
}

// FoundJSON is what --json tells of what was found.
type FoundJSON struct {
	EntryJSON
	Archives []string `json:"archives"` // oldest first
}

// FoundEntry returns what --json tells of what was found, as the group of archives has it.
func FoundEntry(archives []repo.Archive, group []int, x *browse.Found) FoundJSON {
	j := FoundJSON{EntryJSON: Entry(x.Path, x.Node)}
	for _, i := range group {
		j.Archives = append(j.Archives, archives[i].ID)
	}
	return j
}
