package statedir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// An ArchiveSeen is what a host remembers of an archive: with it, it knows when an older state of the repository is shown.
type ArchiveSeen struct {
	ID   string    `json:"id"`
	URL  string    `json:"url"` // where: a copy of the repository need not have it
	Host string    `json:"host"`
	Job  string    `json:"job"`
	Time time.Time `json:"time"`
	Made bool      `json:"made,omitempty"` // by this host: of these it remembers more
}

const (
	seenFile   = "archives.json"
	madeEach   = 8      // archives of each job that are remembered of those that this host made
	seenEach   = 1      // and of others: each names the one before it, whose absence is missed
	seenMax    = 10_000 // in all
	seenBytes  = 16 << 20
	seenFields = 4096 // bytes of a host's or a job's name
)

// Seen returns the newest archives of each job that this host remembers of a repository, in all its places.
func (d Dir) Seen(repository string) ([]ArchiveSeen, error) {
	folder, err := d.folder(repository)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(folder, seenFile)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && info.Size() > seenBytes {
		err = errors.New("it is too large")
	}
	var b []byte
	if err == nil {
		b, err = os.ReadFile(path)
	}
	var all []ArchiveSeen
	if err == nil {
		err = json.Unmarshal(b, &all)
	}
	if err != nil {
		return nil, fmt.Errorf("read state %s: %w", path, err)
	}
	return all, nil
}

// SaveSeen remembers the newest of some archives of each job, if that is anything new. One that was made here once is.
func (d Dir) SaveSeen(repository string, all []ArchiveSeen) error {
	folder, err := d.folder(repository)
	if err != nil {
		return err
	}
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b ArchiveSeen) int { return b.Time.Compare(a.Time) })
	type job struct{ url, host, name string }
	type place struct{ url, id string }
	count, known, made := map[job]int{}, map[place]bool{}, map[place]bool{}
	for _, a := range all {
		if a.Made {
			made[place{a.URL, a.ID}] = true
		}
	}
	var kept []ArchiveSeen
	for _, a := range all {
		of, at := job{a.URL, a.Host, a.Job}, place{a.URL, a.ID}
		a.Made = made[at]
		if known[at] || count[of] >= madeEach || count[of] >= seenEach && !a.Made || len(kept) == seenMax || len(a.Host) > seenFields || len(a.Job) > seenFields {
			continue
		}
		known[at] = true
		count[of]++
		kept = append(kept, a)
	}
	same := func(a, b ArchiveSeen) bool { return a.ID == b.ID && a.URL == b.URL }
	if before, err := d.Seen(repository); err == nil && slices.EqualFunc(before, kept, same) {
		return nil
	}
	return d.save(folder, seenFile, kept)
}
