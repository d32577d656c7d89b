package repotest

import (
	"crypto/sha256"
	"errors"
	"io"
	"maps"
	"strings"
	"testing"
	"time"

	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/pack"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

// Put stores an object, in place of one of that name.
func (p *Place) Put(name string, object []byte) {
	p.T.Helper()
	if err := p.Memory.Delete(p.T.Context(), name); err != nil && !errors.Is(err, store.ErrNotExist) {
		p.T.Fatal(err)
	}
	if _, err := p.Memory.Put(p.T.Context(), name, object); err != nil {
		p.T.Fatal(err)
	}
}

func (p *Place) Get(name string) []byte {
	p.T.Helper()
	b, err := store.ReadAll(p.T.Context(), p.Memory, name, 0)
	if err != nil {
		p.T.Fatal(err)
	}
	return b
}

func (p *Place) Delete(name string) {
	p.T.Helper()
	if err := p.Memory.Delete(p.T.Context(), name); err != nil {
		p.T.Fatal(err)
	}
}

// Seal makes a record as anybody could.
func Seal(metadata, signer *crypto.Key, b crypto.Binding, text []byte, random io.Reader, now func() time.Time) ([]byte, error) {
	sealer, err := crypto.NewSealer(metadata, signer, b, random, now)
	if err != nil {
		return nil, err
	}
	object, err := sealer.Seal(Must(pack.NewCompressor(pack.Default)).AppendRecord(nil, text))
	return object.Object, err
}

// Named is the name of an object of a kind with this content.
func Named(kind string, object []byte) string { return sealed.Name(kind, sha256.Sum256(object)) }

// Names lists what is stored under a prefix, by name.
func (p *Place) Names(prefix string) []string { return StoredNames(p.T, p.Memory, prefix) }

func StoredNames(t testing.TB, s store.Store, prefix string) (names []string) {
	t.Helper()
	if err := s.List(t.Context(), prefix, func(i store.Info) error { names = append(names, i.Name); return nil }); err != nil {
		t.Fatal(err)
	}
	return names
}

// Everything is all that is stored.
func Everything(t testing.TB, s store.Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, name := range StoredNames(t, s, "") {
		b, err := store.ReadAll(t.Context(), s, name, 0)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(b)
	}
	return all
}

// WantSame fails if the place does not hold exactly what it held.
func WantSame(t testing.TB, s store.Store, before map[string]string) {
	t.Helper()
	if !maps.Equal(before, Everything(t, s)) {
		t.Error("the store was changed")
	}
}

// WantError fails unless err is target and says text.
func WantError(t testing.TB, err, target error, text string) {
	t.Helper()
	switch {
	case err == nil:
		t.Errorf("no error, want %v", target)
	case target != nil && !errors.Is(err, target):
		t.Errorf("error %q is not %q", err, target)
	case !strings.Contains(err.Error(), text):
		t.Errorf("error %q does not say %q", err, text)
	}
}

// IndexObject reads an index object.
func (p *Place) IndexObject(r *repo.Repository, name string) (index.Object, store.Info) {
	p.T.Helper()
	info, err := p.Memory.Stat(p.T.Context(), name)
	if err != nil {
		p.T.Fatal(err)
	}
	content, _, err := r.Record(p.T.Context(), info)
	if err != nil {
		p.T.Fatal(err)
	}
	o, err := index.ParseObject(content)
	if err != nil {
		p.T.Fatal(err)
	}
	return o, info
}

// IndexedPacks returns the names of all packs that any index object names, and fails if one is not stored.
func (p *Place) IndexedPacks(r *repo.Repository) map[string]bool {
	p.T.Helper()
	packs := map[string]bool{}
	for _, name := range p.Names("index/") {
		o, _ := p.IndexObject(r, name)
		for _, run := range o.Runs {
			for _, pack := range run.Packs {
				name := sealed.Name(pack.Directory.Kind.String(), pack.ID)
				packs[name] = true
				if _, err := p.Memory.Stat(p.T.Context(), name); err != nil {
					p.T.Errorf("an index names what is not stored: %v", err)
				}
			}
		}
	}
	return packs
}

// Archives lists them, and fails if one is damaged.
func Archives(t testing.TB, r *repo.Repository) []repo.Archive {
	t.Helper()
	all, err := r.Archives(t.Context(), func(name string, err error) { t.Errorf("damaged %s: %v", name, err) })
	if err != nil {
		t.Fatal(err)
	}
	return all
}
