package retain

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/record"
	"nightjar/repo/sealed"
)

// most is how many archives one record names, so that it stays small.
const most = 10_000

// GivenUp is what is written of an archive that was given up.
type GivenUp struct {
	record.Forgotten
	At time.Time // when, by the store's time
}

// Forgotten returns the archives that were given up; of several records of one the first counts. damaged is told of each record that cannot be read: what
// it names counts as not given up.
func Forgotten(ctx context.Context, r *repo.Repository, damaged func(name string, err error)) (map[index.ObjectID]GivenUp, error) {
	return forgotten(ctx, r, "", damaged)
}

// forgotten is Forgotten for archives of one host, of all if it is ""; what it returns may have others, too.
func forgotten(ctx context.Context, r *repo.Repository, host string, damaged func(name string, err error)) (map[index.ObjectID]GivenUp, error) {
	all := map[index.ObjectID]GivenUp{}
	err := r.RecordsOf(ctx, record.ForgetKind, host, func(x sealed.Record) error {
		var f record.Forget
		if x.Err == nil {
			x.Err = record.Decode(x.Content, &f)
		}
		switch {
		case errors.Is(x.Err, repo.ErrUnread):
			return x.Err
		case errors.Is(x.Err, repo.ErrDisowned): // it gives up nothing
			return nil
		}
		if x.Err != nil {
			damaged(x.Name, x.Err)
			return nil
		}
		for _, a := range f.Archives {
			if before, ok := all[a.Archive]; !ok || x.Time.Before(before.At) {
				all[a.Archive] = GivenUp{a, x.Time}
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read what was forgotten: %w", err)
	}
	return all, nil
}

// Mark notes in each archive whether, and when, it was given up.
func Mark(ctx context.Context, r *repo.Repository, archives []repo.Archive, damaged func(name string, err error)) error {
	if len(archives) == 0 {
		return nil
	}
	host := archives[0].Host
	for i := range archives {
		if archives[i].Host != host {
			host = ""
			break
		}
	}
	gone, err := forgotten(ctx, r, host, damaged)
	if err != nil {
		return err
	}
	for i := range archives {
		if id, err := index.ParseObjectID(archives[i].ID); err == nil {
			archives[i].Forgotten = gone[id].At
		}
	}
	return nil
}

// Forget writes down that the archives that are not kept are given up.
func Forget(ctx context.Context, r *repo.Repository, decisions []Decision) error {
	var gone []record.Forgotten
	for _, d := range decisions {
		if d.Keep {
			continue
		}
		id, err := index.ParseObjectID(d.ID)
		if err != nil {
			return fmt.Errorf("forget archive %s: %w", d.ID, err)
		}
		gone = append(gone, record.Forgotten{
			Archive: id, Host: d.Host, Job: d.Job, Time: d.Time, Predecessor: d.Predecessor, Reason: strings.Join(d.Reasons, "; "),
		})
	}
	for len(gone) > 0 {
		n := min(most, len(gone))
		content, err := record.Encode(&record.Forget{Archives: gone[:n]})
		if err == nil {
			_, err = r.PutRecord(ctx, record.ForgetKind, content)
		}
		if err != nil {
			return fmt.Errorf("forget %d archives: %w", len(gone), err)
		}
		gone = gone[n:]
	}
	return nil
}
