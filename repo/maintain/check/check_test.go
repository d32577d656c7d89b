package check_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"nightjar/repo/index"
	"nightjar/repo/maintain/check"
	"nightjar/repo/maintain/maintaintest"
	"nightjar/repo/record"
	"nightjar/repo/sealed"
)

func TestCheckWhole(t *testing.T) {
	s := maintaintest.New(t)
	s.Files = map[string][]byte{"alpha": maintaintest.Random(100), "beta": maintaintest.Random(700_000), "gamma": maintaintest.Random(5000)}
	s.Night()
	s.Files["beta"] = maintaintest.Random(600_000)
	s.Night()
	for _, c := range []struct {
		content bool
		o       check.Options
		read    int
	}{{false, check.Options{}, 0}, {false, check.Options{ReadData: true}, 4}, {true, check.Options{ReadData: true}, 4}} {
		sum, found := s.Check(c.content, c.o)
		if len(found) > 0 || sum.Faults+sum.Leftovers > 0 {
			t.Errorf("%+v: %q", c.o, found)
		}
		if sum.Archives != 2 || sum.Files != 4 || sum.Packs != 4 || sum.PacksRead != c.read || sum.Opened != (c.content && c.o.ReadData) {
			t.Errorf("%+v: %+v", c.o, sum)
		}
	}
	some := 0
	for range 40 {
		sum, _ := s.Check(false, check.Options{ReadData: true, Sample: 0.5})
		some += sum.PacksRead
	}
	if some < 40 || some > 120 {
		t.Errorf("a sample of half read %d of %d packs", some, 40*4)
	}
}

func TestCheckFinds(t *testing.T) {
	base := func(t *testing.T) (*maintaintest.Site, string) {
		s := maintaintest.New(t)
		s.Files = map[string][]byte{"alpha": maintaintest.Random(2000), "beta": maintaintest.Random(700_000)}
		s.Night()
		return s, s.Names("content")[0]
	}
	cases := map[string]struct {
		spoil func(s *maintaintest.Site, pack string)
		read  bool
		want  []string // with PACK for the content pack
	}{
		"missing pack":     {func(s *maintaintest.Site, p string) { s.Put(p, nil) }, false, []string{"damaged  /a/alpha", "damaged  /b/beta", "missing PACK"}},
		"truncated pack":   {func(s *maintaintest.Site, p string) { s.Put(p, s.Read(p)[:1000]) }, true, []string{"damaged  /a/alpha", "damaged  /b/beta", "damaged PACK"}},
		"flip in one file": {func(s *maintaintest.Site, p string) { b := s.Read(p); b[300_000] ^= 1; s.Put(p, b) }, true, []string{"damaged  /b/beta", "damaged PACK"}},
		"flip unread":      {func(s *maintaintest.Site, p string) { b := s.Read(p); b[300_000] ^= 1; s.Put(p, b) }, false, nil},
		"flip in padding":  {func(s *maintaintest.Site, p string) { b := s.Read(p); b[len(b)-400] ^= 1; s.Put(p, b) }, true, []string{"damaged PACK"}},
		"foreign object": {func(s *maintaintest.Site, p string) {
			_, err := s.Store.Put(context.Background(), "content/strange", []byte("x"))
			if err != nil {
				t.Fatal(err)
			}
		}, false, []string{"foreign content/strange"}},
		"no index": {func(s *maintaintest.Site, p string) { s.Put(s.Names("index")[0], nil) }, false, []string{"damaged  /", "unindexed METADATA", "unindexed PACK"}},
		"damaged index": {func(s *maintaintest.Site, p string) {
			n := s.Names("index")[0]
			b := s.Read(n)
			b[len(b)/2] ^= 1
			s.Put(n, b)
		}, false,
			[]string{"damaged  /", "damaged INDEX", "unindexed METADATA", "unindexed PACK"}},
		"damaged archive": {func(s *maintaintest.Site, p string) {
			n := s.Names("archive")[0]
			b := s.Read(n)
			b[len(b)/2] ^= 1
			s.Put(n, b)
		}, false, []string{"damaged ARCHIVE"}},
		"missing metadata": {func(s *maintaintest.Site, p string) { s.Put(s.Names("metadata")[0], nil) }, false, []string{"damaged  /", "missing METADATA"}},
		"swapped pack":     {func(s *maintaintest.Site, p string) { s.Put(p, s.Read(s.Names("metadata")[0])) }, true, []string{"damaged  /a/alpha", "damaged  /b/beta", "damaged PACK"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s, packName := base(t)
			replace := strings.NewReplacer("PACK", packName, "METADATA", s.Names("metadata")[0], "INDEX", s.Names("index")[0], "ARCHIVE", s.Names("archive")[0])
			c.spoil(s, packName)
			sum, found := s.Check(false, check.Options{ReadData: c.read})
			want := []string{}
			for _, w := range c.want {
				want = append(want, replace.Replace(w))
			}
			slices.Sort(want)
			if !slices.Equal(found, want) {
				t.Errorf("found\n%s\nwant\n%s", strings.Join(found, "\n"), strings.Join(want, "\n"))
			}
			if faults := slices.ContainsFunc(want, func(w string) bool { return strings.HasPrefix(w, "damaged") || strings.HasPrefix(w, "missing") }); faults != (sum.Faults > 0) {
				t.Errorf("%d faults", sum.Faults)
			}
		})
	}
}

