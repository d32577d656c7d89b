package repo

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/repo/index"
	"nightjar/repo/keyring"
	"nightjar/repo/pack"
	"nightjar/repo/store"
)

// What maintenance needs of a repository: its objects as they are stored, one by one.

// kinds are the folders of objects that are named by their hash.
var kinds = []string{"content", "metadata", "index", "archive", "forget", "verified", "lost", "condemned", "dropped"}

// Kind returns what an object of this name should be, by its folder, or "" if the format has no such name.
func Kind(name string) string {
	if name == configName {
		return configName
	}
	if _, ok := keyring.Number(name); ok {
		return "keys"
	}
	kind, _, ok := strings.Cut(name, "/")
	if !ok || !isRecordName(kind, name) {
		return ""
	}
	if slices.Contains(kinds, kind) {
		return kind
	}
	return ""
}

// ObjectID returns the hash in an object's name.
func ObjectID(name string) (index.ObjectID, error) { return index.ParseObjectID(path.Base(name)) }

// PackName returns where a pack lies.
func PackName(kind pack.Kind, id index.ObjectID) string { return nameOf(kind.String(), id) }

// Store returns the store.
func (r *Repository) Store() store.Store { return r.store }

// CanReadContent reports whether UnlockContent has been called.
func (r *Repository) CanReadContent() bool {
	r.content.RLock()
	defer r.content.RUnlock()
	return r.content.opener != nil
}

// Record reads, verifies and returns the content of any record, and who signed it.
func (r *Repository) Record(ctx context.Context, info store.Info) (content []byte, signer crypto.Fingerprint, err error) {
	x := r.read(ctx, info)
	return x.Content, x.Signer, x.Err
}

// A Record is one record as it was read, or why it could not be. Its time is the home's.
type Record struct {
	store.Info
	ID      index.ObjectID
	Content []byte
	Signer  crypto.Fingerprint
	Err     error

	disowned []byte // with an ErrDisowned: the content
}

// Records calls f for each record of a kind (archive, index, forget, condemned, …), in the order in which the store lists them. Only one is in memory at a time.
func (r *Repository) Records(ctx context.Context, kind string, f func(Record) error) error {
	infos, err := r.listRecords(ctx, kind)
	if err != nil {
		return err
	}
	for _, info := range infos {
		x := r.read(ctx, info)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := f(x); err != nil {
			return err
		}
	}
	return nil
}

