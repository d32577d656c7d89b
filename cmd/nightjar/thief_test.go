package main

import (
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/keyring"
	"nightjar/repo/sealed"
	"nightjar/repo/store/directory"
)

// thief does what an enrolled host can do that means harm; STATE is its state directory.
//
//	thief STATE archive ID [KIND] writes an archive of its own that has the root of another
//	thief STATE claim             says of all packs of others that they are its own, and else what the others say
//	thief STATE lie               says so with other keys, sizes and frames
//	thief STATE late              says of them as of others' packs, in an index object for readers alone, what is not so
func thief(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: thief STATE archive ID|claim|lie|late")
	}
	found, err := filepath.Glob(ts.MkAbs(args[0] + "/*/host.asc"))
	ts.Check(err)
	if len(found) != 1 {
		ts.Fatalf("%d host keys", len(found))
	}
	key, err := crypto.ReadKey([]byte(ts.ReadFile(found[0])))
	ts.Check(err)
	s, err := directory.Open(ts.Getenv("NIGHTJAR_REPO"))
	ts.Check(err)
	defer s.Close()
	ctx := context.Background()
	keys, err := keyring.Load(ctx, s, func(string) (keyring.Pin, error) { return keyring.Pin{}, nil }, func(error) {})
	ts.Check(err)
	r, err := repo.Open(ctx, s, keys, keyring.Held(key), repo.Options{})
	ts.Check(err)
	defer r.Close()
	ts.Check(r.SetHost(key))
	self, err := keys.HostName(key.Fingerprint())
	ts.Check(err)
	now := time.Now()
	put := func(kind string, content []byte) {
		_, err := r.PutRecord(ctx, kind, content)
		ts.Check(err)
	}
	if args[1] == "archive" {
		all, err := r.Archives(ctx, func(_ string, err error) { ts.Check(err) })
		ts.Check(err)
		i := slices.IndexFunc(all, func(a repo.Archive) bool { return strings.HasPrefix(a.ID, strings.TrimSpace(args[2])) })
		a := repo.Record{Host: self, Job: "stolen", Kind: repo.Text(strings.Join(args[3:], "")), Root: all[i].Root, Paths: all[i].Paths, Start: now, End: now, Time: now, Views: []time.Time{now}, Statistics: map[string]uint64{}, Complete: true}
		content, err := json.Marshal(&a)
		ts.Check(err)
		put("archive", content)
		return
	}
	var packs []index.Pack
	ts.Check(r.IndexObjects(ctx, func(x sealed.IndexRecord) error {
		for _, run := range x.Object.Runs {
			for _, p := range run.Packs {
				if run.Owner != self {
					packs = append(packs, p)
				}
			}
		}
		return x.Err
	}))
	lie := func(p index.Pack, n int) index.Pack {
		p.Session = slices.Clone(p.Session)
		p.Hashes = slices.Clone(p.Hashes)
		p.Directory.Frames = slices.Clone(p.Directory.Frames)
		switch n % 5 {
		case 0:
			p.Session[len(p.Session)-1] ^= 1
		case 1:
			p.Size++
		case 2:
			p.Hashes[0][0] ^= 1
		case 3: // the same blobs in one frame more
			f := &p.Directory.Frames[0]
			f.Stored--
		case 4:
			p.Size, p.Directory.Frames, p.Hashes = 400, p.Directory.Frames[:1], p.Hashes[:1]
			p.Directory.Frames[0].Stored = 1
		}
		return p
	}
	var said []index.Pack
	for _, p := range packs {
		if args[1] != "late" {
			p.Directory.Owner = self
		}
		if args[1] == "claim" {
			said = append(said, p)
			continue
		}
		for n := range 5 {
			said = append(said, lie(p, n))
		}
	}
	o := index.Object{Time: now.UTC(), Runs: index.RunsOf(said)}
	if args[1] == "late" {
		o.Time = time.Time{}
	}
	put("index", o.Append(nil))
}
