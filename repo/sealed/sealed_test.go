package sealed

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/repo/index"
	"nightjar/repo/lookup"
	"nightjar/repo/pack"
	"nightjar/repo/store"
)

func TestKind(t *testing.T) {
	sum := strings.Repeat("ab", 32)
	for name, want := range map[string]string{
		"config":                    "config",
		"keys/000001":               "keys",
		"keys/1":                    "",
		"archive/" + sum:            "archive",
		"archive/ab/" + sum:         "",
		"archive/" + sum[2:]:        "",
		"content/ab/" + sum:         "content",
		"content/ba/" + sum:         "",
		"content/" + sum:            "",
		"index/" + sum + "/" + sum:  "",
		"surprise/" + sum:           "",
		strings.ToUpper("x/" + sum): "",
		"archive":                   "",
		"":                          "",
		"dropped/" + sum:            "dropped",
	} {
		if got := Kind(name); got != want {
			t.Errorf("%q is of kind %q, want %q", name, got, want)
		}
	}
}

func TestRecords(t *testing.T) {
	p := newPlace(t)
	s := p.open()
	stored := map[string]string{}
	for _, text := range []string{"one", "two", ""} {
		info := must(s.PutRecord(t.Context(), "forget", []byte(text)))
		if info.Name != Name("forget", sha256.Sum256(p.get(info.Name))) {
			t.Errorf("%s is not called after its bytes", info.Name)
		}
		stored[info.Name] = text
	}
	p.put("forget/stranger", nil)
	damaged := Name("forget", [32]byte{1})
	p.put(damaged, []byte("garbage"))
	err := s.Records(t.Context(), "forget", func(x Record) error {
		if x.Name == damaged {
			wantError(t, x.Err, crypto.ErrIntegrity, damaged)
			return nil
		}
		text, ok := stored[x.Name]
		if !ok || x.Err != nil || string(x.Content) != text || x.Signer != hostKey().Fingerprint() || !x.Time.Equal(noon) {
			t.Errorf("%+v", x)
		}
		delete(stored, x.Name)
		return nil
	})
	if err != nil || len(stored) > 0 {
		t.Errorf("%d are missing, %v", len(stored), err)
	}
}

// What a host has signed, and zstd decompresses, is no record unless it is one frame and its padding: so there is one reading of it.
func TestRecordGrammar(t *testing.T) {
	p := newPlace(t)
	s := p.open()
	c := must(pack.NewCompressor(pack.Default))
	sealer := must(crypto.NewSealer(p.metadata.Public(), hostKey(), s.binding("forget"), rand.Reader, p.clock))
	foreign := []byte{0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 7, 7}
	one, frame := c.AppendRecord(nil, []byte("one")), c.Append(nil, []byte("two"), pack.Text)
	for name, plain := range map[string][]byte{
		"two records":           slices.Concat(one, one),
		"two frames":            slices.Concat(frame, one),
		"between foreign ones":  slices.Concat(foreign, frame, foreign, frame, foreign),
		"a foreign one at last": slices.Concat(one, foreign),
		"bytes at last":         slices.Concat(one, []byte("two")),
		"no padding":            frame,
		"nothing":               {},
	} {
		object := must(sealer.Seal(slices.Clone(plain))).Object
		stored := must(p.memory.Put(t.Context(), Name("forget", sha256.Sum256(object)), object))
		if x := s.ReadRecord(t.Context(), stored); !errors.Is(x.Err, crypto.ErrIntegrity) || x.Content != nil {
			t.Errorf("%s: %q, %v", name, x.Content, x.Err)
		}
	}
	object := must(sealer.Seal(one)).Object
	stored := must(p.memory.Put(t.Context(), Name("forget", sha256.Sum256(object)), object))
	if x := s.ReadRecord(t.Context(), stored); x.Err != nil || string(x.Content) != "one" {
		t.Errorf("%q, %v", x.Content, x.Err)
	}
}

