package repo_test

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"

	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/repotest"
	"nightjar/repo/store"
)

// forgeries make of a true object of a kind what must not be believed, and the name it comes under.
func forgeries(p, other *repotest.Place, kind string, object []byte) map[string]func() (name string, forged []byte) {
	seal := func(signer *crypto.Key, b crypto.Binding, text string) (string, []byte) {
		b.Version = repo.FormatVersion
		forged, err := repotest.Seal(repotest.Must(p.Keys.MetadataKey()), signer, b, []byte(text), rand.Reader, p.Clock.Now)
		if err != nil {
			p.T.Fatal(err)
		}
		return repotest.Named(kind, forged), forged
	}
	bend := func(f func(b []byte) []byte) func() (string, []byte) {
		return func() (string, []byte) {
			forged := f(bytes.Clone(object))
			return repotest.Named(kind, forged), forged
		}
	}
	id := p.Keys.ID()
	return map[string]func() (string, []byte){
		"by an unknown signer": func() (string, []byte) {
			return seal(repotest.ThiefKey(), crypto.Binding{Repository: id, Kind: kind}, `{"version":0}`)
		},
		"by a recovery key": func() (string, []byte) {
			return seal(repotest.RecoveryKey(), crypto.Binding{Repository: id, Kind: kind}, `{"version":0}`)
		},
		"for another repository": func() (string, []byte) {
			return seal(repotest.HostKey(), crypto.Binding{Repository: other.Keys.ID(), Kind: kind}, `{"version":0}`)
		},
		"of another kind": func() (string, []byte) {
			return seal(repotest.HostKey(), crypto.Binding{Repository: id, Kind: "forget"}, `{"version":0}`)
		},
		"from another repository":   func() (string, []byte) { b := other.Get(other.Names(kind + "/")[0]); return repotest.Named(kind, b), b },
		"truncated":                 bend(func(b []byte) []byte { return b[:len(b)-1] }),
		"cut to nothing":            bend(func(b []byte) []byte { return nil }),
		"with something after it":   bend(func(b []byte) []byte { return append(b, 0) }),
		"with a flip in its head":   bend(func(b []byte) []byte { b[3] ^= 1; return b }),
		"with a flip in the middle": bend(func(b []byte) []byte { b[len(b)/2] ^= 1; return b }),
		"with a flip at its end":    bend(func(b []byte) []byte { b[len(b)-1] ^= 1; return b }),
		"under another name":        func() (string, []byte) { return kind + "/" + strings.Repeat("ab", 32), object },
	}
}

func TestForgedArchives(t *testing.T) {
	p, other := repotest.NewPlace(t), repotest.OtherPlace(t)
	repotest.MustWrite(t, other.Open(repotest.HostKey()), repotest.Some(9, 3))
	r := p.Open(repotest.HostKey())
	first := repotest.MustWrite(t, r, repotest.Some(1, 3))
	second := repotest.MustWrite(t, r, repotest.Some(2, 3))
	object := p.Get("archive/" + first.Archive.ID)
	bad := map[string]string{}
	for what, forge := range forgeries(p, other, "archive", object) {
		name, forged := forge()
		bad[name] = what
		p.Put(name, forged)
	}
	index := p.Get(p.Names("index/")[0]) // a true object of another kind
	bad[repotest.Named("archive", index)] = "an index object"
	p.Put(repotest.Named("archive", index), index)
	p.Put("archive/readme", []byte("hello"))
	all, err := r.Archives(t.Context(), func(name string, err error) {
		if bad[name] == "" {
			t.Errorf("%s: %v", name, err)
		}
		repotest.WantError(t, err, crypto.ErrIntegrity, name)
		delete(bad, name)
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 2 || all[0].Root == all[1].Root {
		t.Errorf("%d archives", len(all))
	}
	for name, what := range bad {
		t.Errorf("%s: one %s is not reported", name, what)
	}
	repotest.WantRestored(t, p.Reader(), first, second)
}

// A true signature over what is no archive.
func TestMalformedArchives(t *testing.T) {
	for text, target := range map[string]error{
		`{"version":1}`: nil, `{"version":0,"job":"a","job":"b"}`: nil, `{"version":0,"job":"a","JOB":"b"}`: nil, `{"version":0,"paths":null}`: nil, `{}`: nil, `[]`: nil, ``: nil, `{"version":0,"root":{"id":"zz"}}`: nil, `{"version":0,"job":"\\q"}`: nil, `{"version":-1}`: nil,
	} {
		p := repotest.NewPlace(t)
		r := p.Open(repotest.HostKey())
		if _, err := r.PutRecord(t.Context(), "archive", []byte(text)); err != nil {
			t.Fatal(err)
		}
		damaged := 0
		all, err := r.Archives(t.Context(), func(name string, err error) { damaged++; repotest.WantError(t, err, target, "") })
		if err != nil || len(all) != 0 || damaged != 1 {
			t.Errorf("%q: %d archives, %d damaged, %v", text, len(all), damaged, err)
		}
	}
}

// A damaged index object is a warning; what it named is unknown, so the next run stores it again.
func TestForgedIndex(t *testing.T) {
	other := repotest.OtherPlace(t)
	repotest.MustWrite(t, other.Open(repotest.HostKey()), repotest.Some(9, 1))
	for _, what := range []string{
		"by an unknown signer", "from another repository", "truncated", "with a flip in the middle", "under another name",
	} {
		t.Run(what, func(t *testing.T) {
			p := repotest.NewPlace(t)
			saved := repotest.MustWrite(t, p.Open(repotest.HostKey()), repotest.Some(1, 5))
			whole := p.Names("index/")[0]
			name, forged := forgeries(p, other, "index", p.Get(whole))[what]()
			p.Delete(whole)
			p.Put(name, forged)
			var warnings []error
			warn := func(o *repo.Options) { o.Warn = func(err error) { warnings = append(warnings, err) } }
			r := p.Open(repotest.HostKey(), warn)
			again := repotest.MustWrite(t, r, repotest.Some(1, 5))
			if len(warnings) != 1 {
				t.Fatalf("warnings: %v", warnings)
			}
			repotest.WantError(t, warnings[0], crypto.ErrIntegrity, name)
			if again.Sent.ChunksKnown.Load() != 0 || again.Sent.ChunksNew.Load() != 5 {
				t.Errorf("%d chunks known", again.Sent.ChunksKnown.Load())
			}
			repotest.WantRestored(t, p.Reader(), saved, again)
			if len(repotest.Archives(t, r)) != 2 {
				t.Error("archives are missing")
			}
		})
	}
}

// Damage that has the name of the true object, as a bad disk makes it.
func TestRottenObjects(t *testing.T) {
	p := repotest.NewPlace(t)
	r := p.Open(repotest.HostKey())
	saved := repotest.MustWrite(t, r, repotest.Some(1, 5))
	for _, kind := range []string{"archive/", "index/"} {
		name := p.Names(kind)[0]
		whole := p.Get(name)
		for _, rotten := range [][]byte{nil, whole[:len(whole)/2], append(bytes.Clone(whole), 0), repotest.Flipped(whole, 0), repotest.Flipped(whole, len(whole)/2), repotest.Flipped(whole, len(whole)-1)} {
			p.Put(name, rotten)
			_, _, err := r.Record(t.Context(), store.Info{Name: name, Size: int64(len(p.Get(name))), Time: repotest.Noon})
			repotest.WantError(t, err, crypto.ErrIntegrity, name)
		}
		p.Put(name, whole)
	}
	repotest.WantRestored(t, p.Reader(), saved)
}
