package workload

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// The second night at scale 1.
const (
	newFiles     = 64
	newBytes     = 2_280_357
	deletedFiles = 28
	changedFiles = 418
	changedBytes = 217_974_696
	deltaBytes   = 2_465_010 // what rsync sends for the changed files

	pageSize  = 16 << 10
	rowSize   = 256  // changed in a dirty page
	rsyncCost = 2304 // what rsync sends for such a row: the row and the block around it
)

// night is what changes, by index into the plan's files. An eighth of the changed files are like a
// database's: they hold most of the bytes and are rewritten in place, a row here and there.
// Of the others every seventh grows at its end, as logs do, and the rest are edited in the middle.
type night struct {
	rewritten []int
	rows      int // changed in all rewritten files together
	edited    []int
	deleted   []int
	created   []file
}

func planNight(files []file, scale float64, r *rand.Rand) night {
	share := func(n float64, least int) int { return max(least, int(n*scale)) }
	nChanged := share(changedFiles, 3)
	nRewritten := max(1, nChanged/8)

	// By size, without the very largest, which stay as they are, and without what is compressed.
	bySize := make([]int, 0, len(files))
	for i := range files {
		bySize = append(bySize, i)
	}
	slices.SortFunc(bySize, func(a, b int) int { return cmp.Compare(files[b].size, files[a].size) })
	bySize = slices.DeleteFunc(bySize[5:], func(i int) bool { return files[i].kind == opaque })

	var n night
	first := windowWithin(files, bySize, nRewritten, int64(changedBytes*scale*19/20))
	n.rewritten = bySize[first : first+nRewritten]
	n.rows = share(deltaBytes/rsyncCost, 1)

	taken := map[int]bool{}
	for _, i := range n.rewritten {
		taken[i] = true
	}
	small := bySize[first+nRewritten:]
	for len(n.edited) < nChanged-nRewritten {
		if i := small[r.IntN(len(small))]; !taken[i] && files[i].size >= 64 {
			taken[i] = true
			n.edited = append(n.edited, i)
		}
	}
	for nDeleted := share(deletedFiles, 1); len(n.deleted) < nDeleted; {
		if i := r.IntN(len(files)); !taken[i] {
			taken[i] = true
			n.deleted = append(n.deleted, i)
		}
	}
	nCreated := share(newFiles, 1)
	for i := range nCreated {
		n.created = append(n.created, file{
			path:    fmt.Sprintf("var/new/%03d%s", i, text.suffix()),
			size:    int64(newBytes*scale) / int64(nCreated),
			kind:    text,
			modTime: secondNight,
			stream:  uint64(len(files) + i),
		})
	}
	return n
}

// windowWithin gives the first place in order, which goes from large to small, where n files in a row
// hold no more than limit bytes; the last place if none do.
func windowWithin(files []file, order []int, n int, limit int64) int {
	var held int64
	for at, i := range order {
		held += files[i].size
		if at >= n {
			held -= files[order[at-n]].size
		}
		if at >= n-1 && held <= limit {
			return at - n + 1
		}
	}
	return len(order) - n
}

// Mutate turns the tree that Create wrote into dir into the second night's.
func (p *Plan) Mutate(dir string) (Stats, error) {
	if err := p.mutate(dir); err != nil {
		return Stats{}, fmt.Errorf("mutate workload: %w", err)
	}
	n := p.night
	s := Stats{Files: len(n.created), Bytes: sum(n.created), Deleted: len(n.deleted), Changed: len(n.rewritten) + len(n.edited)}
	for _, i := range slices.Concat(n.rewritten, n.edited) {
		s.ChangedBytes += p.files[i].size
	}
	return s, nil
}

func (p *Plan) mutate(dir string) error {
	src := generator(p.seed, forChanges, 0)
	r := rand.New(src)
	for n, i := range p.night.edited {
		name := filepath.Join(dir, p.files[i].path)
		old, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		at := len(old)
		if n%7 != 0 {
			at = r.IntN(len(old))
		}
		line := p.words.appendItem(p.words.appendItem(nil, text, 0, src), text, 0, src)
		if err := os.WriteFile(name, slices.Insert(old, at, line...), 0o644); err != nil {
			return err
		}
	}
	rows := p.night.rows
	for n, i := range p.night.rewritten {
		share := rows / (len(p.night.rewritten) - n)
		rows -= share
		if err := rewrite(filepath.Join(dir, p.files[i].path), share, src, r); err != nil {
			return err
		}
	}
	for _, i := range slices.Concat(p.night.edited, p.night.rewritten) {
		if err := os.Chtimes(filepath.Join(dir, p.files[i].path), secondNight, secondNight); err != nil {
			return err
		}
	}
	touched := []string{"var", "var/new"}
	for _, i := range p.night.deleted {
		if err := os.Remove(filepath.Join(dir, p.files[i].path)); err != nil {
			return err
		}
		touched = append(touched, filepath.Dir(p.files[i].path))
	}
	if err := os.Mkdir(filepath.Join(dir, "var/new"), 0o755); err != nil {
		return err
	}
	if err := p.writeAll(dir, p.night.created); err != nil {
		return err
	}
	for _, d := range touched {
		if err := os.Chtimes(filepath.Join(dir, d), secondNight, secondNight); err != nil {
			return err
		}
	}
	return nil
}

// rewrite changes one row in each of so many pages of a file; all pages, if it has fewer.
func rewrite(name string, pages int, src *rand.ChaCha8, r *rand.Rand) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	all := int(st.Size() / pageSize)
	if all == 0 {
		return fmt.Errorf("rewrite %s: smaller than a page", name)
	}
	var row [rowSize]byte
	for _, page := range r.Perm(all)[:min(pages, all)] {
		src.Read(row[:]) // never fails
		if _, err := f.WriteAt(row[:], int64(page)*pageSize+int64(r.IntN(pageSize-rowSize))); err != nil {
			return err
		}
	}
	return f.Close()
}
