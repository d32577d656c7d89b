// Package sealed knows the objects of a repository one by one: what each is called, to whom it is sealed, who may sign it, and when
// the store dated it. It seals, signs and stores them, reads, verifies and opens them, and looks for an older version of one that somebody spoilt; and it makes
// the first two.
//
// What a record said when it was opened is kept on this machine, so that it is decrypted and verified once. Whether its signer counts is asked each time.
//
// Invariants: nothing is released before it is authenticated, for its kind, as of this repository; an object has the hash that its name says. doc/format.md, sections 1 to 4.
//
// The package does not know what objects mean together: which index counts, what prune has dropped, where a chunk lies.
package sealed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/internal/versioned"
	"nightjar/repo/blocks"
	"nightjar/repo/keyring"
	"nightjar/repo/ledger"
	"nightjar/repo/pack"
	"nightjar/repo/register"
	"nightjar/repo/store"
)

// Options say how Objects work. All functions are needed.
type Options struct {
	Blocks   blocks.Options // of what is kept on this machine of metadata packs, as they are stored
	Register string         // folder of what is kept on this machine of records that were opened; "": none
	Reread   bool           // records are read and compared with their hashes all the same: it costs little, and damage shows
	Now      func() time.Time
	Random   io.Reader
	Warn     func(error) // told what is wrong but stops nothing
}

// Objects are those of one repository in one store. They are safe for concurrent use.
type Objects struct {
	store   store.Store
	keys    *keyring.Keyring
	options Options
	config  config
	host    *crypto.Key // signs what is written; nil: reading only

	metadata *crypto.Opener                    // holds the metadata keys' secret halves
	content  *crypto.Opener                    // holds the content keys' too; nil but after OpenContent, as root
	root     *crypto.Key                       // with its secret half
	signers  map[string]func() []crypto.Signer // by kind of object, with those whose keys are marked compromised
	marked   map[crypto.Fingerprint]bool
	vouched  atomic.Pointer[Vouched] // as of the opening or the last Believe
	supposed *Vouched                // what verified records are to name; nil: what they do

	ledger        *ledger.Ledger // through which packs and archives are read
	blocks        *blocks.Cache
	register      *register.Register
	decompressors sync.Pool
	unrecovered   sync.Once // told that older versions cannot be looked for
}

// Open opens the objects of the repository that keys were read from, but for content. opener holds the host key or a recovery key.
func Open(ctx context.Context, s store.Store, keys *keyring.Keyring, opener keyring.Decrypter, o Options) (*Objects, error) {
	secrets, err := keys.OpenMetadata(ctx, opener)
	if err != nil {
		return nil, err
	}
	return open(ctx, s, keys, secrets, o)
}

// OpenContent opens all objects. recovery holds a recovery key, and is asked once: it may be a smartcard.
func OpenContent(ctx context.Context, s store.Store, keys *keyring.Keyring, recovery keyring.Decrypter, o Options) (*Objects, error) {
	secrets, err := keys.OpenSecrets(ctx, recovery)
	if err != nil {
		return nil, err
	}
	x, err := open(ctx, s, keys, secrets, o)
	if err != nil {
		return nil, err
	}
	x.content = crypto.NewOpener(secrets...)
	for _, key := range secrets {
		if key.Fingerprint() == keys.Root().Fingerprint() {
			x.root = key
		}
	}
	return x, nil
}

func open(ctx context.Context, s store.Store, keys *keyring.Keyring, secrets []*crypto.Key, o Options) (*Objects, error) {
	x := &Objects{store: s, options: o, metadata: crypto.NewOpener(secrets...)}
	x.setKeys(keys)
	if err := x.load(ctx); err != nil {
		return nil, err
	}
	return x, nil
}

// In returns the same repository's objects as they are in another store, with the same keys and without a cache.
func (s *Objects) In(ctx context.Context, elsewhere store.Store) (*Objects, error) {
	return s.other(ctx, elsewhere, s.keys, nil)
}

func (s *Objects) other(ctx context.Context, elsewhere store.Store, keys *keyring.Keyring, supposed *Vouched) (*Objects, error) {
	o := s.options
	o.Blocks, o.Register = blocks.Options{Warn: o.Warn}, ""
	other := &Objects{store: elsewhere, options: o, host: s.host, metadata: s.metadata, content: s.content, root: s.root, supposed: supposed}
	other.setKeys(keys)
	if err := other.load(ctx); err != nil {
		return nil, err
	}
	return other, nil
}

