package repo

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
	"nightjar/repo/keyring"
	"nightjar/repo/pack"
	"nightjar/repo/store"
)

// What lies in a directory store is what doc/format.md says: names are hashes, sizes are padded, and nothing can be read.
func TestOnDisk(t *testing.T) {
	folder := t.TempDir()
	dir, err := store.OpenDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	keys, err := Init(t.Context(), dir, InitOptions{HostName: "db1", Host: hostKey(), Recovery: []*crypto.Key{recoveryKey()}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(t.Context(), dir, keys, keyring.Held(hostKey()), Options{IndexDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.SetHost(hostKey()); err != nil {
		t.Fatal(err)
	}
	const secret = "the-king-has-the-ears-of-an-ass"
	group := [][]byte{[]byte(secret), []byte(strings.Repeat(secret, 100))}
	for i := range 17 {
		group = append(group, noise(i, 1<<20))
	}
	_, err = r.Write(t.Context(), new(Sent), func(ctx context.Context, w *Writer) (*Archive, error) {
		s, err := w.NewSaver()
		if err != nil {
			return nil, err
		}
		for _, data := range group {
			if _, err := s.Content(data); err != nil {
				return nil, err
			}
		}
		a := &Archive{Host: "db1", Job: secret, Paths: []Text{"/" + secret}, Labels: Labels{secret: secret}, Tags: []Text{secret}}
		a.Root.ID, err = s.Tree([]byte("tree of " + secret))
		return a, err
	})
	if err != nil {
		t.Fatal(err)
	}
	metadata := crypto.NewOpener(must(r.Keys().OpenMetadata(t.Context(), keyring.Held(hostKey())))...)
	content := crypto.NewOpener(must(r.Keys().OpenSecrets(t.Context(), keyring.Held(recoveryKey())))...)
	full := 0
	err = filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
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
		opener := metadata
		if kind == "content" {
			opener = content
		}
		opened, err := opener.Open(b, r.Keys().Signers(kind), crypto.Binding{Repository: r.ID(), Kind: kind, Version: FormatVersion}, noon)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		size := len(opened.Plain)
		switch {
		case kind == "content" && size > 8<<20:
			full++
			if size%(64<<10) != 0 || size > pack.FullPlain {
				t.Errorf("%s: full pack of %d bytes", name, size)
			}
		case pack.Padme(size) != size:
			t.Errorf("%s: %d bytes are not padded", name, size)
		}
		if kind == "content" || kind == "metadata" {
			if _, err := pack.Parse(opened.Plain); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if full == 0 {
		t.Error("no pack is full")
	}
	recovered, err := OpenContent(t.Context(), dir, keys, keyring.Held(recoveryKey()), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer recovered.Close()
	rd, err := recovered.NewReader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	saved := written{content: map[chunk.ID][]byte{}}
	n := r.Namer()
	for _, data := range group {
		saved.content[n.ID(data)] = data
	}
	wantRestored(t, rd, saved)
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
			p := newPlace(t)
			p.enroll("db2", secondKey(), keyring.Backup)
			p.enroll("db3", thiefKey(), keyring.Backup)
			mustWrite(t, p.open(hostKey()), some(1, 5))
			mustWrite(t, p.open(thiefKey()), some(2, 5))
			p.trust("db2", test.trust...)
			r := p.open(secondKey())
			saved := mustWrite(t, r, some(1, 5), some(2, 5))
			if got := saved.sent.ChunksKnown.Load(); got != test.known {
				t.Errorf("%d chunks known", got)
			}
			// What it was trusted with is taken away: it stores it again, and what it built can be read.
			for _, t := range p.trusts["db2"] {
				t.(host)["until"] = p.clock.now()
			}
			p.clock.move(time.Minute)
			p.rekey(p.hosts...)
			again := mustWrite(t, p.open(secondKey()), some(1, 5), some(2, 5))
			if got := again.sent.ChunksKnown.Load(); got != 10-test.known {
				t.Errorf("%d chunks of its own known", got)
			}
			for _, w := range []written{saved, again} { // of nothing but what it might build on
				wantRestored(t, must(p.unlocked().NewReaderFor(t.Context(), w.archive)), w)
			}
		})
	}
}
