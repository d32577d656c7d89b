package simulate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"time"

	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/keyring"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

const (
	day   = 24 * time.Hour
	grace = 7 * day
	ripe  = grace + sealed.MaxSkew + time.Minute // from when a list is stored until it is due, by any clock
	blur  = 2 * time.Minute                      // how far a store's clocks are from one another at most

	hosts   = 20
	pruners = 2
	loner   = hosts - 1 // builds on nobody
)

// A cast is what all repositories of the simulation have in common: making keys takes time.
type cast struct {
	objects  map[string][]byte // config and keys
	early    *keyring.Keyring  // as it was before the second pruner was enrolled
	keys     *keyring.Keyring
	recovery *crypto.Key
	hosts    [hosts]*crypto.Key
	pruners  [pruners]*crypto.Key
	liar     *crypto.Key // a host whom nobody trusts
}

// theCast was hired a month before the simulation begins, which is at the turn of the millennium: so testing/synctest has it.
var theCast = sync.OnceValue(func() *cast {
	then := time.Date(1999, 12, 1, 0, 0, 0, 0, time.UTC)
	now := func() time.Time { then = then.Add(time.Second); return then }
	random := random{rand.New(rand.NewPCG(1, 2))}
	key := func(name string) *crypto.Key { return must(crypto.Generate(name, now(), random)) }
	c := &cast{objects: map[string][]byte{}, recovery: key("recovery"), liar: key("liar")}
	for i := range c.hosts {
		c.hosts[i] = key(hostName(i))
	}
	for i := range c.pruners {
		c.pruners[i] = key(prunerName(i))
	}
	ctx, s := context.Background(), store.NewMemory(now)
	must(repo.Init(ctx, s, repo.InitOptions{HostName: prunerName(0), Host: c.pruners[0], Recovery: []*crypto.Key{c.recovery}, Now: now, Random: random}))
	editor := keyring.Editor{
		Store: s, Now: now, Random: random,
		Load: func(ctx context.Context) (*keyring.Keyring, error) {
			return keyring.Load(ctx, s, noPin, func(error) {})
		},
		Open: func(ctx context.Context, k *keyring.Keyring) ([]*crypto.Key, error) {
			return k.OpenSecrets(ctx, keyring.Held(c.recovery))
		},
	}
	enroll := func(edit func(d *keyring.Draft) error) *keyring.Keyring {
		k, _, err := editor.Change(ctx, edit)
		return must(k, err)
	}
	c.early = enroll(func(d *keyring.Draft) error {
		err := d.AddHost("liar", c.liar, keyring.Backup)
		for i, key := range c.hosts {
			err = errors.Join(err, d.AddHost(hostName(i), key, keyring.Backup))
		}
		for i := range loner {
			err = errors.Join(err, d.SetTrust(hostName(i), false, trustedBy(i)...))
		}
		return err
	})
	c.keys = enroll(func(d *keyring.Draft) error {
		return d.AddHost(prunerName(1), c.pruners[1], keyring.Backup, keyring.Prune)
	})
	if err := s.List(ctx, "", func(i store.Info) error {
		c.objects[i.Name] = must(store.ReadAll(ctx, s, i.Name, 0))
		return nil
	}); err != nil {
		panic(err)
	}
	return c
})

// trustedBy returns on whom a host builds: on all but the liar, or on every other one.
func trustedBy(i int) (names []string) {
	for j := range hosts {
		if j != i && (i < hosts/2 || (i+j)%2 == 0) {
			names = append(names, hostName(j))
		}
	}
	return names
}

func hostName(i int) string   { return fmt.Sprintf("host%02d", i) }
func prunerName(i int) string { return fmt.Sprintf("prune%d", i) }

func noPin(string) (keyring.Pin, error) { return keyring.Pin{}, nil }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// random makes a reader of a source, so that keys and padding come from the seed too.
type random struct{ *rand.Rand }

func (r random) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return len(p), nil
}

