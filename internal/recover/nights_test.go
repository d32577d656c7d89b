package recover_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
)

// TestNights recovers the thirtieth night of files that change every night: what was stored of them is recipes.
func TestNights(t *testing.T) {
	f := newFixture(t, true)
	random := rand.NewChaCha8([32]byte{7})
	table := make([]byte, 3<<20)
	random.Read(table)
	log := ""
	for i := range 200 {
		write(t, filepath.Join(f.src, "many", fmt.Sprintf("file with a name %03d", i)), fmt.Appendf(nil, "%d", i))
	}
	var deltas uint64
	for night := range 30 {
		for page := range 5 {
			random.Read(table[(night*31+page*977)%3000<<10:][:300])
		}
		log += strings.Repeat(fmt.Sprintf("night %d, and all is well\n", night), 700)
		write(t, filepath.Join(f.src, "var/table"), table)
		write(t, filepath.Join(f.src, "var/log"), []byte(log))
		write(t, filepath.Join(f.src, "many", fmt.Sprintf("file with a name %03d", night)), fmt.Appendf(nil, "night %d", night))
		deltas = f.backup(t).ChunksDelta
	}
	if deltas == 0 {
		t.Fatal("no chunk of the last night is a recipe")
	}
	want := look(t, f.src)
	s := newShell(t, f.dir, f.kit(t, ""))
	s.open()
	if err := s.restore(s.page.steps[6], f.src); err != nil || strings.Contains(s.said, "PROBLEM") {
		t.Fatalf("%v\n%s", err, s.said)
	}
	compare(t, want, look(t, s.path("target")))
}
