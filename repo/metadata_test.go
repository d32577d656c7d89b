package repo

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// What this run wrote, the next one reads without the store; and where the folder holds something else, the store is asked.
func TestMetadataOnThisMachine(t *testing.T) {
	p, dir := newPlace(t), t.TempDir()
	here := func(o *Options) { o.BlockDir, o.BlockLimit = dir, 1<<30 }
	w := mustWrite(t, p.open(hostKey(), here), some(1, 20), some(2, 20))
	read := func() {
		t.Helper()
		rd := p.reader(here)
		for id, want := range w.trees {
			if got, err := rd.Metadata(t.Context(), id); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("tree %v: %q, %v", id, got, err)
			}
		}
	}
	packs := p.names("metadata/")
	if len(packs) == 0 {
		t.Fatal("no metadata was stored")
	}
	objects := map[string][]byte{}
	for _, name := range packs {
		objects[name] = p.get(name)
		if err := p.memory.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	read()
	for name, object := range objects {
		p.put(name, object)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, name := range files {
		b := must(os.ReadFile(name))
		for i := range b {
			b[i] ^= 1
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read()
	for _, name := range packs { // and what the store had is here again
		if err := p.memory.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	read()
}
