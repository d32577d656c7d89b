package recover_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/keyring"
	"nightjar/repo/pack"
	"nightjar/repo/save"
	"nightjar/repo/sealed"
	"nightjar/repo/tree"
)

// entry encodes an entry by hand: the encoder refuses such names.
func entry(name string, mode, size uint64, rest []byte) []byte {
	b := binary.AppendUvarint(nil, uint64(len(name)))
	b = append(b, name...)
	b = binary.AppendUvarint(b, mode)
	b = append(b, 0, 0, 0, 0, 0, 0, 1, 1) // flags, owner, mtime, ctime, inode, links
	b = binary.AppendUvarint(b, size)
	return append(append(b, 0), rest...)
}

// contents encodes items of level 0.
func contents(items ...tree.Item) []byte {
	b := binary.AppendUvarint([]byte{0}, uint64(len(items)))
	for _, i := range items {
		b = append(binary.AppendUvarint(b, uint64(i.Length)*2), i.ID[:]...)
	}
	return b
}

// target is the rest of a symbolic link's entry.
func target(path string) []byte {
	return append(binary.AppendUvarint(nil, uint64(len(path))), path...)
}

// plant commits an archive with trees that no encoder of ours would make.
func (f *fixture) plant(t *testing.T, outside string) {
	t.Helper()
	_, err := save.Write(context.Background(), f.repo, new(save.Sent), func(_ context.Context, w *save.Writer) (*repo.Record, error) {
		s, err := w.NewSaver()
		must(t, err)
		id, err := s.Content([]byte("pwned"))
		must(t, err)
		body := contents(tree.Item{ID: id, Length: 5})
		save := func(entries ...[]byte) tree.Item {
			b := []byte{0, 1, 0, 0, 0, 0} // version, one owner: root without names
			b = binary.AppendUvarint(b, uint64(len(entries)))
			for _, e := range entries {
				b = append(b, e...)
			}
			id, err := s.Tree(b)
			must(t, err)
			return tree.Item{ID: id, Length: int64(len(b))}
		}
		file := func(name string) []byte { return entry(name, tree.Regular|0o644, 5, body) }
		dir := func(name string, items ...tree.Item) []byte {
			return entry(name, tree.Directory|0o755, 0, contents(items...))
		}
		link := func(name, to string) []byte { return entry(name, tree.Symlink|0o777, 0, target(to)) }
		root := save(dir("root", save(
			dir("absolute", save(file(outside+"/absolute"))),
			dir("again", save(link("a", outside)), save(dir("a", save(file("through a directory"))))),
			dir("file", save(link("f", outside+"/through a file")), save(file("f"))),
			file("good"),
			dir("nul", save(file("a\x00b"))),
			dir("parent", save(dir("..", save(file("parent"))))),
			dir("slash", save(file("../../outside/slash"))),
			dir("twice", save(link("l", outside), dir("l", save(file("through a link"))))),
		)))
		return &repo.Record{Host: "web1", Job: "job", Root: repo.Root{ID: root.ID, Length: root.Length}, Start: time.Now(), End: time.Now()}, nil
	})
	must(t, err)
}

func TestHostileNames(t *testing.T) {
	f := newFixture(t, true)
	s := newShell(t, f.dir, f.kit(t, ""))
	outside := s.path("outside")
	must(t, os.Mkdir(outside, 0o755))
	f.plant(t, outside)
	s.open()
	before := strings.Join(tops(t, s.dir), " ")
	if err := s.run(s.environment(), s.page.steps[6]); err == nil {
		t.Error("restored without a word")
	}
	s.says("hostile name", "7 problems")
	if got := tops(t, outside); len(got) > 0 {
		t.Errorf("it made %q", got)
	}
	if got := strings.Join(tops(t, s.dir), " "); got != before+" target" && got != strings.Replace(before, " w", " target w", 1) {
		t.Errorf("it made %q of %q", got, before)
	}
	if b, err := os.ReadFile(s.path("target/good")); err != nil || string(b) != "pwned" {
		t.Errorf("the good file: %q, %v", b, err)
	}
	if err := s.run(s.environment(), s.page.steps[6]); err == nil || !strings.Contains(s.said, "File exists") {
		t.Errorf("a target that exists: %v: %s", err, s.said)
	}
}

