package recover_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/keyring"
	"nightjar/repo/maintain/vouch"
	"nightjar/repo/record"
)

// change makes the next keys.
func (f *fixture) change(t *testing.T, edit func(*keyring.Draft) error) {
	t.Helper()
	e := keyring.Editor{
		Store: f.store, Now: time.Now, Random: rand.Reader,
		Load: func(context.Context) (*keyring.Keyring, error) { return f.keys, nil },
		Open: func(ctx context.Context, k *keyring.Keyring) ([]*crypto.Key, error) {
			return k.OpenSecrets(ctx, keyring.Held(f.recovery))
		},
	}
	next, _, err := e.Change(t.Context(), edit)
	must(t, err)
	f.keys = next
}

// restorer opens the repository with the recovery key.
func (f *fixture) restorer(t *testing.T) *repo.Repository {
	t.Helper()
	r, err := repo.OpenContent(t.Context(), f.store, f.keys, keyring.Held(f.recovery), repo.Options{})
	must(t, err)
	t.Cleanup(func() { r.Close() })
	return r
}

// After the mark the archives from before the theft come back, with and without index objects, and nothing else that the key signed counts:
// neither what came later, nor what a host says of it, nor other bytes under a name that counts.
func TestMarked(t *testing.T) {
	f := newFixture(t, false)
	other := generate(t, "nightjar host web2")
	f.change(t, func(d *keyring.Draft) error { return d.AddHost("web2", other, keyring.Backup, keyring.Prune) })
	write(t, filepath.Join(f.src, "a"), bytes.Repeat([]byte("from before the theft\n"), 1000))
	f.backup(t)
	good, before := f.last.ID, look(t, f.src)
	theft := time.Now()
	time.Sleep(20 * time.Millisecond)
	write(t, filepath.Join(f.src, "a"), []byte("the thief's"))
	write(t, filepath.Join(f.src, "b"), []byte("the thief's"))
	f.backup(t)
	bad := f.last.ID
	badID, err := index.ParseObjectID(bad)
	must(t, err)

	_, err = vouch.Archives(t.Context(), f.restorer(t), vouch.Options{Who: "web1", Before: theft})
	must(t, err)
	var all []index.ObjectID
	for _, name := range tops(t, filepath.Join(f.dir, "index")) {
		id, err := index.ParseObjectID(name)
		must(t, err)
		all = append(all, id)
	}
	claim, err := record.Encode(&record.Verified{Archives: []index.ObjectID{badID}, Objects: append(all, badID), View: time.Now()})
	must(t, err)
	for _, key := range []*crypto.Key{f.host, other} { // no host takes a mark back, neither the marked one nor another
		_, err = f.restorer(t).PutRecordAs(t.Context(), key, record.VerifiedKind, claim)
		must(t, err)
	}
	f.change(t, func(d *keyring.Draft) error { return d.MarkCompromised("web1") })

	s := newShell(t, f.dir, f.kit(t, ""))
	s.openKeys("keys/000003 is genuine", good[:16]+" web1 ", "objects do not count: a key that is marked compromised signed them")
	if strings.Contains(s.said, bad[:16]) || strings.Contains(s.said, "PROBLEM") {
		t.Errorf("it lists:\n%s", s.said)
	}
	for _, command := range []string{s.page.steps[6], s.page.others["scan"]} {
		must(t, os.RemoveAll(s.path("target")))
		if err := s.restore(command, f.src); err != nil || strings.Contains(s.said, "PROBLEM") {
			t.Fatalf("%v\n%s", err, s.said)
		}
		got := look(t, s.path("target"))
		for name, w := range before {
			if g, ok := got[name]; !ok || g.content != w.content {
				t.Errorf("%s comes back as %.30q", name, g.content)
			}
		}
		if len(got) != len(before) {
			t.Errorf("%d entries come back", len(got))
		}
	}

	thiefs, err := os.ReadFile(filepath.Join(f.dir, "archive", bad))
	must(t, err)
	must(t, os.Chmod(filepath.Join(f.dir, "archive", good), 0o600))
	write(t, filepath.Join(f.dir, "archive", good), thiefs)
	if err := s.run(s.environment(), s.page.steps[5]); err == nil || strings.Contains(s.said, " web1 ") {
		t.Errorf("the thief's archive counts under a name that counts: %v\n%s", err, s.said)
	}
	s.says("its name is not its hash")
}

// A host's archive is its own: one that another signs for it is not listed.
func TestOthersName(t *testing.T) {
	f := newFixture(t, true)
	write(t, filepath.Join(f.src, "a"), []byte("a"))
	f.backup(t)
	other := generate(t, "nightjar host web2")
	f.change(t, func(d *keyring.Draft) error { return d.AddHost("web2", other, keyring.Backup) })
	f.open(t)
	content, err := json.Marshal(f.last)
	must(t, err)
	_, err = f.repo.PutRecordAs(t.Context(), other, "archive", content)
	must(t, err)
	s := newShell(t, f.dir, f.kit(t, ""))
	must(t, s.run("exec 2>&1", strings.Join(s.page.steps[:5], "\n")))
	if err := s.run(s.environment(), s.page.steps[5]); err == nil {
		t.Error("listed without a word")
	}
	s.says("of another host than its signer", "1 problems")
	if strings.Count(s.said, " web1 ") != 1 {
		t.Errorf("it lists:\n%s", s.said)
	}
}

