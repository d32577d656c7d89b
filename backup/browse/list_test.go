package browse_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"nightjar/backup/backuptest"
	"nightjar/backup/browse"
	"nightjar/repo/tree"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestListAndCat(t *testing.T) {
	ctx := context.Background()
	s := backuptest.New(t)
	holes := append(make([]byte, 2<<20), "end"...)
	s.Write("d/x", "x")
	s.Write("d/sub/y", "y")
	s.Write("big", string(backuptest.Random(backuptest.Scaled(12<<20, 9<<20))))
	s.Write("holes", "")
	f, err := os.OpenFile(s.Path("holes"), os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt([]byte("end"), 2<<20)
	must(t, err)
	must(t, f.Close())
	must(t, os.Symlink("d", s.Path("link")))
	s.Save()
	list := func(name string, recursive bool) (got []string) {
		must(t, browse.List(ctx, s.Reader(), s.Last, s.Path(name), recursive, func(p string, n *tree.Node) error {
			got = append(got, strings.TrimPrefix(p, s.Src+"/"))
			return nil
		}))
		return got
	}
	for _, tt := range []struct {
		name      string
		recursive bool
		want      []string
	}{
		{"", false, []string{"big", "d", "holes", "link"}},
		{"", true, []string{"big", "d", "d/sub", "d/sub/y", "d/x", "holes", "link"}},
		{"d/x", true, []string{"d/x"}},
		{"link", true, []string{"link"}},
		{"d/", false, []string{"d/sub", "d/x"}},
	} {
		if got := list(tt.name, tt.recursive); !slices.Equal(got, tt.want) {
			t.Errorf("%q: %q, not %q", tt.name, got, tt.want)
		}
	}
	stop := errors.New("enough")
	if err := browse.List(ctx, s.Reader(), s.Last, "/", true, func(string, *tree.Node) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
	for name, want := range map[string]string{"d/x": "x", "holes": string(holes), "big": backuptest.Content(t, s.Path("big"))} {
		var b bytes.Buffer
		must(t, browse.Cat(ctx, s.Reader(), s.Last, s.Path(name), &b))
		if b.String() != want {
			t.Errorf("%s: %d bytes, not %d", name, b.Len(), len(want))
		}
	}
	for name, want := range map[string]error{"none": browse.ErrNotFound, "link/none": browse.ErrNotFound, "d": nil, "link": nil} {
		if err := browse.Cat(ctx, s.Reader(), s.Last, s.Path(name), io.Discard); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := browse.Cat(ctx, s.Reader(), s.Last, s.Path("big"), failing{stop}); !errors.Is(err, stop) {
		t.Error(err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
