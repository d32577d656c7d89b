// Package repo is a repository: what is stored in it and what that means.
//
// A Repository is opened with a Keyring, which says whom to believe, and a key, which opens the metadata. A Writer takes
// chunks, trees and lists, stores each once, and commits with an archive, the last object written; a Reader takes ids and
// delivers chunks, out of order and checked. Neither callers nor callees see the other side: above, nobody knows of
// frames and packs; below, nobody knows of files.
//
// Invariants: nothing is released before it is authenticated; an index names only what is stored; an archive is
// written after all that it needs. doc/format.md is the format.
package repo

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/internal/rules"
	"nightjar/internal/tempdir"
	"nightjar/internal/versioned"
	"nightjar/repo/blocks"
	"nightjar/repo/index"
	"nightjar/repo/keyring"
	"nightjar/repo/ledger"
	"nightjar/repo/lists"
	"nightjar/repo/pack"
	"nightjar/repo/record"
	"nightjar/repo/store"
)

// FormatVersion is the version that this package writes and reads.
const FormatVersion = versioned.Version

// Errors that callers branch on.
var (
	ErrNoRepository = keyring.ErrNoRepository
	ErrExists       = errors.New("a repository is there already")
	ErrVersion      = versioned.ErrNewer
	ErrNoArchive    = errors.New("no such archive")
	ErrUnavailable  = store.ErrUnavailable // not a chunk is missing: the store is
)

// Options say how a Repository works.
type Options struct {
	IndexDir    string           // folder of the local index; a cache
	BlockDir    string           // folder of metadata that was read or written; a cache. "": none, which is best for a store on this machine
	BlockLimit  int64            // bytes in BlockDir
	Connections int              // objects sent or read at the same time; 0: 4
	Compression pack.Level       // of content that is written
	Now         func() time.Time // nil: time.Now
	Random      io.Reader        // nil: crypto/rand
	Warn        func(error)      // told what is wrong but stops nothing; nil: nobody
	Trust       []string         // names of hosts besides this one whose chunks a backup builds on
	Temp        tempdir.Dir      // for what does not fit in memory
	Without     rules.Without    // zero but in the simulation
}