// A world is one repository and all that go about in it. Its time is that of the bubble in which it runs.
type world struct {
	*cast
	ctx     context.Context
	rng     *rand.Rand // for who there is; each actor has its own
	store   *store.Memory
	blurred bool
	ahead   time.Duration // of its clock, as a directed schedule sets it
	log     func(format string, args ...any)

	mu       sync.Mutex
	clock    *rand.Rand         // for what the store's clocks say
	saved    map[chunk.ID]files // by root: what an archive has to give back
	made     map[string]bool    // ids of archives of runs that were told that they are done
	failures []error
	count    tally
	observer *repo.Repository
}

// files are what is backed up: content by path.
type files map[string][]byte

func newWorld(seed uint64, log func(string, ...any)) *world {
	w := &world{
		cast: theCast(), ctx: context.Background(), rng: rand.New(rand.NewPCG(seed, 0)), log: log,
		clock: rand.New(rand.NewPCG(seed, 2)), saved: map[chunk.ID]files{}, made: map[string]bool{},
	}
	w.store = store.NewMemory(w.now)
	for name, object := range w.objects {
		must(w.store.Put(w.ctx, name, object))
	}
	w.observer = w.openAll()
	return w
}

// now is the store's time. One that is made of several machines never agrees with itself.
func (w *world) now() time.Time {
	now := time.Now().Add(w.ahead)
	if w.blurred {
		w.mu.Lock()
		defer w.mu.Unlock()
		now = now.Add(time.Duration(w.clock.Int64N(int64(2*blur))) - blur)
	}
	return now
}

// openAll opens the repository for everything, with an empty cache, in no time.
func (w *world) openAll() *repo.Repository {
	r := must(repo.OpenContent(w.ctx, w.store, w.keys, keyring.Held(w.recovery), repo.Options{Warn: w.warn("observer")}))
	return r
}

func (w *world) warn(who string) func(error) {
	return func(err error) { w.logf("%s: warning: %v", who, err) }
}

func (w *world) logf(format string, args ...any) {
	if w.log != nil {
		w.log("%s "+format, append([]any{time.Now().Format("01-02 15:04:05")}, args...)...)
	}
}

// tell counts one more.
func (w *world) tell(count *int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*count++
}

func (w *world) fail(err error) {
	w.logf("FAILURE: %v", err)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failures = append(w.failures, fmt.Errorf("%s: %w", time.Now().Format(time.DateTime), err))
}

func (w *world) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Join(w.failures...)
}

// names lists the objects under a prefix.
func (w *world) names(prefix string) (names []string) {
	if err := w.store.List(w.ctx, prefix, func(i store.Info) error { names = append(names, i.Name); return nil }); err != nil {
		panic(err)
	}
	return names
}

func equalFiles(a, b files) error {
	for path := range a {
		if !bytes.Equal(a[path], b[path]) {
			return fmt.Errorf("%s: %d bytes, want %d", path, len(b[path]), len(a[path]))
		}
	}
	if len(a) != len(b) {
		return fmt.Errorf("%d files, want %d", len(b), len(a))
	}
	return nil
}

// A tally counts what has happened.
type tally struct {
	Schedules, Pruned             int // in which packs were deleted, before the quiet time
	Rotten                        int // lists of prune
	Steps, Crashes, Lost          int // calls of the store; those at which a host crashed, or of which the answer or the request was lost
	Archives, RunsFailed          int
	Views                         int // that runs took on their way
	ChunksKnown, Deltas           int
	Prunes, Condemned, Reprieved  int // runs, packs
	Removed, BlobsRemoved, Checks int // packs; recipes, trees and lists; looks at all archives
}

func (t *tally) add(o tally) {
	sum, more := reflect.ValueOf(t).Elem(), reflect.ValueOf(o)
	for i := range sum.NumField() {
		sum.Field(i).SetInt(sum.Field(i).Int() + more.Field(i).Int())
	}
}
