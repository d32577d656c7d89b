package repair

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"nightjar/chunk"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/pack"
	"nightjar/repo/store"
	"nightjar/repo/tree"
)

// An Orphan is a tree that no archive and no other tree names: what is left of an archive or of a directory that is lost, or of a run that died.
type Orphan struct {
	repo.Root
	Host  string // whose it is: it may be made of what that host's archives may
	Whole bool   // it is the root of an archive, not of a directory in one
}

// Salvage returns a reader that knows all packs that can be opened, whosever they are, indexed or not, and the trees among them that nothing names. archives are those that can be read.
// Packs that cannot be opened are told to damaged. It takes a recovery key, and writes nothing.
func Salvage(ctx context.Context, r *repo.Repository, archives []repo.Archive, damaged func(name string, err error)) (*repo.Reader, []Orphan, error) {
	trees := map[ownTree]bool{}
	note := func(p *index.Pack) error {
		for _, f := range p.Directory.Frames {
			for _, b := range f.Blobs {
				if b.Type == pack.WholeTree || b.Type == pack.RecipeFor+pack.WholeTree {
					trees[ownTree{b.Key, p.Directory.Owner}] = true
				}
			}
		}
		return nil
	}
	known, err := indexed(ctx, r, note)
	if err != nil {
		return nil, nil, err
	}
	var bare []index.Pack
	skip := func(id index.ObjectID) bool {
		_, ok := known[id]
		return ok
	}
	for _, kind := range []pack.Kind{pack.Content, pack.Metadata} {
		err := openPacks(ctx, r, kind, skip, func(info store.Info, p *index.Pack, err error) error {
			if errors.Is(err, repo.ErrUnavailable) {
				return err
			}
			if err != nil {
				damaged(info.Name, err)
				return nil
			}
			bare = append(bare, *p)
			return note(p)
		})
		if err != nil {
			return nil, nil, err
		}
	}
	rd, err := r.NewReaderOf(ctx, bare)
	if err != nil {
		return nil, nil, err
	}
	orphans, err := orphansAmong(ctx, r, rd, trees, archives)
	return rd, orphans, err
}

// An ownTree is a tree in a pack of a host.
type ownTree struct {
	key  chunk.Key
	host string
}

// orphansAmong returns the trees that none of the others names, nor any archive.
func orphansAmong(ctx context.Context, r *repo.Repository, rd *repo.Reader, trees map[ownTree]bool, archives []repo.Archive) ([]Orphan, error) {
	named := map[chunk.Key]bool{}
	for i := range archives {
		named[archives[i].Root.ID.Key()] = true
	}
	readers := map[string]*repo.Reader{}
	all := map[ownTree]Orphan{}
	for of := range trees {
		if readers[of.host] == nil {
			readers[of.host] = rd.For(repo.Of(r.Keys().Circle(of.host, time.Time{})))
		}
		rd := readers[of.host]
		id, data, err := rd.Tree(ctx, of.key)
		if errors.Is(err, repo.ErrUnavailable) || ctx.Err() != nil {
			return nil, errors.Join(err, ctx.Err())
		}
		if err != nil {
			continue
		}
		nodes, err := tree.Decode(data)
		if err != nil {
			continue // the new bytes of a tree that is stored as what changed
		}
		root := repo.Root{ID: id, Length: int64(len(data))}
		all[of] = Orphan{root, of.host, len(nodes) == 1 && nodes[0].Name == "root" && nodes[0].IsDir()}
		for i := range nodes {
			if !nodes[i].IsDir() {
				continue
			}
			err := tree.WalkNew(nodes[i].Contents, rd.Fetcher(ctx), tree.Once(), func(item tree.Item) error {
				named[item.ID.Key()] = true
				return nil
			})
			if errors.Is(err, repo.ErrUnavailable) { // a list that is lost leaves its trees without a parent
				return nil, err
			}
		}
	}
	maps.DeleteFunc(all, func(of ownTree, _ Orphan) bool { return named[of.key] })
	return slices.SortedFunc(maps.Values(all), func(a, b Orphan) int {
		return cmp.Or(slices.Compare(a.ID[:], b.ID[:]), cmp.Compare(a.Host, b.Host))
	}), nil
}