// load reads what every use takes.
func (s *Objects) load(ctx context.Context) error {
	if err := s.loadConfig(ctx); err != nil {
		return err
	}
	if s.options.Register != "" {
		var err error
		if s.register, err = register.Open(s.options.Register, s.config.secret.Key(noteDomain)); err != nil {
			return err
		}
	}
	return s.loadVerified(ctx)
}

// loadConfig reads the config and makes what every use takes.
func (s *Objects) loadConfig(ctx context.Context) error {
	s.ledger = ledger.New(s.store)
	s.blocks = blocks.New(s.ledger, s.options.Blocks)
	s.register = new(register.Register)
	s.decompressors.New = func() any {
		d, err := pack.NewDecompressor()
		if err != nil {
			return err
		}
		return d
	}
	object, err := store.ReadAll(ctx, s.store, Config, configMax)
	if err != nil {
		err = fmt.Errorf("read config: %w", Missing(err))
	} else {
		err = s.openConfig(object)
	}
	if err != nil && !errors.Is(err, store.ErrUnavailable) {
		if _, ok := s.recover(ctx, Config, func(object []byte) bool { return s.openConfig(object) == nil }); ok {
			return nil
		}
	}
	return err
}

// Missing makes an object that should be there and is not, or not all of it, a question of integrity.
func Missing(err error) error {
	if errors.Is(err, store.ErrNotExist) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %w", err, crypto.ErrIntegrity)
	}
	return err
}

// Store returns the store.
func (s *Objects) Store() store.Store { return s.store }

// Ledger returns the store as packs are read from it: what is read is counted.
func (s *Objects) Ledger() *ledger.Ledger { return s.ledger }

// Blocks returns what is kept on this machine of metadata packs, as they are stored.
func (s *Objects) Blocks() *blocks.Cache { return s.blocks }

// ID returns the repository's id, 32 hex digits.
func (s *Objects) ID() string { return s.keys.ID() }

// Keys returns the keyring that the repository was opened with.
func (s *Objects) Keys() *keyring.Keyring { return s.keys }

// Secret returns what keys the repository's hashes.
func (s *Objects) Secret() chunk.Secret { return s.config.secret }

// Namer returns a Namer for content, for one goroutine.
func (s *Objects) Namer() *chunk.Namer { return chunk.NewNamer(s.config.secret, chunk.Content) }

// Rule says where content is cut.
func (s *Objects) Rule() chunk.Rule { return s.config.rule }

// NameKey returns the key by which directories are cut.
func (s *Objects) NameKey() []byte { return s.config.secret.Key(chunk.Names) }

// SetHost makes the repository writable as the host whose key this is, as far as its roles go. What the key may do, and until when, is taken from the keyring, as readers take it.
func (s *Objects) SetHost(key *crypto.Key) error {
	if key.Locked() || !key.HasSecret() {
		return fmt.Errorf("use host key %s: %w", key.Fingerprint(), crypto.ErrPassphrase)
	}
	certificate, err := s.keys.HostCertificate(key.Fingerprint())
	if err != nil {
		return err
	}
	key = certificate.WithSecrets(key)
	if err := key.Signs(s.options.Now()); err != nil {
		return fmt.Errorf("use host key: %w", err)
	}
	s.host = key
	return nil
}

// Host returns the key of SetHost; nil: none.
func (s *Objects) Host() *crypto.Key { return s.host }

// CanReadContent reports whether a recovery key has opened the repository.
func (s *Objects) CanReadContent() bool { return s.content != nil }

// Root returns the root key with its secret half, nil but after OpenContent.
func (s *Objects) Root() *crypto.Key { return s.root }

// ClaimCopy returns what says of a place that it is a copy of the repository. It needs OpenContent, as the root signs that.
func (s *Objects) ClaimCopy(place string) ([]byte, error) {
	root := s.Root()
	if root == nil {
		return nil, errors.New("claim that a place is a copy: it takes a recovery key")
	}
	return s.keys.ClaimCopy(place, root, s.options.Now())
}

// binding says what a signature on an object of a kind is for.
func binding(repository, kind string) crypto.Binding {
	return crypto.Binding{Repository: repository, Kind: kind, Version: versioned.Version}
}

func (s *Objects) binding(kind string) crypto.Binding { return binding(s.keys.ID(), kind) }
