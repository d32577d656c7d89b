package bill

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
)

func TestKnownDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "known.json")
	if k, err := ReadKnown(path); err != nil || len(k.blocks) > 0 {
		t.Errorf("without a file: %+v, %v", k, err)
	}
	for _, text := range []string{"{", `{"version":0,"pairs":[{"snapshot":"snap-1","base":"","blocks":-2}]}`, `{"version":0,"pairs":[{"snapshot":"snap-1","base":"","blocks":134217729}]}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if k, err := ReadKnown(path); err == nil || len(k.blocks) > 0 {
			t.Errorf("%s is read as %+v", text, k)
		}
	}
}

func FuzzParseKnown(f *testing.F) {
	f.Add([]byte(`{"version":0,"pairs":[{"snapshot":"snap-2","base":"snap-1","blocks":7},{"snapshot":"snap-3","base":"snap-2","blocks":-1}]}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		k, err := parseKnown(content)
		if err != nil {
			return
		}
		again, err := k.encode()
		if err != nil {
			return // names that no snapshot has
		}
		if back, err := parseKnown(again); err != nil || !maps.Equal(back.blocks, k.blocks) {
			t.Errorf("%+v comes back as %+v, %v", k, back, err)
		}
	})
}