func tops(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestForged plants an archive that a stranger sealed, and an index object under an archive's name.
func TestForged(t *testing.T) {
	f := newFixture(t, true)
	write(t, filepath.Join(f.src, "a"), []byte("a"))
	f.backup(t)
	s := newShell(t, f.dir, f.kit(t, ""))

	index, err := os.ReadFile(largest(t, filepath.Join(f.dir, "index")))
	must(t, err)
	write(t, filepath.Join(f.dir, "archive", name(index)), index)
	keys, err := os.ReadFile(filepath.Join(f.dir, "keys/000001"))
	must(t, err)
	claim, err := crypto.PeekUnverified(keys)
	must(t, err)
	var record struct {
		Metadata []struct{ Certificate string }
	}
	must(t, json.Unmarshal(claim, &record))
	metadata, err := crypto.ReadKey([]byte(record.Metadata[0].Certificate))
	must(t, err)
	b := crypto.Binding{Repository: f.keys.ID(), Kind: "archive", Version: 0}
	stranger := generate(t, "nightjar host web1")
	sealer, err := crypto.NewSealer(metadata, stranger, b, nil, time.Now)
	must(t, err)
	compressor, err := pack.NewCompressor(pack.Default)
	must(t, err)
	forged, err := json.Marshal(repo.Record{Host: "evil", Time: time.Now().Add(time.Hour), Root: repo.Root{ID: chunk.ID{1}}})
	must(t, err)
	sealed, err := sealer.Seal(compressor.AppendRecord(nil, forged))
	must(t, err)
	write(t, filepath.Join(f.dir, "archive", name(sealed.Object)), sealed.Object)

	s.must(s.page.steps[:5]...)
	for _, known := range []bool{false, true} { // even if gpg has the stranger's key, and finds the signature good
		if known {
			armored, err := stranger.ArmorPublic()
			must(t, err)
			write(t, s.path("stranger.asc"), armored)
			s.must(s.environment(), "gpg --batch --import "+s.path("stranger.asc"))
		}
		if err := s.run(s.environment(), s.page.steps[5]); err == nil {
			t.Error("listed without a word")
		}
		s.says("web1 "+f.src, "archive/"+name(index)+": it is signed as", "PROBLEM with archive/"+name(sealed.Object), "2 problems")
		if strings.Contains(s.said, "evil") {
			t.Errorf("a stranger's archive is listed:\n%s", s.said)
		}
	}
	s.says("it is signed by " + string(stranger.Fingerprint()))
}

func name(object []byte) string {
	sum := sha256.Sum256(object)
	return hex.EncodeToString(sum[:])
}

// An archive that a second host makes of the first one's chunks delivers none of them, whatever its indexes say; with leave to build on the first it does.
func TestForeign(t *testing.T) {
	f := newFixture(t, false)
	write(t, filepath.Join(f.src, "secret"), []byte("a private key"))
	f.backup(t)
	ctx := context.Background()
	other := generate(t, "nightjar host web2")
	e := keyring.Editor{
		Store: f.store, Now: time.Now, Random: rand.Reader,
		Load: func(context.Context) (*keyring.Keyring, error) { return f.keys, nil },
		Open: func(ctx context.Context, k *keyring.Keyring) ([]*crypto.Key, error) {
			return k.OpenSecrets(ctx, keyring.Held(f.recovery))
		},
	}
	change := func(edit func(*keyring.Draft) error) {
		next, _, err := e.Change(ctx, edit)
		must(t, err)
		f.keys = next
	}
	change(func(d *keyring.Draft) error { return d.AddHost("web2", other, keyring.Backup) })
	f.host = other
	f.open(t)
	now := time.Now().UTC()
	stolen, err := json.Marshal(repo.Record{Host: "web2", Job: "x", Root: f.last.Root, Paths: f.last.Paths, Time: now, Views: []time.Time{now}, Statistics: map[string]uint64{}, Complete: true})
	must(t, err)
	_, err = f.repo.PutRecord(ctx, "archive", stolen)
	must(t, err)
	for _, how := range []string{"", "claimed", "damaged"} { // what says whose it is may be damaged: the index alone speaks then
		if how == "damaged" {
			spoil(t, f.dir)
		}
		if how == "claimed" {
			var packs []index.Pack
			must(t, f.repo.IndexObjects(ctx, func(x sealed.IndexRecord) error {
				for _, p := range x.Object.Runs[0].Packs {
					p.Directory.Owner = "web2"
					packs = append(packs, p)
				}
				return x.Err
			}))
			claim := index.Object{Time: now, Runs: index.RunsOf(packs)}
			_, err = f.repo.PutRecord(ctx, "index", claim.Append(nil))
			must(t, err)
		}
		s := newShell(t, f.dir, f.kit(t, ""))
		s.openKeys("keys/000002 is genuine")
		if err := s.restore(s.page.steps[6], f.src); err == nil {
			t.Error("restored without a word")
		}
		s.says("of a host on which this one may not build")
		if b, err := os.ReadFile(s.path("target/secret")); err == nil {
			t.Errorf("%s: it delivers %q", how, b)
		}
	}
	spoil(t, f.dir)
	change(func(d *keyring.Draft) error { return d.SetTrust("web2", false, "web1") })
	s := newShell(t, f.dir, f.kit(t, ""))
	s.openKeys("keys/000003 is genuine")
	if err := s.restore(s.page.steps[6], f.src); err != nil || strings.Contains(s.said, "PROBLEM") {
		t.Fatalf("%v\n%s", err, s.said)
	}
	compare(t, look(t, f.src), look(t, s.path("target")))
}

// spoil changes the last byte of every content pack, or changes it back: the chunks stay, but no signature holds.
func spoil(t *testing.T, dir string) {
	t.Helper()
	packs, err := filepath.Glob(filepath.Join(dir, "content/*/*"))
	must(t, err)
	for _, path := range packs {
		b, err := os.ReadFile(path)
		must(t, err)
		b[len(b)-1] ^= 1
		must(t, os.Chmod(path, 0o600))
		must(t, os.WriteFile(path, b, 0o600))
	}
}
