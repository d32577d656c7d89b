package place

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/repo/store"
)

// What the table says of each kind is what people are told, and holds when it is parsed again.
func TestKinds(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range kinds() {
		if len(k.Schemes) == 0 || k.open == nil {
			t.Errorf("%+v has no scheme, or cannot be opened", k)
		}
		for _, scheme := range k.Schemes {
			if seen[scheme] {
				t.Errorf("two kinds are %s://", scheme)
			}
			seen[scheme] = true
		}
		if !strings.Contains(Forms(), k.Form) {
			t.Errorf("people are not told of %s", k.Form)
		}
		for form := range strings.SplitSeq(k.Form, ", ") {
			l := parse(t, form)
			if again := parse(t, Shown(l)); again != l || l.Scheme != k.Schemes[0] {
				t.Errorf("%s is %+v, shown and parsed again %+v", form, l, again)
			}
			if (Folder(l) != "") != k.local || NeedsClaim(form) != k.claims {
				t.Errorf("%s is not what its line says", form)
			}
		}
	}
}

// A kind of store says all that a command line knows of it.
func TestPlain(t *testing.T) {
	ctx, bad := t.Context(), errors.New("bad")
	var how store.Opening
	k := plain(store.Kind{
		Schemes: []string{"toy"}, Form: "toy://box", Settings: []store.Setting{{Name: "toy-key"}, {Name: "toy-color"}},
		Hints: []store.Hint{{Is: store.ErrNoStore, Say: "look under the bed"}},
		Open: func(_ context.Context, l store.Location, o store.Opening) (store.Carrier, error) {
			how = o
			if l.Path == "lost" {
				return nil, store.ErrNoStore
			}
			return store.NewMemory(nil), nil
		},
	})
	o := options()
	o.Servers = ServersIn(t.TempDir())
	o.Connections, o.Warn = 3, func(err error) { bad = err }
	o.Getenv = func(name string) string {
		return map[string]string{"NIGHTJAR_TOY_KEY": "env", "NIGHTJAR_TOY_COLOR": "red"}[name]
	}
	o.Bucket.Settings = map[string]string{"toy-key": "flag"}
	_, err := k.open(ctx, o, store.Location{Scheme: "toy", Path: "box"}, true)
	must(t, err)
	if how.Setting("toy-key") != "flag" || how.Setting("toy-color") != "red" || !how.Create || how.Connections != 3 {
		t.Errorf("it was told %+v", how)
	}
	if how.Warn(store.ErrName); bad != store.ErrName {
		t.Error("its warnings are not heard")
	}
	how.Learned([]string{"wheels"})
	_, err = k.open(ctx, o, store.Location{Scheme: "toy", Path: "box"}, false)
	if must(t, err); !slices.Equal(how.Lacks, []string{"wheels"}) {
		t.Errorf("what it lacks is forgotten: %q", how.Lacks)
	}
	_, err = k.open(ctx, o, store.Location{Scheme: "toy", Path: "lost"}, false)
	if len(how.Lacks) > 0 {
		t.Errorf("another is said to lack %q", how.Lacks)
	}
	var hinted usage.Hinted
	if !errors.As(err, &hinted) || hinted.Hint != "look under the bed" {
		t.Errorf("its hint is not given: %v", err)
	}

	copied := Bucket{Settings: map[string]string{"toy-color": "blue"}}
	k.inherit(&copied, &o.Bucket)
	if copied.Settings["toy-key"] != "flag" || copied.Settings["toy-color"] != "blue" {
		t.Errorf("a copy is reached by %v", copied.Settings)
	}
	l := store.Location{Scheme: "toy", Path: "box"}
	must(t, k.allow(&copied, l))
	wantUsage(t, "a bucket's option", k.allow(&Bucket{Region: "r"}, l), "options for buckets have no place")
	wantUsage(t, "a limit that nothing keeps", k.allow(&Bucket{LimitUpload: "5M"}, l), "options for buckets have no place")
	k.Paced = true
	must(t, k.allow(&Bucket{LimitUpload: "5M"}, l))
	wantUsage(t, "another's setting", folder().allow(&Bucket{Settings: copied.Settings, prefix: "to-"}, parse(t, "/srv")), "is not what --to-toy-color is for")
	if !copied.Given() {
		t.Error("what was said of a copy counts for nothing")
	}
}
