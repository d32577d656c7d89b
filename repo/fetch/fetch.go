package fetch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"nightjar/chunk"
	"nightjar/repo/lookup"
	"nightjar/repo/pack"
)

// Fetch reads chunks of content and delivers each with its place in ids, from several goroutines, in no order. What cannot be had is delivered with an error. data is
// valid until deliver returns. Fetch ends early, with that error, when deliver returns one or ctx ends. deliver must not wait for another Fetch. Memory grows with the number of ids, not with their content.
func (rd *Reader) Fetch(ctx context.Context, ids []chunk.ID, deliver func(i int, data []byte, err error) error) error {
	whole := make([]chunk.ID, 0, len(ids))
	places := make([]int, 0, len(ids))
	var recipes []int
	named, hand := rd.local.Lists(), deliver
	deliver = func(i int, data []byte, err error) error {
		if err != nil && named.Chunk(ids[i]) && !errors.Is(err, ErrForeign) {
			err = fmt.Errorf("read chunk %v: %w", ids[i], ErrLost)
		}
		return hand(i, data, err)
	}
	for i, id := range ids {
		locations, err := rd.locate(ctx, id, pack.WholeContent, pack.RecipeFor+pack.WholeContent)
		if err != nil {
			return err
		}
		if len(locations) > 0 && !slices.ContainsFunc(locations, func(at lookup.Location) bool { return at.Type == pack.WholeContent }) {
			recipes = append(recipes, i)
			continue
		}
		whole, places = append(whole, id), append(places, i)
	}
	// What was damaged as a whole may have a recipe elsewhere.
	var mu sync.Mutex
	reasons := map[int]error{}
	failed := func(i int, err error) {
		mu.Lock()
		defer mu.Unlock()
		recipes, reasons[i] = append(recipes, i), errors.Join(reasons[i], err)
	}
	err := rd.newWholeFetch(whole, true, func(n int, data []byte, err error) error {
		if err == nil {
			return deliver(places[n], data, nil)
		}
		failed(places[n], err)
		return nil
	}).all(ctx)
	// Each round tries another recipe of what the rounds before could not make.
	for round := 0; err == nil && len(recipes) > 0; round++ {
		todo := recipes
		recipes = nil
		var ready []*rebuild
		for _, i := range todo {
			locations, err := rd.locate(ctx, ids[i], pack.RecipeFor+pack.WholeContent)
			if err != nil {
				return err
			}
			if round < len(locations) {
				ready = append(ready, &rebuild{i: i, id: ids[i], at: locations[round]})
				continue
			}
			reason := reasons[i]
			if reason == nil {
				reason = fmt.Errorf("read chunk %v: %w", ids[i], rd.Absent(ctx, ids[i]))
			}
			if err := deliver(i, nil, reason); err != nil {
				return err
			}
		}
		err = rd.rebuildAll(ctx, ready, func(i int, data []byte, err error) error {
			if err == nil {
				return deliver(i, data, nil)
			}
			failed(i, err)
			return nil
		})
	}
	return err
}