// Damage that has the name of the true object, as a bad disk makes it; and a true object under the name of another kind.
func TestRottenRecord(t *testing.T) {
	p := newPlace(t)
	s := p.open()
	info := must(s.PutRecord(t.Context(), "forget", []byte("text")))
	whole := p.get(info.Name)
	read := func(name string) error {
		p.now = p.now.Add(time.Second)
		_, _, err := s.Record(t.Context(), must(p.memory.Stat(t.Context(), name)))
		return err
	}
	for at := 0; at < len(whole); at += 7 {
		rotten := bytes.Clone(whole)
		rotten[at] ^= 1
		p.put(info.Name, rotten)
		wantError(t, read(info.Name), crypto.ErrIntegrity, info.Name)
		p.put(info.Name, whole[:at])
		wantError(t, read(info.Name), crypto.ErrIntegrity, info.Name)
	}
	p.put(info.Name, whole)
	if err := read(info.Name); err != nil {
		t.Error(err)
	}
	other := Name("lost", sha256.Sum256(whole))
	p.put(other, whole)
	wantError(t, read(other), crypto.ErrIntegrity, "kind")
}

// What an index says of a pack when it is sealed is what whoever opens it finds, and tells which frames are spoilt.
func TestPack(t *testing.T) {
	for _, kind := range []pack.Kind{pack.Content, pack.Metadata} {
		p := newPlace(t)
		s := p.open()
		object, want := sealPack(t, s, kind, false)
		info := must(p.memory.Put(t.Context(), PackName(kind, sha256.Sum256(object)), object))
		got, plain, err := s.ReadPack(t.Context(), info)
		if err != nil {
			t.Fatal(err)
		}
		if got.ID != want.ID || got.Size != info.Size || !slices.Equal(got.Hashes, want.Hashes) || !bytes.Equal(got.Session, want.Session) {
			t.Errorf("it is %+v, not %+v", got, want)
		}
		for _, f := range got.Directory.Frames {
			data := must(s.Decompress(nil, plain[:f.Stored], f.Plain))
			plain = plain[f.Stored:]
			if err := s.CheckBlobs(data, f); err != nil {
				t.Error(err)
			}
		}
		if damaged := CheckFrames(object, got); len(damaged) > 0 {
			t.Errorf("frames %v differ", damaged)
		}
		spoilt := bytes.Clone(object)
		spoilt[crypto.EnvelopeOf(want.Session).Data+want.Directory.Frames[0].Stored+500] ^= 1 // in the second frame
		if damaged := CheckFrames(spoilt, got); !slices.Equal(damaged, []int{1}) {
			t.Errorf("frames %v differ, not the second", damaged)
		}
		if damaged := CheckFrames(object[:crypto.EnvelopeOf(want.Session).Data+1], got); len(damaged) != 3 {
			t.Errorf("frames %v of a rest differ", damaged)
		}
		lying, _ := sealPack(t, s, kind, true)
		info = must(p.memory.Put(t.Context(), PackName(kind, sha256.Sum256(lying)), lying))
		_, err = s.OpenPack(t.Context(), info, lying)
		wantError(t, err, crypto.ErrIntegrity, "keyed hash")
	}
}

// sealPack makes a pack of three frames, and what an index says of it. In a lying one, a chunk has the name of another.
func sealPack(t *testing.T, s *Objects, kind pack.Kind, lying bool) ([]byte, index.Pack) {
	t.Helper()
	return sealPackOf(t, s, kind, "db1", lying)
}

func sealPackOf(t *testing.T, s *Objects, kind pack.Kind, owner string, lying bool) ([]byte, index.Pack) {
	t.Helper()
	namer, typ := s.Namer(), pack.WholeContent
	if kind == pack.Metadata {
		namer, typ = chunk.NewNamer(s.Secret(), chunk.Metadata), pack.WholeTree
	}
	sealer := must(s.PackSealer(kind, hostKey()))
	c := must(pack.NewCompressor(pack.Default))
	m := must(sealer.Begin(nil))
	d := pack.Directory{Kind: kind, Owner: owner}
	for n := range 3 {
		data := make([]byte, 1000+n)
		_, _ = rand.Read(data) // which never fails
		b := pack.Blob{Key: namer.ID(data).Key(), Type: typ, Length: len(data)}
		if lying {
			b.Key[0] ^= 1
		}
		frame := c.Append(nil, data, pack.Opaque)
		m.Buf = append(m.Buf, frame...)
		d.Frames = append(d.Frames, pack.Frame{Stored: len(frame), Plain: len(data), Blobs: []pack.Blob{b}})
	}
	m.Buf = d.Tail(m.Buf, false)
	sealed := must(m.Seal())
	p := Indexed(sha256.Sum256(sealed.Object), sealed.Object, sealed.Envelope, sealed.Key, d)
	p.Session = bytes.Clone(p.Session)
	return sealed.Object, p
}

