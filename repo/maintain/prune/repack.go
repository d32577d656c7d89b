package prune

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/lookup"
	"nightjar/repo/pack"
	"nightjar/repo/save"
	"nightjar/repo/sealed"
)

// repack writes what is needed of packs that are mostly not into new packs, by the root, which keeps them for the same hosts. The old ones are condemned
// then: since what archives need of them lies elsewhere now, they go like any other.
func (p *pruner) repack(ctx context.Context) error {
	order, err := p.mostlyNot(ctx)
	if err != nil || len(order) == 0 {
		return err
	}
	chosen := map[int]bool{}
	for _, n := range order {
		chosen[n] = true
	}
	done := map[int]bool{}
	write := func(to *save.Repacker, owner string, order []int) error {
		for _, n := range order {
			known := &p.f.Packs()[n]
			info, err := p.r.Store().Stat(ctx, sealed.PackName(known.Kind, known.ID))
			if err != nil {
				return err
			}
			var failed error
			err = to.Pack(info, func(b pack.Blob) bool {
				ok, err := p.alone(b, n, owner, chosen)
				failed = errors.Join(failed, err)
				return ok
			})
			if errors.Is(err, save.ErrOtherOwner) && failed == nil {
				continue
			}
			if err = errors.Join(failed, err); errors.Is(err, crypto.ErrIntegrity) && ctx.Err() == nil && !errors.Is(err, repo.ErrUnavailable) {
				p.o.Problem(fmt.Errorf("a pack is left as it is: %w", err))
				continue
			}
			if err != nil {
				return err
			}
			done[n] = true
		}
		return nil
	}
	var sent save.Sent
	if p.o.DryRun {
		for _, n := range order {
			done[n] = true
		}
	} else {
		owners := p.owners(order)
		for _, owner := range slices.Sorted(maps.Keys(owners)) {
			err := save.Repack(ctx, p.r, owner, p.now, &sent, func(to *save.Repacker) error { return write(to, owner, owners[owner]) })
			if err != nil {
				return err
			}
		}
	}
	p.sum.PacksWritten, p.sum.BytesWritten = int(sent.Objects.Load()), int64(sent.Bytes.Load())
	for n := range done {
		p.packs[n] |= going
		p.sum.PacksRepacked++
		p.sum.BytesRepacked += int64(p.f.Packs()[n].Size)
	}
	return nil
}

// owners returns whose these packs are, as somebody says: the pack itself decides.
func (p *pruner) owners(order []int) map[string][]int {
	said := map[int]map[string]bool{}
	for _, n := range order {
		said[n] = map[string]bool{}
	}
	sources := map[int]string{}
	for n, s := range p.f.Sources() {
		if !s.Late {
			sources[n] = s.Owner
		}
	}
	for at := range p.f.Sightings() {
		if owner, ok := sources[at.Source]; ok && said[at.Pack] != nil {
			said[at.Pack][owner] = true
		}
	}
	owners := map[string][]int{}
	for _, n := range order {
		for owner := range said[n] {
			owners[owner] = append(owners[owner], n)
		}
	}
	return owners
}

// mostlyNot returns the packs that are worth it.
func (p *pruner) mostlyNot(ctx context.Context) (chosen []int, err error) {
	type share struct {
		needed, all int64
		bases       bool // a tree of which only the bytes are needed: nobody must take it for one, so it stays where that is said of it
	}
	shares := make([]share, len(p.packs))
	err = p.each(ctx, func(_ chunk.Key, at *lookup.Place) error {
		if p.origin(at).Late {
			return nil
		}
		s := &shares[at.Pack]
		s.all += int64(at.Length)
		if p.needs.Has(at.Entry) {
			s.needed += int64(at.Length)
		} else if p.bases.Has(at.Entry) {
			s.bases = true
		}
		return nil
	})
	for _, kind := range []pack.Kind{pack.Content, pack.Metadata} { // what leans on something comes after it
		for n := range shares {
			s := &shares[n]
			if p.f.Packs()[n].Kind == kind && p.packs[n]&(stored|needed|running|condemned|dropped) == stored|needed && !s.bases && float64(s.needed) < p.o.Threshold*float64(s.all) {
				chosen = append(chosen, n)
			}
		}
	}
	return chosen, err
}

// alone reports whether a blob of a chosen pack is needed, and not in another pack already that the root keeps for the same host: a repack may have been interrupted.
func (p *pruner) alone(b pack.Blob, n int, owner string, chosen map[int]bool) (bool, error) {
	all, err := p.places(b.Key, p.inner[:0])
	p.inner = all
	isNeeded := false
	for i := range all {
		at := &all[i]
		switch {
		case at.Type != b.Type && (!isRecipe(b.Type) || at.Type != b.Type-pack.RecipeFor):
		case at.Pack == n:
			isNeeded = isNeeded || at.Type == b.Type && p.needs.Has(at.Entry)
		case p.isRoot(at.Origin) && p.origin(at).Owner == owner && p.firm(at) && !chosen[at.Pack]:
			return false, err
		}
	}
	return isNeeded, err
}
