package repo

import (
	"context"
	"crypto/sha256"
	"errors"
	"iter"
	"slices"
	"strings"

	"nightjar/repo/index"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

// A Roll is the archives as the store listed them at one time. What was read of an archive before is known on this machine, so what is asked of one host
// costs nothing for the others, however many there are.
type Roll struct {
	r        *Repository
	infos    []store.Info
	verified *sealed.Vouched
	listed   map[index.ObjectID]bool // made when it is asked for
}

// Roll lists the archives.
func (r *Repository) Roll(ctx context.Context) (*Roll, error) {
	verified, err := r.Believe(ctx)
	if err != nil {
		return nil, err
	}
	infos, err := r.ListRecords(ctx, "archive")
	if err != nil {
		return nil, err
	}
	return &Roll{r: r, infos: infos, verified: verified}, nil
}

// Has reports whether an archive was listed, readable or not.
func (l *Roll) Has(id index.ObjectID) bool {
	if l.listed == nil {
		l.listed = make(map[index.ObjectID]bool, len(l.infos))
		for _, info := range l.infos {
			if id, ok := store.SumOf(info.Name); ok {
				l.listed[id] = true
			}
		}
	}
	return l.listed[id]
}

// HostOf returns the host of the one archive whose id begins so, if there is one and this machine has read it before.
func (l *Roll) HostOf(prefix string) (host string, ok bool) {
	found := 0
	for _, info := range l.infos {
		if strings.HasPrefix(strings.TrimPrefix(info.Name, "archive/"), prefix) {
			found++
			host, _, ok = l.r.Known(info)
		}
	}
	return host, ok && found == 1
}

// Remembered returns the archives of a host, of all if it is "", that this machine has read before, in no order. The store is not asked: what they say is
// what their host signed, and how they stand is not worked out.
func (l *Roll) Remembered(host string) iter.Seq[*Archive] {
	return func(yield func(*Archive) bool) {
		for _, info := range l.r.Of(l.infos, host) {
			content, ok := l.r.Remembered("archive", info)
			a := &Archive{ID: strings.TrimPrefix(info.Name, "archive/")}
			if !ok || a.Decode(content) != nil || host != "" && a.Host != host {
				continue
			}
			if !yield(a) {
				return
			}
		}
	}
}

// Archives returns the archives of a host, of all if it is "", oldest first. damaged is told of each that cannot be read, and may be of that host.
func (l *Roll) Archives(ctx context.Context, host string, damaged func(name string, err error)) ([]Archive, error) {
	all, contents, err := l.read(ctx, l.r.Of(l.infos, host), damaged)
	if err != nil {
		return nil, err
	}
	if host != "" {
		all = slices.DeleteFunc(all, func(a Archive) bool { return a.Host != host })
	}
	slices.SortFunc(all, func(a, b Archive) int { return older(&a, &b) })
	arrived, err := l.r.arrived(ctx, all)
	if err != nil {
		return nil, err
	}
	stand(all, contents, arrived)
	return all, nil
}

// read reads archives, and returns with them what each says.
func (l *Roll) read(ctx context.Context, infos []store.Info, damaged func(name string, err error)) (all []Archive, contents map[string][sha256.Size]byte, err error) {
	contents = map[string][sha256.Size]byte{}
	err = l.r.ReadRecords(ctx, infos, func(x sealed.Record) error {
		a := Archive{ID: x.ID.String(), Signer: string(x.Signer)}
		if x.Err == nil {
			x.Err = a.Decode(x.Content)
		}
		if x.Err == nil {
			x.Err = l.r.checkHost(&a.Record, x.Signer)
		}
		a.set(Verified, l.verified.Late[x.ID])
		a.set(rooted, l.verified.Dated[x.ID])
		if l.r.StandAt(&a, x.Time); x.Err == nil && !a.Counts() {
			l.r.StandAt(&a, l.r.FirstStored(ctx, x.Info))
		}
		switch {
		case errors.Is(x.Err, ErrUnavailable): // that says nothing about the archive
			return x.Err
		case x.Err != nil:
			damaged(x.Name, x.Err)
		default:
			all, contents[a.ID] = append(all, a), sha256.Sum256(x.Content)
		}
		return nil
	})
	return all, contents, err
}