// listRecords returns what there is of a kind.
func (r *Repository) listRecords(ctx context.Context, kind string) ([]store.Info, error) {
	var infos []store.Info
	err := r.store.List(ctx, kind+"/", func(i store.Info) error {
		if isRecordName(kind, i.Name) {
			infos = append(infos, i)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list %s objects: %w", kind, err)
	}
	return infos, nil
}

func (r *Repository) read(ctx context.Context, info store.Info) Record {
	content, opened, err := r.record(ctx, &info)
	return newRecord(info, content, opened, err)
}

func newRecord(info store.Info, content []byte, opened crypto.Opened, err error) Record {
	sum, _ := sumOf(info.Name)
	x := Record{Info: info, ID: sum, Content: content, Signer: opened.Signer, Err: err}
	if err != nil {
		x.Content, x.disowned = nil, content
	}
	return x
}

// An IndexRecord is one index object as it was read, or why it could not be.
type IndexRecord struct {
	Record
	Object index.Object
	Late   bool // the store dated it otherwise than it says of itself: it counts for nothing
}

// IndexObjects calls f for each index object in the repository, those that count for nothing or are replaced too. Only one is in memory at a time.
func (r *Repository) IndexObjects(ctx context.Context, f func(IndexRecord) error) error {
	return r.Records(ctx, "index", func(x Record) error { return f(r.indexRecord(ctx, x)) })
}

// indexRecord parses an index object that the store has.
func (r *Repository) indexRecord(ctx context.Context, x Record) IndexRecord {
	record := indexRecord(x)
	if record.Late && !record.Object.Time.IsZero() {
		record.Time = r.firstStored(ctx, x.Info)
		record.Late = skewed(record.Object.Time, record.Time)
	}
	return record
}

// OpenIndex opens an index object that has the hash in its name, and need not be in the store. It overwrites it.
func (r *Repository) OpenIndex(info store.Info, object []byte) IndexRecord {
	content, opened, err := r.openRecord("index", info, object)
	return indexRecord(newRecord(info, content, opened, err))
}

func indexRecord(x Record) IndexRecord {
	var object index.Object
	if x.Err == nil {
		if object, x.Err = index.ParseObject(x.Content); x.Err != nil {
			x.Err = fmt.Errorf("open %s: %w: %w", x.Name, x.Err, crypto.ErrIntegrity)
		}
	}
	return IndexRecord{x, object, x.Err == nil && skewed(object.Time, x.Time)}
}

// Runs are the store times of the newest index object of each run that sent packs.
type Runs map[RunID]time.Time

// RunID names a run.
type RunID struct {
	Signer crypto.Fingerprint
	Begin  time.Time // store time of its first view
}

// Add notes what an index object says of runs. A merged one has kept the times of those that it stands for.
func (n Runs) Add(x IndexRecord) {
	if x.Err != nil || x.Late {
		return
	}
	for _, run := range x.Object.Runs {
		at := run.Time
		if at.IsZero() {
			at = x.Time
		}
		id := RunID{x.Signer, run.Begin}
		if at.After(n[id]) {
			n[id] = at
		}
	}
}

// TrySession reports why a pack's session key does not open with the keys at hand; nil if it does.
func (r *Repository) TrySession(p *index.PackInfo) error {
	opener := r.metadata
	if p.Kind == pack.Content {
		r.content.RLock()
		opener = r.content.opener
		r.content.RUnlock()
	}
	if opener == nil {
		return fmt.Errorf("content is sealed to the recovery keys: %w", crypto.ErrNoKey)
	}
	_, err := opener.SessionKey(p.Session)
	return err
}

// Locations returns all places of a chunk, tree or list that are not dropped, in the forms given; without any, of content stored as itself.
func (rd *Reader) Locations(ctx context.Context, id chunk.ID, types ...pack.Type) ([]index.Location, error) {
	if len(types) == 0 {
		types = []pack.Type{pack.WholeContent}
	}
	return rd.locate(ctx, id, types...)
}

// LocationsOf is Locations for the half of an id that a pack knows.
func (rd *Reader) LocationsOf(ctx context.Context, key chunk.Key, types ...pack.Type) ([]index.Location, error) {
	var id chunk.ID
	copy(id[:], key[:])
	return rd.locate(ctx, id, types...)
}

// NewReaderOf is NewReader, and knows packs, too, that no index object names.
func (r *Repository) NewReaderOf(ctx context.Context, packs []index.Pack) (*Reader, error) {
	rd, err := r.NewReader(ctx)
	if err != nil || len(packs) == 0 {
		return rd, err
	}
	o := &index.Object{Runs: []index.Run{{Packs: packs}}}
	// The next sync forgets it, since the store has no such object.
	if err := r.index.Add(index.Source{Object: sha256.Sum256(o.Append(nil)), Signer: nobody}, o); err != nil {
		return nil, err
	}
	return rd, nil
}

// Tree returns a tree of which half the id is known, and all of the id.
func (rd *Reader) Tree(ctx context.Context, key chunk.Key) (id chunk.ID, data []byte, err error) {
	locations, err := rd.LocationsOf(ctx, key, pack.WholeTree, pack.RecipeFor+pack.WholeTree)
	if err == nil && len(locations) == 0 {
		err = ErrMissing
	}
	for _, at := range locations {
		if at.Type != pack.WholeTree {
			data, err = rd.rebuildMetadata(ctx, at)
		} else if data, err = rd.frame(ctx, at); err == nil {
			data = blobIn(data, at)
		}
		if err == nil {
			if err = rd.checkHalf(key, data, pack.WholeTree); err == nil {
				return rd.name(data, pack.WholeTree), data, nil
			}
		}
	}
	return id, nil, fmt.Errorf("read tree %x: %w", key, err)
}

// sourcesAt returns the whole chunks on which the recipe leans that lies there.
func (rd *Reader) sourcesAt(ctx context.Context, at index.Location) ([]chunk.ID, error) {
	r, err := rd.readRecipe(ctx, at)
	if err != nil {
		return nil, err
	}
	var ids []chunk.ID
	for n := range len(r.Sources) + 1 {
		if s := r.Source(n); s.Length > 0 {
			ids = append(ids, s.ID)
		}
	}
	return ids, nil
}

// A Base is a whole chunk, tree or list on which a recipe leans.
type Base struct {
	ID     chunk.ID
	Places []index.Location // those that serve the recipe
}

// BasesAt returns what the recipe leans on that lies there.
func (rd *Reader) BasesAt(ctx context.Context, at index.Location) ([]Base, error) {
	ids, err := rd.sourcesAt(ctx, at)
	if err != nil {
		return nil, err
	}
	all := make([]Base, len(ids))
	for i, id := range ids {
		places, err := rd.bases(ctx, id, at.Type-pack.RecipeFor)
		if err != nil {
			return nil, err
		}
		all[i] = Base{id, places}
	}
	return all, nil
}

// Sources returns what the recipes of a chunk of content lean on: for each recipe that can be read, its whole chunks.
func (rd *Reader) Sources(ctx context.Context, id chunk.ID) ([][]chunk.ID, error) {
	locations, err := rd.locate(ctx, id, pack.RecipeFor+pack.WholeContent)
	if err != nil {
		return nil, err
	}
	var all [][]chunk.ID
	for _, at := range locations {
		ids, err := rd.sourcesAt(ctx, at)
		if errors.Is(err, ErrUnavailable) || ctx.Err() != nil {
			return nil, errors.Join(err, ctx.Err())
		}
		if err == nil {
			all = append(all, ids)
		}
	}
	return all, nil
}

// Places returns the packs, of those that are there, from which a chunk of content, or a tree or list, can be read: those that hold it, and those of recipes for it
// with all that they lean on. It is an ErrMissing if they do not suffice.
func (rd *Reader) Places(ctx context.Context, id chunk.ID, kind pack.Kind, there func(index.ObjectID) bool) ([]index.ObjectID, error) {
	types := []pack.Type{pack.WholeTree, pack.WholeList}
	if kind == pack.Content {
		types = []pack.Type{pack.WholeContent}
	}
	packsOf := func(all []index.Location) (packs []index.ObjectID) {
		for _, at := range all {
			if there(at.Pack.ID) {
				packs = append(packs, at.Pack.ID)
			}
		}
		return packs
	}
	var packs []index.ObjectID
	for _, t := range types {
		whole, err := rd.locate(ctx, id, t)
		if err != nil {
			return nil, err
		}
		packs = append(packs, packsOf(whole)...)
		recipes, err := rd.locate(ctx, id, pack.RecipeFor+t)
		if err != nil {
			return nil, err
		}
	recipes:
		for _, at := range recipes {
			if !there(at.Pack.ID) {
				continue
			}
			r, err := rd.readRecipe(ctx, at)
			if errors.Is(err, ErrUnavailable) || ctx.Err() != nil {
				return nil, errors.Join(err, ctx.Err())
			}
			if err != nil {
				continue
			}
			all := []index.ObjectID{at.Pack.ID}
			for n := range len(r.Sources) + 1 {
				s := r.Source(n)
				if s.Length == 0 {
					continue
				}
				bases, err := rd.bases(ctx, s.ID, t)
				if err != nil {
					return nil, err
				}
				found := packsOf(bases)
				if len(found) == 0 {
					continue recipes
				}
				all = append(all, found...)
			}
			packs = append(packs, all...)
		}
	}
	if len(packs) == 0 {
		return nil, fmt.Errorf("find %v: %w", id, ErrMissing)
	}
	return packs, nil
}

// CheckFrames compares a pack's frames with what its index says of their stored bytes, and returns which differ. It needs no key.
func CheckFrames(object []byte, p *index.Pack) (damaged []int) {
	e := crypto.Envelope{Session: p.Session, Stream: p.Stream, Data: p.Data}
	offset := int64(0)
	for i, f := range p.Directory.Frames {
		start, length := e.Span(offset, int64(f.Stored))
		if start+length > int64(len(object)) || sha256.Sum256(object[start:start+length]) != p.Hashes[i] {
			damaged = append(damaged, i)
		}
		offset += int64(f.Stored)
	}
	return damaged
}

// blobs opens the frames of a stored pack that are as its index says, and hands their blobs, checked, to f.
func (rd *Reader) blobs(object []byte, p *index.Pack, f func(b pack.Blob, data []byte) error) error {
	info := index.PackInfo{ID: p.ID, Kind: p.Directory.Kind, Size: p.Size, Session: p.Session, Stream: p.Stream, Data: p.Data}
	damaged := CheckFrames(object, p)
	offset := int64(0)
	for i, frame := range p.Directory.Frames {
		at := index.Location{Pack: &info, Frame: i, FrameOffset: offset, Stored: frame.Stored, Plain: frame.Plain, Hash: p.Hashes[i]}
		offset += int64(frame.Stored)
		if slices.Contains(damaged, i) {
			continue
		}
		start, length := envelope(at).Span(at.FrameOffset, int64(at.Stored))
		data, err := rd.decode(at, append([]byte(nil), object[start:start+length]...), nil)
		if err == nil {
			err = rd.r.checkBlobs(data, frame)
		}
		if errors.Is(err, crypto.ErrIntegrity) {
			continue
		}
		if err != nil {
			return err
		}
		for _, b := range frame.Blobs {
			if err := f(b, data[:b.Length]); err != nil {
				return err
			}
			data = data[b.Length:]
		}
	}
	return nil
}

// OpenPack opens a whole pack, which it overwrites: signature, directory, and the keyed hash of every chunk that has one. It returns what an index says of the pack.
// Content packs need the content key.
func (r *Repository) OpenPack(ctx context.Context, info store.Info, object []byte) (*index.Pack, error) {
	p, _, err := r.openPack(ctx, info, object)
	return p, err
}

// openPack is OpenPack that returns the pack's plaintext, too.
func (r *Repository) openPack(ctx context.Context, info store.Info, object []byte) (*index.Pack, []byte, error) {
	kind, _, _ := strings.Cut(info.Name, "/")
	sum := sha256.Sum256(object)
	if nameOf(kind, sum) != info.Name {
		return nil, nil, fmt.Errorf("its bytes do not have that hash: %w", crypto.ErrIntegrity)
	}
	opener := r.metadata
	if kind == pack.Content.String() {
		r.content.RLock()
		opener = r.content.opener
		r.content.RUnlock()
		if opener == nil {
			return nil, nil, fmt.Errorf("content is sealed to the recovery keys: %w", crypto.ErrNoKey)
		}
	}
	at, err := store.HomeTime(ctx, r.store, info)
	if err != nil {
		return nil, nil, err
	}
	// Opening overwrites what the spans are hashed over.
	sealed := append([]byte(nil), object...)
	opened, err := opener.Open(object, r.signers[kind], r.binding(kind), at)
	if errors.Is(err, crypto.ErrIntegrity) {
		if first := r.firstStored(ctx, info); first.Before(at) {
			opened, err = opener.Open(append([]byte(nil), sealed...), r.signers[kind], r.binding(kind), first)
		}
	}
	if err == nil {
		err = r.disowned(opened.Signer, sum)
	}
	if err != nil {
		return nil, nil, err
	}
	d, err := pack.Parse(opened.Plain)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", err, crypto.ErrIntegrity)
	}
	if d.Kind.String() != kind {
		return nil, nil, fmt.Errorf("it says that it is a %v pack: %w", d.Kind, crypto.ErrIntegrity)
	}
	e := opened.Envelope
	p := &index.Pack{
		ID: sum, Size: int64(len(sealed)), Session: append([]byte(nil), e.Session...), Stream: e.Stream, Data: e.Data, Directory: d,
	}
	offset := int64(0)
	for _, f := range d.Frames {
		start, length := e.Span(offset, int64(f.Stored))
		p.Hashes = append(p.Hashes, sha256.Sum256(sealed[start:start+length]))
		if err := r.checkFrame(opened.Plain[offset:offset+int64(f.Stored)], f); err != nil {
			return nil, nil, err
		}
		offset += int64(f.Stored)
	}
	return p, opened.Plain, nil
}

// checkFrame decodes a frame and compares its chunks' keyed hashes.
func (r *Repository) checkFrame(stored []byte, f pack.Frame) error {
	d, err := r.decompressor()
	if err != nil {
		return err
	}
	defer r.decompressors.Put(d)
	data, err := d.Frame(nil, stored, f.Plain)
	if err != nil {
		return fmt.Errorf("%w: %w", err, crypto.ErrIntegrity)
	}
	return r.checkBlobs(data, f)
}

func (r *Repository) checkBlobs(data []byte, f pack.Frame) error {
	content, metadata := r.Namer(), chunk.NewNamer(r.config.secret, chunk.Metadata)
	for _, b := range f.Blobs {
		namer := metadata
		switch b.Type {
		case pack.WholeContent:
			namer = content
		case pack.WholeTree, pack.WholeList:
		default: // named after what it rebuilds or describes
			namer = nil
		}
		if namer != nil && namer.ID(data[:b.Length]).Key() != b.Key {
			return fmt.Errorf("chunk %x does not have that keyed hash: %w", b.Key, crypto.ErrIntegrity)
		}
		data = data[b.Length:]
	}
	return nil
}

// AddIndex stores an index object as the root, whose word every host takes. It needs UnlockContent.
func (r *Repository) AddIndex(ctx context.Context, o *index.Object) (store.Info, error) {
	root := r.root()
	if root == nil {
		return store.Info{}, errors.New("store index: it takes a recovery key")
	}
	now := func() (time.Time, error) { return storeTime(ctx, r.store, r.options) }
	return inTime(now, func(at time.Time) (store.Info, error) {
		o.Time = at
		return r.putRecord(ctx, root, "index", o.Append(nil))
	})
}

// AddReadersIndex stores an index object without a time, so that it is late: readers find by it what they look for, and no backup builds on it.
func (r *Repository) AddReadersIndex(ctx context.Context, o *index.Object) (store.Info, error) {
	o.Time = time.Time{}
	return r.PutRecord(ctx, "index", o.Append(nil))
}
