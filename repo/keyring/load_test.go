package keyring

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"nightjar/repo/store"
	"nightjar/repo/store/directory"
)

// What lies in the place of keys and is none is named; the other keys count, but for those that were followed by what lies there.
func TestLoadBesideClutter(t *testing.T) {
	for name, test := range map[string]struct {
		clutter []string // FIFOs; with a slash at the end, folders
		seen    int
		invalid []string // or, where nothing counts, the error
		counts  int
		target  error
	}{
		"above those in force":         {[]string{"keys/000003"}, 0, []string{"keys/000003: a FIFO is in its place"}, 2, nil},
		"above those that were seen":   {[]string{"keys/000003/"}, 2, []string{"keys/000003: a folder is in its place"}, 2, nil},
		"below those in force":         {[]string{"keys/000001"}, 0, nil, 2, nil},
		"in the place of what is new":  {[]string{"keys/000002"}, 0, []string{"keys/000002: a FIFO is in its place"}, 1, nil},
		"in the place of what is seen": {[]string{"keys/000002"}, 2, []string{"keys/000002: a FIFO is in its place"}, 0, store.ErrClutter},
		"what is seen is gone":         {[]string{"keys/000003"}, 4, []string{"keys/000004 was seen before", "keys/000003: a FIFO is in its place"}, 0, ErrRollback},
		"everywhere":                   {[]string{"keys/000001/", "keys/000002"}, 0, []string{"keys/000001: a folder is in its place", "keys/000002: a FIFO"}, 0, store.ErrClutter},
		"foreign":                      {[]string{"keys/notes/", "keys/000000", "keys/3"}, 2, nil, 2, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			dir := t.TempDir()
			s := must(directory.Create(dir))
			defer s.Close()
			for name, object := range map[string][]byte{"keys/000001": p.get("keys/000001"), "keys/000002": p.signed(nil, func(*contents) {})} {
				must(s.Put(t.Context(), name, object))
			}
			for _, name := range test.clutter {
				at := filepath.Join(dir, name)
				_ = os.Remove(at)
				if name[len(name)-1] == '/' {
					must(0, os.Mkdir(at, 0o700))
				} else {
					must(0, unix.Mkfifo(at, 0o600))
				}
			}
			pin := pinned(Pin{Root: p.keys.Pin().Root, Number: test.seen})
			var invalid []error
			k, err := Load(t.Context(), s, pin, func(err error) { invalid = append(invalid, err) })
			if test.counts == 0 {
				wantError(t, err, test.target, "")
				if k != nil || errors.Is(err, ErrRollback) != (test.target == ErrRollback) { // what is misplaced is no older state
					t.Errorf("%v counts, %v", k, err)
				}
				for _, text := range test.invalid {
					wantError(t, err, nil, text)
				}
				return
			}
			if err != nil || k.Pin().Number != test.counts || len(invalid) != len(test.invalid) {
				t.Fatalf("%v counts, %v, reported: %v", k, err, invalid)
			}
			for i, text := range test.invalid {
				wantError(t, invalid[i], store.ErrClutter, text)
			}
		})
	}
}

func TestClutterIsNoRepository(t *testing.T) {
	dir := t.TempDir()
	s := must(directory.Create(dir))
	defer s.Close()
	must(0, unix.Mkfifo(filepath.Join(dir, "config"), 0o600))
	_, err := Load(t.Context(), s, noPin, func(error) {})
	wantError(t, err, ErrNoRepository, "")
}
