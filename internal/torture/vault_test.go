package torture

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nightjar/backup"
	"nightjar/backup/restore"
	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/keyring"
	"nightjar/repo/maintain/check"
	"nightjar/repo/maintain/prune"
	"nightjar/repo/maintain/retain"
	"nightjar/repo/store"
)

// A vault is a repository in memory, with archives of two hosts and some of every kind of object that a host writes.
type vault struct {
	t        *testing.T
	store    *store.Memory
	now      time.Time // the store's and the hosts'
	recovery *crypto.Key
	pin      keyring.Pin
	archives []*repo.Archive
	truth    map[string]state // by archive
}

func newVault(t *testing.T, stream uint64) *vault {
	t.Helper()
	ctx := context.Background()
	v := &vault{t: t, now: time.Now(), truth: map[string]state{}}
	v.store = store.NewMemory(func() time.Time { return v.now })
	v.recovery = v.key()
	hosts := []*crypto.Key{v.key(), v.key()}
	v.now = v.now.Add(time.Second)
	keys, err := repo.Init(ctx, v.store, repo.InitOptions{HostName: "web1", Host: hosts[0], Recovery: []*crypto.Key{v.recovery}, Now: v.clock})
	must(t, err)
	v.now = v.now.Add(time.Second)
	e := keyring.Editor{
		Store: v.store, Now: v.clock, Random: crand.Reader,
		Load: func(context.Context) (*keyring.Keyring, error) { return keys, nil },
		Open: func(ctx context.Context, k *keyring.Keyring) ([]*crypto.Key, error) {
			return k.OpenSecrets(ctx, keyring.Held(v.recovery))
		},
	}
	keys, _, err = e.Change(ctx, func(d *keyring.Draft) error { return d.AddHost("web2", hosts[1], keyring.Backup) })
	must(t, err)
	v.pin = keys.Pin()
	var deltas uint64
	for i, host := range hosts {
		r, err := repo.Open(ctx, v.store, keys, keyring.Held(host), repo.Options{Now: v.clock, IndexDir: t.TempDir()})
		must(t, err)
		defer r.Close()
		must(t, r.SetHost(host))
		m := &machine{t: t, src: filepath.Join(t.TempDir(), "src"), random: random(stream + uint64(i))}
		m.fill()
		var last *repo.Archive
		for range 3 {
			m.night()
			v.now = v.now.Add(time.Minute)
			a, sums, err := backup.Tree(ctx, r, &repo.Record{Host: fmt.Sprintf("web%d", i+1), Job: "job", Paths: []repo.Text{repo.Text(m.src)}},
				backup.Options{Paths: []string{m.src}, Previous: last, Problem: func(path string, err error) { t.Fatal(path, err) }})
			must(t, err)
			last = a
			deltas += sums.ChunksDelta
			v.archives = append(v.archives, a)
			v.truth[a.ID] = stateOf(t, m.src)
		}
		if i == 0 { // what is forgotten and condemned stays until the grace period is over
			must(t, retain.Forget(ctx, r, []retain.Decision{{Archive: v.archives[0]}}))
			_, err = prune.Run(ctx, r, prune.Options{})
			must(t, err)
		}
	}
	if deltas == 0 {
		t.Fatal("no chunk was stored as a delta")
	}
	return v
}

func (v *vault) clock() time.Time { return v.now }

func (v *vault) key() *crypto.Key {
	k, err := crypto.Generate("torture", v.now, nil)
	must(v.t, err)
	return k
}

// objects returns all objects, and their names in order.
func (v *vault) objects() (names []string, all map[string][]byte) {
	v.t.Helper()
	all = map[string][]byte{}
	must(v.t, v.store.List(context.Background(), "", func(i store.Info) error {
		b, err := store.ReadAll(context.Background(), v.store, i.Name, 0)
		all[i.Name] = b
		return err
	}))
	return slices.Sorted(maps.Keys(all)), all
}

// seen returns what a machine remembers that has seen all archives.
func (v *vault) seen() (all []check.Seen) {
	for _, a := range v.archives {
		id, err := index.ParseObjectID(a.ID)
		must(v.t, err)
		all = append(all, check.Seen{ID: id, Job: string(a.Job)})
	}
	return all
}

// A verdict is what a repository in which something is wrong showed of it.
type verdict struct {
	faults   []string // what check says, one line each; an error that stopped it is one
	restored int      // archives that came back whole, without a complaint
	problems int      // that restores complained of
}

// judge checks everything that a store shows, and restores all archives, on a machine that knows the pin, and the archives that it has seen. It fails the test over wrong bytes.
func (v *vault) judge(ctx context.Context, s store.Store, seen []check.Seen, what string) (j verdict) {
	v.t.Helper()
	fault := func(format string, args ...any) { j.faults = append(j.faults, fmt.Sprintf(format, args...)) }
	keys, err := keyring.Load(ctx, s, func(string) (keyring.Pin, error) { return v.pin, nil }, func(err error) { fault("%v", err) })
	if err != nil {
		fault("%v", err)
		return j
	}
	dir := v.t.TempDir()
	r, err := repo.OpenContent(ctx, s, keys, keyring.Held(v.recovery), repo.Options{Now: v.clock, IndexDir: filepath.Join(dir, "index")})
	if err != nil {
		fault("%v", err)
		return j
	}
	defer os.RemoveAll(dir) // there are thousands of rounds
	defer r.Close()
	_, err = check.Run(ctx, r, check.Options{ReadData: true, Seen: seen, Found: func(f check.Finding) {
		if f.Fault() || f.What == check.Lost && errors.Is(f.Err, crypto.ErrIntegrity) { // a damaged archive that was forgotten is known, and named
			fault("%s %s %s %v", f.What, f.Object, f.Path, f.Err)
		}
	}})
	if err != nil {
		fault("%v", err)
	}
	all, err := r.Archives(ctx, func(string, error) { j.problems++ })
	if err != nil {
		j.problems++
		return j
	}
	rd, err := r.NewReader(ctx)
	if err != nil {
		j.problems++
		return j
	}
	for i := range all {
		a := &all[i]
		target := filepath.Join(dir, a.ID)
		before := j.problems
		var o restore.Options
		o.Path, o.Target, o.Problem = string(a.Paths[0]), target, func(string, error) { j.problems++ }
		if _, err := restore.Run(ctx, rd, a, o); err != nil {
			j.problems++
		}
		want, ours := v.truth[a.ID]
		if !ours {
			v.t.Fatalf("%s: archive %s is none of those that were made", what, a.ID)
		}
		if j.problems == before {
			if found := differences(stateOf(v.t, target), want); len(found) > 0 {
				v.t.Fatalf("%s: archive %s restored without a complaint:\n%s", what, a.ID, strings.Join(found, "\n"))
			}
			j.restored++
			continue
		}
		if found := wrong(stateOf(v.t, target), want); len(found) > 0 {
			v.t.Fatalf("WRONG BYTES: %s: archive %s:\n%s", what, a.ID, strings.Join(found, "\n"))
		}
	}
	return j
}
