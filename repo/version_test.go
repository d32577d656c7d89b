package repo_test

import (
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"nightjar/crypto"
	"nightjar/internal/versioned"
	"nightjar/repo/repotest"
)

// An object of a higher version than the keys is to each reader what a damaged one of its kind is: a host that was broken into could stop
// everybody otherwise. Only the root says that a repository needs a newer program, in keys (package keyring).
func TestHigherVersion(t *testing.T) {
	at := repotest.Noon.UTC().Format(time.RFC3339)
	for kind, content := range map[string]string{
		"archive": `{"version":0,"host":"db1","time":"` + at + `","views":["` + at + `"]}`, "forget": `{"version":0,"archives":[]}`,
		"verified": `{"version":0,"archives":[],"view":"` + at + `"}`, "lost": `{"version":0}`, "condemned": `{"version":0,"packs":[],"view":"` + at + `"}`,
		"dropped": `{"version":0,"packs":[],"condemned":"` + noID + `","view":"` + at + `"}`, "index": "NJI9",
	} {
		for what, version := range map[string]int{"signed for another version": 1, "another version inside": 0} {
			t.Run(kind+", "+what, func(t *testing.T) {
				p := repotest.NewPlace(t)
				saved := repotest.MustWrite(t, p.Open(repotest.HostKey()), repotest.Some(1, 5))
				text := []byte(content)
				if version == 0 && kind != "index" {
					text = []byte(`{"version":7` + content[len(`{"version":0`):])
				}
				binding := crypto.Binding{Repository: p.Keys.ID(), Kind: kind, Version: version}
				object, err := repotest.Seal(repotest.Must(p.Keys.MetadataKey()), repotest.HostKey(), binding, text, rand.Reader, p.Clock.Now)
				if err != nil {
					t.Fatal(err)
				}
				p.Put(repotest.Named(kind, object), object)

				r, damaged := p.Open(repotest.HostKey()), 0
				all, err := r.Archives(t.Context(), func(_ string, err error) {
					damaged++
					if errors.Is(err, versioned.ErrNewer) {
						t.Errorf("a host says that a newer program is needed: %v", err)
					}
				})
				if err != nil || len(all) != 1 || damaged > 1 || (damaged == 1) != (kind == "archive") {
					t.Errorf("%d archives, %d damaged, %v", len(all), damaged, err)
				}
				repotest.WantRestored(t, p.Reader(), saved)
				_, err = repotest.Write(t.Context(), r, [][][]byte{repotest.Some(2, 5)}, nil)
				if stops := kind == "condemned" || kind == "dropped"; stops != (err != nil) || errors.Is(err, versioned.ErrNewer) {
					t.Errorf("a backup beside it: %v", err)
				}
			})
		}
	}
}

const noID = "0000000000000000000000000000000000000000000000000000000000000000"
