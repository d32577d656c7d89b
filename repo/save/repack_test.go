package save_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
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
			if _, err := save.Write(t.Context(), r, new(save.Sent), func(_ context.Context, w *save.Writer) (*repo.Record, error) {
				s, err := w.NewSaver()
				if err != nil {
					return nil, err
				}
				root := repotest.Must(s.Tree([]byte("no tree, but saved as one")))
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
			id := r.Namer().ID(content)
			wantVouched(t, r, id, c.left)
			repotest.WantRestored(t, p.Reader(), repotest.Written{Content: map[chunk.ID][]byte{id: content}})
		})
	}
}

// wantVouched fails unless the root has indexed a chunk once in each of these forms, and in no other.
func wantVouched(t *testing.T, r *repo.Repository, id chunk.ID, want []pack.Type) {
	t.Helper()
	if err := r.SyncIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got []pack.Type
	for _, at := range repotest.Must(r.View().Lookup(t.Context(), id.Key())) {
		if at.Pack.Signer == string(r.Keys().Root().Fingerprint()) {
			got = append(got, at.Type)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the root vouches for types %v, want %v", got, want)
	}
}
