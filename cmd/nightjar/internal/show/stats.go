package show

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"nightjar/crypto"
	"nightjar/internal/human"
	"nightjar/internal/quote"
	"nightjar/job/record"
	"nightjar/repo"
	"nightjar/repo/store"
)

// Statistics say how much is in a repository.
type Statistics struct {
	Repository string                `json:"repository"`
	Place      string                `json:"place"`
	Root       crypto.Fingerprint    `json:"root"`
	Recovery   []crypto.Fingerprint  `json:"recovery_keys"`
	Hosts      map[string]int        `json:"archives_by_host"`
	Archives   int                   `json:"archives"` // without records
	Records    int                   `json:"records"`  // of runs and drills
	Oldest     *time.Time            `json:"oldest,omitempty"`
	Newest     *time.Time            `json:"newest,omitempty"`
	Source     uint64                `json:"newest_source_bytes"` // of the newest archive of every job
	Chunks     int64                 `json:"chunks"`              // trees and lists among them
	Objects    map[string]ObjectSums `json:"objects"`
	Total      ObjectSums            `json:"total"`
}

// ObjectSums count objects of a kind.
type ObjectSums struct {
	Count uint64 `json:"count"`
	Bytes uint64 `json:"bytes"`
}

func (s *ObjectSums) add(bytes int64) {
	s.Count++
	s.Bytes += uint64(bytes)
}

// Gather counts what is in a repository, whose archives these are.
func Gather(ctx context.Context, r *repo.Repository, place string, archives []repo.Archive) (*Statistics, error) {
	sums := &Statistics{
		Repository: r.ID(), Place: quote.Text(place), Root: r.Keys().Pin().Root, Recovery: r.Keys().Recovery(),
		Hosts: map[string]int{}, Objects: map[string]ObjectSums{},
	}
	type job struct {
		host string
		job  repo.Text
	}
	newest := map[job]uint64{}
	for i := range archives {
		x := &archives[i]
		if record.IsKind(string(x.Kind)) {
			sums.Records++
			continue
		}
		if sums.Oldest == nil {
			sums.Oldest = &x.Time
		}
		sums.Newest = &x.Time
		sums.Archives++
		sums.Hosts[x.Host]++
		newest[job{x.Host, x.Job}] = x.Statistics["bytes"]
	}
	for _, n := range newest {
		sums.Source += n
	}
	if err := r.SyncIndex(ctx); err != nil {
		return nil, err
	}
	sums.Chunks = r.Chunks()
	err := r.Store().List(ctx, "", func(i store.Info) error {
		kind, _, _ := strings.Cut(i.Name, "/")
		of := sums.Objects[kind]
		of.add(i.Size)
		sums.Objects[kind] = of
		sums.Total.add(i.Size)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list objects: %w", err)
	}
	return sums, nil
}

// Show prints the statistics.
func (s *Statistics) Show(w io.Writer) {
	fmt.Fprintf(w, "repository %s in %s\n", s.Repository, quote.Display(s.Place))
	rows := [][2]string{{"root key", string(s.Root)}}
	for _, f := range s.Recovery {
		rows = append(rows, [2]string{"recovery key", string(f)})
	}
	for _, host := range slices.Sorted(maps.Keys(s.Hosts)) {
		rows = append(rows, [2]string{"archives of " + quote.Display(host), fmt.Sprint(s.Hosts[host])})
	}
	if s.Oldest != nil {
		rows = append(rows, [2]string{"oldest", human.Time(*s.Oldest)}, [2]string{"newest", human.Time(*s.Newest)},
			[2]string{"source bytes, newest of each job", human.ExactSize(s.Source)})
	}
	if s.Records > 0 {
		rows = append(rows, [2]string{"records of runs and drills", fmt.Sprint(s.Records)})
	}
	rows = append(rows, [2]string{"chunks", fmt.Sprint(s.Chunks)})
	for _, kind := range slices.Sorted(maps.Keys(s.Objects)) {
		rows = append(rows, [2]string{kind, s.Objects[kind].text()})
	}
	Block(w, append(rows, [2]string{"total", s.Total.text()}))
}

func (s ObjectSums) text() string {
	return fmt.Sprintf("%s, %s", human.Count(s.Count, "object"), human.ExactSize(s.Bytes))
}
