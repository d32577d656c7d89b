package reported

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"nightjar/backup/browse"
	"nightjar/backup/filter"
	"nightjar/job/report"
	"nightjar/repo"
)

const (
	maxPaths   = 10    // folders that are told of a job
	maxFolders = 20000 // folders that are kept in mind
)

// changes compares the last two archives of jobs that save files, of at most so many jobs: those that ran last.
func changes(ctx context.Context, r *repo.Repository, kept []repo.Archive, most int) ([]report.Changes, error) {
	type job struct{ host, name string }
	pairs := map[job][]repo.Archive{} // the newest first
	var order []job
	for i := len(kept) - 1; i >= 0; i-- {
		a := &kept[i]
		j := job{a.Host, string(a.Job)}
		if a.Kind != repo.Files || len(pairs[j]) == 2 {
			continue
		}
		if len(pairs[j]) == 0 {
			order = append(order, j)
		}
		pairs[j] = append(pairs[j], *a)
	}
	rd, err := r.NewReader(ctx)
	if err != nil {
		return nil, err
	}
	var all []report.Changes
	for _, j := range order {
		if pair := pairs[j]; len(pair) == 2 && len(all) < most {
			c, err := compare(ctx, rd, pair[1], pair[0])
			if err != nil {
				return nil, err
			}
			all = append(all, c)
		}
	}
	return all, nil
}

// errMany ends a comparison.
var errMany = errors.New("more folders have changes than are kept in mind")

// compare tells of the folders whose files are new or other in the newer archive.
func compare(ctx context.Context, rd *repo.Reader, older, newer repo.Archive) (report.Changes, error) {
	c := report.Changes{Host: newer.Host, Job: string(newer.Job), Since: older.Stored}
	everything, err := filter.New(filter.Options{})
	if err != nil {
		return c, err
	}
	folders := map[string]report.Change{}
	o := browse.FindOptions{Filter: everything, Differing: true, Problem: func(_, path string, err error) { c.Incomplete = fmt.Sprintf("%s: %v", path, err) }}
	err = browse.Find(ctx, rd, []repo.Archive{older, newer}, o, func(f browse.Found) error {
		if !slices.Equal(f.Archives, []int{1}) || !f.Node.IsRegular() {
			return nil
		}
		at := path.Dir(f.Path)
		if _, there := folders[at]; !there && len(folders) == maxFolders {
			return errMany
		}
		folder := folders[at]
		folders[at] = report.Change{Path: at, Files: folder.Files + 1, Bytes: folder.Bytes + f.Node.Size}
		c.Files++
		c.Bytes += f.Node.Size
		return nil
	})
	if errors.Is(err, errMany) {
		c.Incomplete, err = errMany.Error(), nil
	}
	for _, f := range folders {
		c.Paths = append(c.Paths, f)
	}
	slices.SortFunc(c.Paths, func(x, y report.Change) int {
		return cmp.Or(cmp.Compare(y.Bytes, x.Bytes), cmp.Compare(x.Path, y.Path))
	})
	c.Paths = c.Paths[:min(len(c.Paths), maxPaths)]
	return c, err
}
