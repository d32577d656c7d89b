package vouch_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"nightjar/repo/index"
	"nightjar/repo/maintain/check"
	"nightjar/repo/maintain/maintaintest"
	"nightjar/repo/maintain/prune"
	"nightjar/repo/maintain/retain"
	"nightjar/repo/store"
)

// bucket is a place where a claim says whether it is a copy.
type bucket struct {
	*store.Memory
	claim []byte
}

func (b *bucket) Place() string { return "s3://bucket/home" }

func (b *bucket) SetClaim(_ context.Context, claim []byte) error { b.claim = claim; return nil }

func (b *bucket) Claim(context.Context) ([]byte, time.Time, error) { return b.claim, time.Now(), nil }

func (b *bucket) TrustTimes() {}

func (b *bucket) HomeTime(_ context.Context, info store.Info) (time.Time, error) {
	return info.Time, nil
}

// An index object for readers alone, which any host can store, hides no gap in a bucket of which the root does not say that it is a copy.
func TestChosen(t *testing.T) {
	s := maintaintest.New(t)
	s.Files = map[string][]byte{"a": maintaintest.Random(1000)}
	a := s.Night()
	s.Predecessor = a.ID
	s.Night()
	s.Put("archive/"+a.ID, nil)
	r := s.Open(true)
	if _, err := r.AddReadersIndex(t.Context(), &index.Object{Runs: []index.Run{{Owner: "host"}}}); err != nil {
		t.Fatal(err)
	}
	claim := func(place string) []byte {
		b, err := r.ClaimCopy(place)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, test := range map[string]struct {
		at  store.Store
		gap bool
	}{
		"of a directory nobody can tell": {s.Store, false},
		"a bucket":                       {&bucket{s.Store, nil}, true},
		"a claim of nobody":              {&bucket{s.Store, []byte("copy")}, true},
		"the claim of another bucket":    {&bucket{s.Store, claim("s3://bucket/copy")}, true},
		"a bucket that is a copy":        {&bucket{s.Store, claim("s3://bucket/home")}, false},
	} {
		at := s.OpenAt(test.at, false)
		if _, err := prune.Run(t.Context(), at, prune.Options{DryRun: true}); errors.Is(err, retain.ErrGap) != test.gap || !test.gap && err != nil {
			t.Errorf("%s: pruned: %v", name, err)
		}
		found := false
		sum, err := check.Run(t.Context(), at, check.Options{Found: func(f check.Finding) { found = found || f.Object == "archive/"+a.ID }})
		if err != nil || found != test.gap {
			t.Errorf("%s: checked: %v, %+v", name, err, sum)
		}
	}
}
