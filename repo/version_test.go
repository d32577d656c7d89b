package repo

import (
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"nightjar/crypto"
	"nightjar/internal/versioned"
)

// An object of a higher version than the keys is to each reader what a damaged one of its kind is: a host that was broken into could stop
// everybody otherwise. Only the root says that a repository needs a newer program, in keys (package keyring).
func TestHigherVersion(t *testing.T) {
	at := noon.UTC().Format(time.RFC3339)
	for kind, content := range map[string]string{
		"archive": `{"version":0,"host":"db1","time":"` + at + `","views":["` + at + `"]}`, "forget": `{"version":0,"archives":[]}`,
		"verified": `{"version":0,"archives":[],"view":"` + at + `"}`, "lost": `{"version":0}`, "condemned": `{"version":0,"packs":[],"view":"` + at + `"}`,
		"dropped": `{"version":0,"packs":[],"condemned":"` + noID + `","view":"` + at + `"}`, "index": "NJI9",
	} {
		for what, version := range map[string]int{"signed for another version": 1, "another version inside": 0} {
			t.Run(kind+", "+what, func(t *testing.T) {
				p := newPlace(t)
				saved := mustWrite(t, p.open(hostKey()), some(1, 5))
				text := []byte(content)
				if version == 0 && kind != "index" {
					text = []byte(`{"version":7` + content[len(`{"version":0`):])
				}
				binding := crypto.Binding{Repository: p.keys.ID(), Kind: kind, Version: version}
				object, err := seal(must(p.keys.MetadataKey()), hostKey(), binding, text, rand.Reader, p.clock.now)
				if err != nil {
					t.Fatal(err)
				}
				p.put(named(kind, object), object)

				r, damaged := p.open(hostKey()), 0
				all, err := r.Archives(t.Context(), func(_ string, err error) {
					damaged++
					if errors.Is(err, versioned.ErrNewer) {
						t.Errorf("a host says that a newer program is needed: %v", err)
					}
				})
				if err != nil || len(all) != 1 || damaged > 1 || (damaged == 1) != (kind == "archive") {
					t.Errorf("%d archives, %d damaged, %v", len(all), damaged, err)
				}
				wantRestored(t, p.reader(), saved)
				_, err = write(t.Context(), r, [][][]byte{some(2, 5)}, nil)
				if stops := kind == "condemned" || kind == "dropped"; stops != (err != nil) || errors.Is(err, versioned.ErrNewer) {
					t.Errorf("a backup beside it: %v", err)
				}
			})
		}
	}
}

const noID = "0000000000000000000000000000000000000000000000000000000000000000"
