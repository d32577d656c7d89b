package repo_test

import (
	"bytes"
	"nightjar/repo"
	"nightjar/repo/repotest"
	"os"
	"path/filepath"
	"testing"
)

// What this run wrote, the next one reads without the store; and where the folder holds something else, the store is asked.
func TestMetadataOnThisMachine(t *testing.T) {
	p, dir := repotest.NewPlace(t), t.TempDir()
	here := func(o *repo.Options) { o.BlockDir, o.BlockLimit = dir, 1<<30 }
	w := repotest.MustWrite(t, p.Open(repotest.HostKey(), here), repotest.Some(1, 20), repotest.Some(2, 20))
	read := func() {
		t.Helper()
		rd := p.Reader(here)
		for id, want := range w.Trees {
			if got, err := rd.Metadata(t.Context(), id); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("tree %v: %q, %v", id, got, err)
			}
		}
	}
	packs := p.Names("metadata/")
	if len(packs) == 0 {
		t.Fatal("no metadata was stored")
	}
	objects := map[string][]byte{}
	for _, name := range packs {
		objects[name] = p.Get(name)
		if err := p.Memory.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	read()
	for name, object := range objects {
		p.Put(name, object)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, name := range files {
		b := repotest.Must(os.ReadFile(name))
		for i := range b {
			b[i] ^= 1
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read()
	for _, name := range packs { // and what the store had is here again
		if err := p.Memory.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	read()
}
