package save_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"nightjar/chunk"
	"nightjar/chunk/delta"
	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/pack"
	"nightjar/repo/repotest"
	"nightjar/repo/save"
)

// The root vouches for nothing that it has not tried: a host's lies stay that host's.
func TestRepackTriesWhatItCopies(t *testing.T) {
	content := bytes.Repeat([]byte("what is told of it may be wrong\n"), 1000)
	saved := func(s *save.Saver) error {
		_, err := s.Content(content)
		return err
	}
	for name, c := range map[string]struct {
		save  func(s *save.Saver) error // the content, and lies about it
		left  []pack.Type               // of the chunk's key, in new packs
		fails bool
	}{
		"nothing": {saved, []pack.Type{pack.WholeContent, pack.SignatureOf + pack.WholeContent}, false},
		"signature": {func(s *save.Saver) error {
			if err := s.Again(content); err != nil { // which signs nothing
				return err
			}
			return s.Sign(s.ID(content), bytes.Repeat([]byte("a lie"), len(content)/5), nil)
		}, []pack.Type{pack.WholeContent}, false},
		"recipe": {func(s *save.Saver) error {
			return errors.Join(saved(s), s.Recipe(pack.WholeContent, s.ID([]byte("another")), &delta.Recipe{Length: 5,
				Sources: []delta.Source{{ID: s.ID(content), Length: len(content)}}, Copies: []delta.Copy{{Source: 1, Offset: 0, Length: 5}}}))
		}, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := repotest.NewPlace(t)
			r := p.Open(repotest.HostKey())
			var id chunk.ID
			if _, err := save.Write(t.Context(), r, new(save.Sent), func(_ context.Context, w *save.Writer) (*repo.Record, error) {
				s, err := w.NewSaver()
				if err != nil {
					return nil, err
				}
				id = s.ID(content)
				root, err := s.Tree([]byte("no tree, but saved as one"))
				if err != nil {
					return nil, err
				}
				return &repo.Record{Host: "db1", Job: "job", Root: repo.Root{ID: root, Length: 25}}, c.save(s)
			}); err != nil {
				t.Fatal(err)
			}
			old := append(p.Names("content/"), p.Names("metadata/")...)
			if err := save.Repack(t.Context(), r, "db1", p.Clock.Now(), new(save.Sent), func(*save.Repacker) error { return nil }); err == nil {
				t.Error("it took no recovery key")
			}
			root := p.Unlocked()
			if err := root.SyncIndex(t.Context()); err != nil {
				t.Fatal(err)
			}
			err := save.Repack(t.Context(), root, "db1", p.Clock.Now(), new(save.Sent), func(to *save.Repacker) error {
				for _, name := range old {
					if err := to.Pack(repotest.Must(p.Memory.Stat(t.Context(), name)), func(pack.Blob) bool { return true }); err != nil {
						return err
					}
				}
				return nil
			})
			if c.fails {
				repotest.WantError(t, err, crypto.ErrIntegrity, "keyed hash")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range old {
				p.Delete(name)
			}
			if err := r.SyncIndex(t.Context()); err != nil {
				t.Fatal(err)
			}
			all, err := r.View().Lookup(t.Context(), id.Key())
			if err != nil {
				t.Fatal(err)
			}
			left := map[pack.Type]int{}
			for _, at := range all {
				if at.Pack.Signer == string(r.Keys().Root().Fingerprint()) {
					left[at.Type]++
				}
			}
			if len(left) != len(c.left) {
				t.Errorf("of types %v are %v left", c.left, left)
			}
			for _, typ := range c.left {
				if left[typ] != 1 {
					t.Errorf("%d of type %x", left[typ], typ)
				}
			}
			if err := p.Reader().Fetch(t.Context(), []chunk.ID{id}, func(_ int, data []byte, err error) error {
				if err != nil || !bytes.Equal(data, content) {
					t.Errorf("got %d bytes, %v", len(data), err)
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		})
	}
}
