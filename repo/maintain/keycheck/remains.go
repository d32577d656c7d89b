package keycheck

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/record"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

// ErrRemains says that a repository still has something that only the entry of a host in its keys gives a meaning to.
var ErrRemains = errors.New("something of the host is left")

// Remains returns an ErrRemains that names the first object found that a host has signed, or that names packs as the host's; nil if there is none. What
// cannot be read is nothing.
func Remains(ctx context.Context, r *repo.Repository, host string) error {
	signs := map[crypto.Fingerprint]bool{}
	for _, h := range r.Keys().Hosts() {
		if h.Name == host {
			for _, c := range h.Certificates {
				signs[c.Key.Fingerprint()] = true
			}
		}
	}
	for _, kind := range []string{"archive", record.ForgetKind, record.VerifiedKind, record.LostKind, record.CondemnedKind, record.DroppedKind, "index"} {
		err := r.Records(ctx, kind, func(x sealed.Record) error {
			switch {
			case errors.Is(x.Err, store.ErrUnavailable):
				return x.Err
			case signs[x.Signer]: // and be it disowned: without the host in the keys it would be of a stranger
				return fmt.Errorf("%w: it has signed %s", ErrRemains, x.Name)
			case x.Err != nil, kind != "index":
				return nil
			}
			o, err := index.ParseObject(x.Content)
			if err == nil && slices.ContainsFunc(o.Runs, func(run index.Run) bool { return run.Owner == host && len(run.Packs) > 0 }) {
				err = fmt.Errorf("%w: %s names packs of it", ErrRemains, x.Name)
			}
			if errors.Is(err, ErrRemains) {
				return err
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("look for what host %q has left: %w", host, err)
		}
	}
	return nil
}
