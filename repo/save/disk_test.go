package save_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/keyring"
	"nightjar/repo/pack"
	"nightjar/repo/repotest"
	"nightjar/repo/save"
	"nightjar/repo/store/directory"
)

// What lies in a directory store is what doc/format.md says: names are hashes, sizes are padded, and nothing can be read.
func TestOnDisk(t *testing.T) {
	folder := t.TempDir()
	dir, err := directory.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	keys, err := repo.Init(t.Context(), dir, repo.InitOptions{HostName: "db1", Host: repotest.HostKey(), Recovery: []*crypto.Key{repotest.RecoveryKey()}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := repo.Open(t.Context(), dir, keys, keyring.Held(repotest.HostKey()), repo.Options{IndexDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.SetHost(repotest.HostKey()); err != nil {
		t.Fatal(err)
	}
	const secret = "the-king-has-the-ears-of-an-ass"
	group := [][]byte{[]byte(secret), []byte(strings.Repeat(secret, 100))}
	for i := range 17 {
		group = append(group, repotest.Noise(i, 1<<20))
	}
	_, err = save.Write(t.Context(), r, new(save.Sent), func(ctx context.Context, w *save.Writer) (*repo.Record, error) {
		s, err := w.NewSaver()
		if err != nil {
			return nil, err
		}
		for _, data := range group {
			if _, err := s.Content(data); err != nil {
				return nil, err
			}
		}
		a := &repo.Record{Host: "db1", Job: secret, Paths: []repo.Text{"/" + secret}, Labels: repo.Labels{secret: secret}, Tags: []repo.Text{secret}}
		a.Root.ID, err = s.Tree([]byte("tree of " + secret))
		return a, err
	})
	if err != nil {
		t.Fatal(err)
	}
	wantSealed(t, folder, r, secret)
	recovered, err := repo.OpenContent(t.Context(), dir, keys, keyring.Held(repotest.RecoveryKey()), repo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer recovered.Close()
	rd, err := recovered.NewReader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	saved := repotest.Written{Content: map[chunk.ID][]byte{}}
	n := r.Namer()
	for _, data := range group {
		saved.Content[n.ID(data)] = data
	}
	repotest.WantRestored(t, rd, saved)
}

// wantSealed fails unless all objects in a folder are named, sealed and padded as they should be, one pack at least is full, and no secret can be read.
func wantSealed(t *testing.T, folder string, r *repo.Repository, secret string) {
	t.Helper()
	openers := map[string]*crypto.Opener{}
	metadata := crypto.NewOpener(repotest.Must(r.Keys().OpenMetadata(t.Context(), keyring.Held(repotest.HostKey())))...)
	for _, kind := range []string{"config", "metadata", "index", "archive"} {
		openers[kind] = metadata
	}
	openers["content"] = crypto.NewOpener(repotest.Must(r.Keys().OpenSecrets(t.Context(), keyring.Held(repotest.RecoveryKey())))...)
	full := 0
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(folder, path)
		b := []byte(nil)
		if !d.IsDir() {
			if b, err = os.ReadFile(path); err != nil {
				return err
			}
		}
		for _, clear := range []string{secret, "king-has", "polynomial"} {
			if bytes.Contains(b, []byte(clear)) || strings.Contains(name, clear) {
				t.Errorf("%s: %q can be read", name, clear)
			}
		}
		kind, _, _ := strings.Cut(name, "/")
		if d.IsDir() || kind == "keys" {
			return nil
		}
		if sum := sha256.Sum256(b); kind != "config" && filepath.Base(path) != hex.EncodeToString(sum[:]) {
			t.Errorf("%s has another hash", name)
		}
		opened, err := openers[kind].Open(b, r.Keys().Signers(kind), crypto.Binding{Repository: r.ID(), Kind: kind, Version: repo.FormatVersion}, repotest.Noon)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if wantPadded(t, name, kind, opened.Plain) {
			full++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if full == 0 {
		t.Error("no pack is full")
	}
}

// wantPadded fails unless what an object holds is padded, and reports whether it is a full pack.
func wantPadded(t *testing.T, name, kind string, plain []byte) (full bool) {
	t.Helper()
	size := len(plain)
	full = kind == "content" && size > 8<<20
	switch {
	case full && (size%(64<<10) != 0 || size > pack.FullPlain):
		t.Errorf("%s: full pack of %d bytes", name, size)
	case !full && pack.Padme(size) != size:
		t.Errorf("%s: %d bytes are not padded", name, size)
	}
	if kind == "content" || kind == "metadata" {
		if _, err := pack.Parse(plain); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	return full
}

func TestTrust(t *testing.T) {
	for name, test := range map[string]struct {
		trust []string
		known uint64
	}{
		"nobody":          {nil, 0},
		"the other":       {[]string{"db1"}, 5},
		"no such host":    {[]string{"db7"}, 0},
		"everybody":       {[]string{""}, 10},
		"itself, as ever": {[]string{"db2"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := repotest.NewPlace(t)
			p.Enroll("db2", repotest.SecondKey(), keyring.Backup)
			p.Enroll("db3", repotest.ThiefKey(), keyring.Backup)
			repotest.MustWrite(t, p.Open(repotest.HostKey()), repotest.Some(1, 5))
			repotest.MustWrite(t, p.Open(repotest.ThiefKey()), repotest.Some(2, 5))
			p.Trust("db2", test.trust...)
			r := p.Open(repotest.SecondKey())
			saved := repotest.MustWrite(t, r, repotest.Some(1, 5), repotest.Some(2, 5))
			if got := saved.Sent.ChunksKnown.Load(); got != test.known {
				t.Errorf("%d chunks known", got)
			}
			// What it was trusted with is taken away: it stores it again, and what it built can be read.
			for _, t := range p.Trusts["db2"] {
				t.(repotest.Host)["until"] = p.Clock.Now()
			}
			p.Clock.Move(time.Minute)
			p.Rekey(p.Hosts...)
			again := repotest.MustWrite(t, p.Open(repotest.SecondKey()), repotest.Some(1, 5), repotest.Some(2, 5))
			if got := again.Sent.ChunksKnown.Load(); got != 10-test.known {
				t.Errorf("%d chunks of its own known", got)
			}
			for _, w := range []repotest.Written{saved, again} { // of nothing but what it might build on
				repotest.WantRestored(t, repotest.Must(p.Unlocked().NewReaderFor(t.Context(), w.Archive)), w)
			}
		})
	}
}