// Nothing true counts under another name or in another repository: keys, config, archives, index objects.
func TestOtherNames(t *testing.T) {
	f, stranger := newFixture(t, true), newFixture(t, true)
	write(t, filepath.Join(f.src, "a"), []byte("a"))
	f.backup(t)
	write(t, filepath.Join(stranger.src, "a"), []byte("a"))
	stranger.backup(t)
	link := func(from, to string) {
		t.Helper()
		content, err := os.ReadFile(from)
		must(t, err)
		write(t, filepath.Join(f.dir, to), content)
	}
	archive, indexed := tops(t, filepath.Join(f.dir, "archive"))[0], tops(t, filepath.Join(f.dir, "index"))[0]
	link(filepath.Join(f.dir, "keys/000001"), "keys/000009")
	link(filepath.Join(f.dir, "keys/000001"), "keys/1000000")
	link(filepath.Join(f.dir, "config"), "keys/000010")
	link(filepath.Join(stranger.dir, "keys/000001"), "keys/000002")
	link(filepath.Join(f.dir, "archive", archive), "archive/"+strings.Repeat("ab", 32))
	link(filepath.Join(f.dir, "index", indexed), "archive/"+indexed)
	link(filepath.Join(f.dir, "archive", archive), "index/"+archive)
	foreign := tops(t, filepath.Join(stranger.dir, "archive"))[0]
	link(filepath.Join(stranger.dir, "archive", foreign), "archive/"+foreign)
	s := newShell(t, f.dir, f.kit(t, ""))
	s.must(s.page.steps[:3]...)
	for _, n := range []string{"000009", "1000000", "000010", "000002"} {
		s.says("keys/" + n + " is NOT genuine")
	}
	s.says("keys/000001 is genuine")
	s.must(s.environment(), s.page.steps[3], s.page.steps[4])
	if err := s.run(s.environment(), s.page.steps[5]); err == nil {
		t.Error("listed without a word")
	}
	s.says("archive/"+strings.Repeat("ab", 32)+": its name is not its hash", "archive/"+indexed+": it is signed as", "archive/"+foreign, "3 problems")
	if strings.Count(s.said, " web1 ") != 1 {
		t.Errorf("it lists:\n%s", s.said)
	}
	if err := s.restore(s.page.steps[6], f.src); err == nil {
		t.Error("restored without a word")
	}
	s.says("index/" + archive + ": it is signed as")
	if b, err := os.ReadFile(s.path("target/a")); err != nil || string(b) != "a" {
		t.Errorf("%q, %v", b, err)
	}

	// The same for config, which a root of the past may have signed.
	must(t, os.Chmod(filepath.Join(f.dir, "config"), 0o600))
	link(filepath.Join(stranger.dir, "config"), "config")
	if err := s.run(s.environment(), s.page.steps[4]); err == nil || strings.Contains(s.said, "config is genuine") {
		t.Errorf("another repository's config passes: %v\n%s", err, s.said)
	}
}

// What is small costs little, whatever it decompresses to or says of itself.
func TestBounded(t *testing.T) {
	f := newFixture(t, true)
	write(t, filepath.Join(f.src, "a"), []byte("a"))
	f.backup(t)
	put := func(kind string, content []byte) {
		t.Helper()
		_, err := f.repo.PutRecord(t.Context(), kind, content)
		must(t, err)
	}
	head := append([]byte("NJI0"), 1, 0)                                      // a time; replaces nothing
	runs := append(slices.Clone(head), 0xff, 0xff, 0xff, 0xff, 0x0f)          // 2^32 runs, of nothing
	blobs := append(slices.Clone(head), 1, 4, 'w', 'e', 'b', '1', 0, 0, 0, 1) // one pack with as many blobs as fit, all of one key
	list := append([]byte{0, 1, 4, 'w', 'e', 'b', '1', 1, 1, 0}, 0xff, 0xff, 0x7f)
	list = append(list, make([]byte, 30<<20)...)
	blobs = append(blobs, make([]byte, 32+1+1+16)...)
	blobs = append(blobs, 0x8d, 0x80, 0x80, 0x0f) // the length of the directory
	put("index", append(runs, make([]byte, 31<<20)...))
	put("index", append(blobs, list...))
	put("index", append(slices.Clone(head), bytes.Repeat([]byte{0xff}, 1<<20)...)) // a number without an end
	put("archive", append([]byte(`{"version":0,"labels":"`), bytes.Repeat([]byte("a"), 60<<20)...))
	put("archive", bytes.Repeat([]byte("["), 3<<20))
	put("archive", append([]byte(`{"version":`), bytes.Repeat([]byte("9"), 3<<20)...))
	put("archive", []byte(`{"version":0,"host":"web1","time":7,"root":{"id":7}}`))
	s := newShell(t, f.dir, f.kit(t, ""))
	s.must(s.page.steps[:5]...)
	began := time.Now()
	if err := s.run("ulimit -v 1000000", s.environment(), s.page.steps[5]); err == nil {
		t.Error("listed without a word")
	}
	s.says("4 problems", " web1 "+f.src)
	if err := s.run("ulimit -v 1000000", s.environment(), s.page.steps[6]); err == nil {
		t.Error("restored without a word")
	}
	s.says("7 problems")
	if b, err := os.ReadFile(s.path("target" + f.src + "/a")); err != nil || string(b) != "a" {
		t.Errorf("%q, %v", b, err)
	}
	if took := time.Since(began); took > 5*time.Minute {
		t.Errorf("it took %v", took)
	}
}
