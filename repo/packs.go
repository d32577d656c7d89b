package repo

import (
	"context"
	"fmt"

	"nightjar/chunk"
	"nightjar/repo/pack"
)

// Packs calls f with name and size of each content pack that Fetch reads for a chunk, unless one of them turns out to be damaged.
func (rd *Reader) Packs(ctx context.Context, id chunk.ID, f func(name string, size int64)) error {
	ok, err := rd.wholePack(ctx, id, f)
	if ok || err != nil {
		return err
	}
	recipes, err := rd.Sources(ctx, id)
	if err != nil {
		return err
	}
	if len(recipes) == 0 {
		return fmt.Errorf("find chunk %v: %w", id, ErrMissing)
	}
	for _, source := range recipes[0] {
		if ok, err := rd.wholePack(ctx, source, f); err != nil {
			return err
		} else if !ok {
			return fmt.Errorf("find chunk %v, which is made of %v: %w", id, source, ErrMissing)
		}
	}
	return nil
}

func (rd *Reader) wholePack(ctx context.Context, id chunk.ID, f func(name string, size int64)) (ok bool, err error) {
	locations, err := rd.locate(ctx, id, pack.WholeContent)
	if err != nil || len(locations) == 0 {
		return false, err
	}
	f(packName(locations[0]), locations[0].Pack.Size)
	return true, nil
}
