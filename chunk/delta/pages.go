package delta

// What stands at the edges of a page and changes whenever something in it does: log sequence numbers and checksums. InnoDB
// has 38 bytes in front and 8 behind; with these, the pages of other databases gain as much as with their own.
const (
	pageHead = 38
	pageTail = 8

	minPage = 1 << 10
	maxPage = 1 << 16
)

// Paged reports whether a grid follows pages of a size in bytes: from 1 to 64 KiB.
func Paged(page int) bool { return page >= minPage && page <= maxPage }

// PageRuns appends to runs those of n bytes that stand at an offset of a file with pages of a size, which must be Paged.
// The trailer of each page and the header of the next are one run, what is between them another; at the ends of what there is they
// may be cut short.
func PageRuns(runs []int, offset int64, n, page int) []int {
	at := int((offset + pageTail) % int64(page)) // from where the trailer of the page before begins
	for n > 0 {
		end := page
		if at < pageTail+pageHead {
			end = pageTail + pageHead
		}
		run := min(end-at, n)
		runs = append(runs, run)
		n -= run
		at = (at + run) % page
	}
	return runs
}

// PageRuns returns the runs of the literal, for data that stand at an offset of a file with pages of a size, which must be
// Paged: what was put in between others' pages has pages, too.
func (m *Match) PageRuns(offset int64, page int) []int {
	var runs []int
	for _, c := range m.Recipe.Copies {
		if c.Source == 0 {
			runs = PageRuns(runs, offset, c.Length, page)
		}
		offset += int64(c.Length)
	}
	if len(runs) > MaxRuns {
		return m.Runs
	}
	return runs
}