// The store is asked again as long as it dates an object otherwise than that says of itself, but not for ever.
func TestInTime(t *testing.T) {
	for lag, want := range map[int]int{0: 1, 1: 2, 2: 3, 99: tries} {
		asked := 0
		now := func() (time.Time, error) { asked++; return noon.Add(time.Duration(asked) * time.Hour), nil }
		info, err := InTime(now, func(at time.Time) (store.Info, error) {
			if asked <= lag {
				return store.Info{Name: "late", Time: at.Add(MaxSkew + 1)}, nil
			}
			return store.Info{Name: "in time", Time: at.Add(-MaxSkew)}, nil
		})
		if asked != want || lag < tries && (err != nil || info.Name != "in time") {
			t.Errorf("after %d late ones it asked %d times: %+v, %v", lag, asked, info, err)
		}
		if lag > tries {
			wantError(t, err, nil, "again and again")
		}
	}
}

// Index objects whose content is many times what is stored of them are refused before it is there; so is what a host says of another's packs, but to readers alone.
func TestIndexBounds(t *testing.T) {
	p := newPlace(t)
	s := p.open()
	info := must(s.PutRecord(t.Context(), "index", make([]byte, 60<<20)))
	if info.Size > 40<<10 {
		t.Fatalf("%d bytes", info.Size)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	x := s.ReadIndex(t.Context(), info)
	runtime.ReadMemStats(&after)
	wantError(t, x.Err, crypto.ErrIntegrity, "more than its kind may have")
	if took := after.TotalAlloc - before.TotalAlloc; took > 2<<20 {
		t.Errorf("to refuse it took %d bytes", took)
	}
	foreign := index.Object{Time: noon, Runs: []index.Run{{Owner: "db2"}}}
	x = s.ReadIndex(t.Context(), must(s.PutRecord(t.Context(), "index", foreign.Append(nil))))
	wantError(t, x.Err, crypto.ErrIntegrity, `host "db1" has signed what it says is of host "db2"`)
	if len(x.Object.Runs) > 0 {
		t.Error("of what is refused something is left")
	}
	foreign.Time = time.Time{}
	if x = s.ReadIndex(t.Context(), must(s.PutRecord(t.Context(), "index", foreign.Append(nil)))); x.Err != nil || !x.Late {
		t.Errorf("for readers: %+v", x)
	}
}

// Whose a pack is proves who knows its session key, and nobody else; and a pack says so itself.
func TestOwnerOfPack(t *testing.T) {
	p := newPlace(t)
	s := p.open()
	_, mine := sealPack(t, s, pack.Content, false)
	if _, err := s.SessionKey(lookup.InfoOf(&mine, lookup.Origin{Owner: "db1"})); err != nil {
		t.Error(err)
	}
	_, err := s.SessionKey(lookup.InfoOf(&mine, lookup.Origin{Owner: "db2"}))
	wantError(t, err, crypto.ErrIntegrity, `a pack of host "db2"`)
	for _, owner := range []string{"", "db2"} {
		foreign := mine
		foreign.Directory.Owner = owner
		if _, err := s.SessionKey(lookup.InfoOf(&foreign, lookup.Origin{Owner: owner})); err == nil {
			t.Errorf("%q takes it", owner)
		}
	}
	if a, b := lookup.InfoOf(&mine, lookup.Origin{Owner: "db1"}), lookup.InfoOf(&mine, lookup.Origin{Owner: "db2"}); a.Layout == b.Layout {
		t.Error("what was read for one host would serve another")
	}
	theirs, _ := sealPackOf(t, s, pack.Content, "db2", false)
	info := must(p.memory.Put(t.Context(), PackName(pack.Content, sha256.Sum256(theirs)), theirs))
	_, err = s.OpenPack(t.Context(), info, theirs)
	wantError(t, err, crypto.ErrIntegrity, `host "db1" has signed what it says is of host "db2"`)
}
