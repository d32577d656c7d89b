// Package workload makes what nightjar is measured on, and turns it into what the next night finds: a tree
// of files (Plan), a database's file (Database), an SQL dump (Dump), and a stream (Stream).
//
// The tree has the shape of a Linux server's root partition as a backup log reported it: many small
// files, few large ones, and a night that touches little of it.
//
// Everything follows from sizes and seed, times of files and directories included: two machines make
// the same bytes. It knows nothing of backups.
package workload

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// The first night at scale 1.
const (
	firstFiles = 174_531
	firstBytes = 5_080_402_735

	minFiles = 100 // fewer leave nothing to change
)

var (
	firstNight  = time.Date(2024, 3, 11, 1, 0, 0, 0, time.UTC)
	secondNight = firstNight.Add(24 * time.Hour)

	tops = [...]string{"etc", "home", "opt", "usr", "srv", "var/lib", "var/log"}
)

const (
	subfolders    = 40
	subsubfolders = 60
)

// A Plan says what both nights hold, before anything is written. It is made by New, and may be used
// by several goroutines.
type Plan struct {
	seed  uint64
	files []file
	dirs  []string // all that hold files, and those above them, parents first
	night night
	words *vocabulary
}

// file is one file of a plan; its content follows from the plan's seed and from stream.
type file struct {
	path    string
	size    int64
	kind    kind
	modTime time.Time
	stream  uint64
}

// Stats counts what was made: all files of the first night, or the second night's changes.
type Stats struct {
	Files int   // written anew
	Bytes int64 // in them
	// The second night only.
	Deleted, Changed int
	ChangedBytes     int64 // what the changed files held before
}

// New plans both nights. A scale of 1 is 174,531 files with 5,080,402,735 bytes.
func New(scale float64, seed uint64) (*Plan, error) {
	n := int(firstFiles * scale)
	if n < minFiles || scale > 10 {
		return nil, fmt.Errorf("plan workload: scale %v gives %d files, want at least %d and a scale of at most 10", scale, n, minFiles)
	}
	r := rand.New(generator(seed, forPlan, 0))
	sizes := logNormal(n, int64(firstBytes*scale), r)
	files := make([]file, n)
	for i := range files {
		f := &files[i]
		f.size = sizes[i]
		f.kind = text
		if p := r.IntN(100); p < 30 {
			f.kind = binary
		} else if p < 44 {
			f.kind = opaque
		}
		f.path = fmt.Sprintf("%s/d%02d/e%02d/%06d%s", tops[r.IntN(len(tops))], r.IntN(subfolders), r.IntN(subsubfolders), i, f.kind.suffix())
		f.modTime = firstNight.Add(-time.Duration(r.Int64N(int64(30 * 24 * time.Hour))))
		f.stream = uint64(i)
	}
	return &Plan{seed, files, folders(files), planNight(files, scale, r), newVocabulary(seed)}, nil
}

// logNormal gives n sizes that add up to total.
func logNormal(n int, total int64, r *rand.Rand) []int64 {
	const sigma = 2.1
	weights := make([]float64, n)
	var sum float64
	for i := range weights {
		weights[i] = math.Exp(sigma * r.NormFloat64())
		sum += weights[i]
	}
	sizes := make([]int64, n)
	left, largest := total, 0
	for i, w := range weights {
		sizes[i] = int64(w / sum * float64(total))
		left -= sizes[i]
		if sizes[i] > sizes[largest] {
			largest = i
		}
	}
	sizes[largest] += left
	return sizes
}

func folders(files []file) []string {
	seen := map[string]bool{}
	for _, f := range files {
		for d := filepath.Dir(f.path); d != "." && !seen[d]; d = filepath.Dir(d) {
			seen[d] = true
		}
	}
	dirs := make([]string, 0, len(seen))
	for d := range seen {
		dirs = append(dirs, d)
	}
	slices.SortFunc(dirs, cmp.Compare[string])
	return dirs
}

// Create writes the first night's tree into dir, which is made if need be and is to be empty.
func (p *Plan) Create(dir string) (Stats, error) {
	for _, d := range p.dirs {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return Stats{}, fmt.Errorf("create workload: %w", err)
		}
	}
	if err := p.writeAll(dir, p.files); err != nil {
		return Stats{}, fmt.Errorf("create workload: %w", err)
	}
	for _, d := range append([]string{"."}, p.dirs...) {
		if err := os.Chtimes(filepath.Join(dir, d), firstNight, firstNight); err != nil {
			return Stats{}, fmt.Errorf("create workload: %w", err)
		}
	}
	return Stats{Files: len(p.files), Bytes: sum(p.files)}, nil
}

func (p *Plan) writeAll(dir string, files []file) error {
	var next atomic.Int64
	var workers errgroup.Group
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() error {
			buf := make([]byte, 0, pieceSize+maxItem)
			for {
				i := int(next.Add(1)) - 1
				if i >= len(files) {
					return nil
				}
				if err := p.write(dir, files[i], buf); err != nil {
					return err
				}
			}
		})
	}
	return workers.Wait()
}

func (p *Plan) write(dir string, f file, buf []byte) error {
	name := filepath.Join(dir, f.path)
	w, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer w.Close()
	if err := p.words.content(w, f.kind, f.size, generator(p.seed, forContent, f.stream), buf); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.Chtimes(name, f.modTime, f.modTime)
}

func sum(files []file) int64 {
	var n int64
	for _, f := range files {
		n += f.size
	}
	return n
}