// A tree that two archives share is reported for both when it is damaged.
func TestCheckNamesEveryArchive(t *testing.T) {
	s := maintaintest.New(t)
	s.Files = map[string][]byte{"alpha": maintaintest.Random(2000), "beta": maintaintest.Random(100)}
	a := s.Night()
	content := s.Names("content")[0]
	s.Files["beta"] = maintaintest.Random(100)
	b := s.Night()
	s.Put(content, nil)
	var touched []string
	_, err := check.Run(context.Background(), s.Open(false), check.Options{Found: func(f check.Finding) {
		if f.Path == "/a/alpha" {
			touched = append(touched, f.Archive)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(touched, []string{a.ID, b.ID}) {
		t.Errorf("touched %q, want %q and %q", touched, a.ID, b.ID)
	}
}

// That parts are gone of an archive that was stored too late to count is no fault: nobody promised to keep them. Once somebody has verified it, it is one.
func TestCheckLate(t *testing.T) {
	ctx := context.Background()
	at := time.Now()
	s := maintaintest.NewAt(t, func() time.Time { return at })
	s.Files = map[string][]byte{"alpha": maintaintest.Random(2000), "beta": maintaintest.Random(3000)}
	a := s.Night()
	id, err := index.ParseObjectID(a.ID)
	if err != nil {
		t.Fatal(err)
	}
	b := s.Read("archive/" + a.ID)
	at = at.Add(time.Hour)
	s.Put("archive/"+a.ID, b)
	if sum, found := s.Check(true, check.Options{ReadData: true}); sum.Faults+sum.Uncounted > 0 || len(found) > 0 {
		t.Errorf("whole: %q, %+v", found, sum)
	}
	put := func(kind string, v any) {
		t.Helper()
		content, err := record.Encode(v)
		if err == nil {
			_, err = s.Open(false).PutRecord(ctx, kind, content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	content := s.Names("content")[0]
	packID, err := sealed.ObjectID(content)
	if err != nil {
		t.Fatal(err)
	}
	put(record.DroppedKind, &record.Dropped{Packs: []index.ObjectID{packID}, View: at})
	s.Put(content, nil)
	if sum, found := s.Check(true, check.Options{ReadData: true}); sum.Faults > 0 || sum.Uncounted != 1 || !slices.Equal(found, []string{"uncounted  /"}) {
		t.Errorf("pruned: %q, %+v", found, sum)
	}
	put(record.VerifiedKind, &record.Verified{Archives: []index.ObjectID{id}, View: at})
	if sum, found := s.Check(true, check.Options{ReadData: true}); sum.Faults != 2 || sum.Uncounted > 0 {
		t.Errorf("verified: %q, %+v", found, sum)
	}
}
