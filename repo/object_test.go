package repo

import (
	"bytes"
	"strings"
	"testing"

	"nightjar/crypto"
	"nightjar/repo/store"
)

// forgeries make of a true object of a kind what must not be believed, and the name it comes under.
func forgeries(p, other *place, kind string, object []byte) map[string]func() (name string, forged []byte) {
	seal := func(signer *crypto.Key, b crypto.Binding, text string) (string, []byte) {
		o := p.options()
		o.fill()
		b.Version = FormatVersion
		forged, err := seal(must(p.keys.MetadataKey()), signer, b, []byte(text), o.Random, o.Now)
		if err != nil {
			p.t.Fatal(err)
		}
		return named(kind, forged), forged
	}
	bend := func(f func(b []byte) []byte) func() (string, []byte) {
		return func() (string, []byte) {
			forged := f(bytes.Clone(object))
			return named(kind, forged), forged
		}
	}
	id := p.keys.ID()
	return map[string]func() (string, []byte){
		"by an unknown signer": func() (string, []byte) {
			return seal(thiefKey(), crypto.Binding{Repository: id, Kind: kind}, `{"version":0}`)
		},
		"by a recovery key": func() (string, []byte) {
			return seal(recoveryKey(), crypto.Binding{Repository: id, Kind: kind}, `{"version":0}`)
		},
		"for another repository": func() (string, []byte) {
			return seal(hostKey(), crypto.Binding{Repository: other.keys.ID(), Kind: kind}, `{"version":0}`)
		},
		"of another kind": func() (string, []byte) {
			return seal(hostKey(), crypto.Binding{Repository: id, Kind: "forget"}, `{"version":0}`)
		},
		"from another repository":   func() (string, []byte) { b := other.get(other.names(kind + "/")[0]); return named(kind, b), b },
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
	p, other := newPlace(t), otherPlace(t)
	mustWrite(t, other.open(hostKey()), some(9, 3))
	r := p.open(hostKey())
	first := mustWrite(t, r, some(1, 3))
	second := mustWrite(t, r, some(2, 3))
	object := p.get("archive/" + first.archive.ID)
	bad := map[string]string{}
	for what, forge := range forgeries(p, other, "archive", object) {
		name, forged := forge()
		bad[name] = what
		p.put(name, forged)
	}
	index := p.get(p.names("index/")[0]) // a true object of another kind
	bad[named("archive", index)] = "an index object"
	p.put(named("archive", index), index)
	p.put("archive/readme", []byte("hello"))
	all, err := r.Archives(t.Context(), func(name string, err error) {
		if bad[name] == "" {
			t.Errorf("%s: %v", name, err)
		}
		wantError(t, err, crypto.ErrIntegrity, name)
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
	wantRestored(t, p.reader(), first, second)
}

// A true signature over what is no archive.
func TestMalformedArchives(t *testing.T) {
	for text, target := range map[string]error{
		`{"version":1}`: nil, `{"version":0,"job":"a","job":"b"}`: nil, `{"version":0,"job":"a","JOB":"b"}`: nil, `{"version":0,"paths":null}`: nil, `{}`: nil, `[]`: nil, ``: nil, `{"version":0,"root":{"id":"zz"}}`: nil, `{"version":0,"job":"\\q"}`: nil, `{"version":-1}`: nil,
	} {
		p := newPlace(t)
		r := p.open(hostKey())
		if _, err := r.PutRecord(t.Context(), "archive", []byte(text)); err != nil {
			t.Fatal(err)
		}
		damaged := 0
		all, err := r.Archives(t.Context(), func(name string, err error) { damaged++; wantError(t, err, target, "") })
		if err != nil || len(all) != 0 || damaged != 1 {
			t.Errorf("%q: %d archives, %d damaged, %v", text, len(all), damaged, err)
		}
	}
}

// A damaged index object is a warning; what it named is unknown, so the next run stores it again.
func TestForgedIndex(t *testing.T) {
	other := otherPlace(t)
	mustWrite(t, other.open(hostKey()), some(9, 1))
	for _, what := range []string{
		"by an unknown signer", "from another repository", "truncated", "with a flip in the middle", "under another name",
	} {
		t.Run(what, func(t *testing.T) {
			p := newPlace(t)
			saved := mustWrite(t, p.open(hostKey()), some(1, 5))
			whole := p.names("index/")[0]
			name, forged := forgeries(p, other, "index", p.get(whole))[what]()
			p.delete(whole)
			p.put(name, forged)
			var warnings []error
			warn := func(o *Options) { o.Warn = func(err error) { warnings = append(warnings, err) } }
			r := p.open(hostKey(), warn)
			again := mustWrite(t, r, some(1, 5))
			if len(warnings) != 1 {
				t.Fatalf("warnings: %v", warnings)
			}
			wantError(t, warnings[0], crypto.ErrIntegrity, name)
			if again.sent.ChunksKnown.Load() != 0 || again.sent.ChunksNew.Load() != 5 {
				t.Errorf("%d chunks known", again.sent.ChunksKnown.Load())
			}
			wantRestored(t, p.reader(), saved, again)
			if len(archives(t, r)) != 2 {
				t.Error("archives are missing")
			}
		})
	}
}

// Damage that has the name of the true object, as a bad disk makes it.
func TestRottenObjects(t *testing.T) {
	p := newPlace(t)
	r := p.open(hostKey())
	saved := mustWrite(t, r, some(1, 5))
	for _, kind := range []string{"archive/", "index/"} {
		name := p.names(kind)[0]
		whole := p.get(name)
		for _, rotten := range [][]byte{nil, whole[:len(whole)/2], append(bytes.Clone(whole), 0), flipped(whole, 0), flipped(whole, len(whole)/2), flipped(whole, len(whole)-1)} {
			p.put(name, rotten)
			_, _, err := r.Record(t.Context(), store.Info{Name: name, Size: int64(len(p.get(name))), Time: noon})
			wantError(t, err, crypto.ErrIntegrity, name)
		}
		p.put(name, whole)
	}
	wantRestored(t, p.reader(), saved)
}

func flipped(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}