func (o *Options) fill() {
	if o.Connections == 0 {
		o.Connections = 4
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.Warn == nil {
		o.Warn = func(error) {}
	}
}

// A Repository is an open repository. It is safe for concurrent use.
type Repository struct {
	store   store.Store
	keys    *keyring.Keyring
	options Options
	config  config
	host    *crypto.Key // signs what is written; nil: reading only

	metadata *crypto.Opener             // holds the metadata keys' secret halves
	signers  map[string][]crypto.Signer // by kind of object

	content struct {
		sync.RWMutex
		opener *crypto.Opener // nil until UnlockContent, as root
		root   *crypto.Key
	}
	index struct {
		sync.Mutex
		*index.Index
		mine []listedIndex // what this host has signed and is known, as of the last sync
	}
	lists         atomic.Pointer[lists.Set] // of prune, as of the last sync
	packs         *ledger.Ledger            // through which packs and archives are read
	blocks        *blocks.Cache             // of metadata packs, as they are stored
	decompressors sync.Pool
	unrecovered   sync.Once // told that older versions cannot be looked for
}

// Open opens the repository that keys were read from, for its metadata. opener holds the host key or a recovery key.
func Open(ctx context.Context, s store.Store, keys *keyring.Keyring, opener keyring.Decrypter, o Options) (*Repository, error) {
	secrets, err := keys.OpenMetadata(ctx, opener)
	if err != nil {
		return nil, err
	}
	return open(ctx, s, keys, secrets, o)
}

// OpenContent opens the repository for everything, content included. recovery holds a recovery key, and is asked once: it may be a smartcard.
func OpenContent(ctx context.Context, s store.Store, keys *keyring.Keyring, recovery keyring.Decrypter, o Options) (*Repository, error) {
	secrets, err := keys.OpenSecrets(ctx, recovery)
	if err != nil {
		return nil, err
	}
	r, err := open(ctx, s, keys, secrets, o)
	if err != nil {
		return nil, err
	}
	r.unlock(secrets)
	return r, nil
}

func open(ctx context.Context, s store.Store, keys *keyring.Keyring, secrets []*crypto.Key, o Options) (*Repository, error) {
	o.fill()
	r := &Repository{store: s, keys: keys, options: o, metadata: crypto.NewOpener(secrets...), signers: map[string][]crypto.Signer{}}
	for _, kind := range kinds {
		r.signers[kind] = keys.Signers(kind)
	}
	if err := r.load(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// ClaimCopy returns what says of a place that it is a copy of the repository. It needs UnlockContent, as the root signs that.
func (r *Repository) ClaimCopy(place string) ([]byte, error) {
	root := r.root()
	if root == nil {
		return nil, errors.New("claim that a place is a copy: it takes a recovery key")
	}
	return r.keys.ClaimCopy(place, root, r.options.Now())
}

// In returns the same repository as it is in another store, with the same keys and without a cache.
func (r *Repository) In(ctx context.Context, s store.Store) (*Repository, error) {
	o := r.options
	o.IndexDir, o.BlockDir = "", ""
	other := &Repository{store: s, keys: r.keys, options: o, host: r.host, metadata: r.metadata, signers: r.signers}
	r.content.RLock()
	other.content.opener, other.content.root = r.content.opener, r.content.root
	r.content.RUnlock()
	if err := other.load(ctx); err != nil {
		return nil, err
	}
	return other, nil
}

// load reads the config and makes what every use takes.
func (r *Repository) load(ctx context.Context) error {
	o := r.options
	r.packs = ledger.New(r.store)
	r.blocks = blocks.New(r.packs, blocks.Options{Dir: o.BlockDir, Limit: o.BlockLimit, Warn: o.Warn})
	r.decompressors.New = func() any {
		d, err := pack.NewDecompressor()
		if err != nil {
			return err
		}
		return d
	}
	object, err := store.ReadAll(ctx, r.store, configName, configMax)
	if err != nil {
		err = fmt.Errorf("read config: %w", missing(err))
	} else {
		err = r.openConfig(object)
	}
	if err != nil && !errors.Is(err, ErrUnavailable) {
		if _, ok := r.recover(ctx, configName, func(object []byte) bool { return r.openConfig(object) == nil }); ok {
			return nil
		}
	}
	return err
}

// missing makes an object that should be there and is not, or not all of it, a question of integrity.
func missing(err error) error {
	if errors.Is(err, store.ErrNotExist) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %w", err, crypto.ErrIntegrity)
	}
	return err
}

// ID returns the repository's id, 32 hex digits.
func (r *Repository) ID() string { return r.keys.ID() }

// Without says which rules of prune and backups beside it are left out; none but in the simulation.
func (r *Repository) Without() rules.Without { return r.options.Without }

// Keys returns the keyring that the repository was opened with.
func (r *Repository) Keys() *keyring.Keyring { return r.keys }

// SetHost makes the repository writable as the host whose key this is, as far as its roles go.
func (r *Repository) SetHost(key *crypto.Key) error {
	if key.Locked() || !key.HasSecret() {
		return fmt.Errorf("use host key %s: %w", key.Fingerprint(), crypto.ErrPassphrase)
	}
	if err := key.Signs(r.options.Now()); err != nil {
		return fmt.Errorf("use host key: %w", err)
	}
	if _, err := r.keys.HostName(key.Fingerprint()); err != nil {
		return err
	}
	r.host = key
	return nil
}

// UnlockContent opens the content key, which only a recovery key can.
func (r *Repository) UnlockContent(ctx context.Context, recovery keyring.Decrypter) error {
	secrets, err := r.keys.OpenSecrets(ctx, recovery)
	if err != nil {
		return err
	}
	r.unlock(secrets)
	return nil
}

func (r *Repository) unlock(secrets []*crypto.Key) {
	r.content.Lock()
	defer r.content.Unlock()
	r.content.opener = crypto.NewOpener(secrets...)
	for _, key := range secrets {
		if key.Fingerprint() == r.keys.Root().Fingerprint() {
			r.content.root = key
		}
	}
}

// Namer returns a Namer for content, for one goroutine.
func (r *Repository) Namer() *chunk.Namer { return chunk.NewNamer(r.config.secret, chunk.Content) }

// Rule says where content is cut.
func (r *Repository) Rule() chunk.Rule { return r.config.rule }

// NameKey returns the key by which directories are cut.
func (r *Repository) NameKey() []byte { return r.config.secret.Key(chunk.Names) }

// Chunks returns how many places of chunks, trees and lists the local index knows, those too that prune has dropped. It is 0 before the first SyncIndex.
func (r *Repository) Chunks() int64 {
	r.index.Lock()
	defer r.index.Unlock()
	if r.index.Index == nil {
		return 0
	}
	return r.index.Entries()
}

// Close ends the use of the local index.
func (r *Repository) Close() error {
	r.index.Lock()
	defer r.index.Unlock()
	if r.index.Index == nil {
		return nil
	}
	return r.index.Index.Close()
}

func (r *Repository) binding(kind string) crypto.Binding {
	return crypto.Binding{Repository: r.keys.ID(), Kind: kind, Version: FormatVersion}
}

// objectName returns where an object of a kind with this content lies.
func objectName(kind string, object []byte) string {
	sum := sha256.Sum256(object)
	return nameOf(kind, sum)
}

func nameOf(kind string, sum [32]byte) string {
	h := hex.EncodeToString(sum[:])
	if kind == pack.Content.String() || kind == pack.Metadata.String() {
		return kind + "/" + h[:2] + "/" + h
	}
	return kind + "/" + h
}

// sumOf returns the hash that a name ends with.
func sumOf(name string) (sum [32]byte, ok bool) {
	return store.SumOf(name)
}

// record reads and opens one record: a small sealed object named by its hash. If it takes an older version, info becomes that one's; its time becomes the home's.
func (r *Repository) record(ctx context.Context, info *store.Info) (content []byte, opened crypto.Opened, err error) {
	kind, _, _ := strings.Cut(info.Name, "/")
	object, err := r.recordObject(ctx, kind, *info)
	if errors.Is(err, crypto.ErrIntegrity) {
		if older, ok := r.Recover(ctx, info.Name); ok {
			*info = older
			object, err = r.recordObject(ctx, kind, older)
		}
	}
	if err == nil {
		info.Time, err = store.HomeTime(ctx, r.store, *info)
	}
	if err != nil {
		return nil, opened, fmt.Errorf("read %s: %w", info.Name, err)
	}
	return r.openRecord(kind, *info, object)
}

// openRecord is record for an object that has the hash in its name.
func (r *Repository) openRecord(kind string, info store.Info, object []byte) (content []byte, opened crypto.Opened, err error) {
	if opened, err = r.openSealed(object, r.signers[kind], kind, info.Time); err != nil {
		return nil, opened, fmt.Errorf("open %s: %w", info.Name, err)
	}
	if content, err = r.decompressRecord(opened.Plain); err != nil {
		return nil, opened, fmt.Errorf("open %s: %w", info.Name, err)
	}
	return content, opened, nil
}

// readAlways are the kinds of which many runs read all: so they are kept on this machine.
var readAlways = []string{"archive", record.ForgetKind, record.VerifiedKind, record.CondemnedKind, record.DroppedKind, record.LostKind}

// recordObject returns a record as it is stored, with the right hash.
func (r *Repository) recordObject(ctx context.Context, kind string, info store.Info) ([]byte, error) {
	sum, ok := sumOf(info.Name)
	if slices.Contains(readAlways, kind) && ok && info.Size > 0 && info.Size <= blocks.Size {
		x := blocks.Object{Sum: sum, Name: info.Name, Size: info.Size}
		object, err := r.blocks.Read(ctx, x, 0, x.Size, nil)
		if err == nil && sha256.Sum256(object) == sum {
			return object, nil
		}
		r.blocks.Forget(x, 0, x.Size)
	}
	if info.Size > store.MaxObject {
		return nil, fmt.Errorf("%d bytes: %w: %w", info.Size, store.ErrTooLarge, crypto.ErrIntegrity)
	}
	object := make([]byte, info.Size)
	err := r.store.GetInto(ctx, info.Name, 0, object)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, missing(err) // it has become another since it was listed
	}
	if err == nil && objectName(kind, object) != info.Name {
		err = fmt.Errorf("its bytes do not have that hash: %w", crypto.ErrIntegrity)
	}
	return object, err
}

// openSealed opens what must be sealed to this repository's metadata key.
func (r *Repository) openSealed(object []byte, signers []crypto.Signer, kind string, at time.Time) (crypto.Opened, error) {
	opened, err := r.metadata.Open(object, signers, r.binding(kind), at)
	if errors.Is(err, crypto.ErrNoKey) { // the key is at hand, so the object is from elsewhere
		err = fmt.Errorf("it is not sealed to this repository's metadata key: %w", crypto.ErrIntegrity)
	}
	return opened, err
}

func (r *Repository) decompressRecord(plain []byte) ([]byte, error) {
	d, err := r.decompressor()
	if err != nil {
		return nil, err
	}
	defer r.decompressors.Put(d)
	return d.Record(plain)
}

func (r *Repository) decompressor() (*pack.Decompressor, error) {
	switch d := r.decompressors.Get().(type) {
	case *pack.Decompressor:
		return d, nil
	case error:
		return nil, d
	default:
		return nil, fmt.Errorf("decompressor of type %T", d)
	}
}

// sealRecord makes a record of content: sealed to the metadata key and signed.
func sealRecord(metadata, signer *crypto.Key, b crypto.Binding, content []byte, o Options) ([]byte, error) {
	c, err := pack.NewCompressor(pack.Default)
	if err != nil {
		return nil, err
	}
	sealer, err := crypto.NewSealer(metadata, signer, b, o.Random, o.Now)
	if err != nil {
		return nil, err
	}
	sealed, err := sealer.Seal(c.AppendRecord(nil, content))
	if err != nil {
		return nil, err
	}
	return sealed.Object, nil
}

// PutRecord seals a record and stores it. It signs as this host, if its role suffices for the kind, and else as the root, if UnlockContent has been called.
func (r *Repository) PutRecord(ctx context.Context, kind string, content []byte) (store.Info, error) {
	signer, err := r.signer(ctx, kind)
	if err != nil {
		return store.Info{}, fmt.Errorf("sign %s: %w", kind, err)
	}
	return r.putRecord(ctx, signer, kind, content)
}

// MayPut reports why PutRecord would not sign a record of this kind; nil if it would.
func (r *Repository) MayPut(ctx context.Context, kind string) error {
	if _, err := r.signer(ctx, kind); err != nil {
		return fmt.Errorf("sign %s: %w", kind, err)
	}
	return nil
}

func (r *Repository) signer(ctx context.Context, kind string) (*crypto.Key, error) {
	err := errors.New("no host key")
	if r.host != nil {
		now, failed := storeTime(ctx, r.store, r.options)
		if failed != nil {
			return nil, failed
		}
		if err = r.keys.MayWrite(r.host.Fingerprint(), kind, now); err == nil {
			return r.host, nil
		}
	}
	if root := r.root(); root != nil && keyring.RootMayWrite(kind) {
		return root, nil
	}
	return nil, err
}

// root returns the root key with its secret half, nil before UnlockContent.
func (r *Repository) root() *crypto.Key {
	r.content.RLock()
	defer r.content.RUnlock()
	return r.content.root
}

// putRecord seals a record and stores it, signed by a key of which it is known that it may.
func (r *Repository) putRecord(ctx context.Context, signer *crypto.Key, kind string, content []byte) (store.Info, error) {
	metadata, err := r.keys.MetadataKey()
	if err != nil {
		return store.Info{}, err
	}
	object, err := sealRecord(metadata, signer, r.binding(kind), content, r.options)
	if err != nil {
		return store.Info{}, fmt.Errorf("seal %s: %w", kind, err)
	}
	info, err := r.store.Put(ctx, objectName(kind, object), object)
	if err != nil {
		return store.Info{}, fmt.Errorf("store %s: %w", kind, err)
	}
	return info, nil
}

// isRecordName reports whether name is that of a record of the kind, and no stranger.
func isRecordName(kind, name string) bool {
	sum, ok := sumOf(name)
	return ok && nameOf(kind, sum) == name
}
