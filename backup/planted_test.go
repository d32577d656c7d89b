package backup_test

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dchest/siphash"

	"nightjar/backup/backuptest"
	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/keyring"
	"nightjar/repo/store"
	"nightjar/repo/tree"
)

// chosenSecret is a source of randomness of which one piece of 32 bytes is a secret for which colliding names were found, which takes minutes.
type chosenSecret struct{ before int } // how many pieces come before it

var foundSecret = chunk.Secret{1, 2, 3}

func (c *chosenSecret) Read(p []byte) (int, error) {
	if len(p) == len(foundSecret) {
		if c.before--; c.before == -1 {
			return copy(p, foundSecret[:]), nil
		}
	}
	return rand.Read(p)
}

// withFoundSecret makes a repository that has that secret: keys are made of 32 random bytes, too, some before it.
func withFoundSecret(t *testing.T, key *crypto.Key) *repo.Repository {
	t.Helper()
	for before := range 64 {
		s := store.NewMemory(nil)
		keys, err := repo.Init(t.Context(), s, repo.InitOptions{HostName: "host", Host: key, Recovery: []*crypto.Key{key}, Random: &chosenSecret{before % 16}})
		if err != nil {
			continue // a key that was made of it may be none
		}
		r, err := repo.OpenContent(t.Context(), s, keys, keyring.Held(key), repo.Options{IndexDir: t.TempDir()})
		must(t, err)
		t.Cleanup(func() { must(t, r.Close()) })
		if r.Secret() == foundSecret {
			return r
		}
	}
	t.Fatal("no repository has the secret")
	return nil
}

// planted returns where in a tree of the last archive the bytes stand; -1: nowhere.
func planted(t *testing.T, s *site, what []byte) int {
	t.Helper()
	rd, at := s.Reader(), -1
	get := func(id chunk.ID) ([]byte, error) {
		data, err := rd.Metadata(t.Context(), id)
		if i := bytes.Index(data, what); i >= 0 {
			at = i
		}
		return data, err
	}
	var walk func(c tree.Contents)
	walk = func(c tree.Contents) {
		for n, err := range tree.Nodes(c, get) {
			must(t, err)
			if n.IsDir() {
				walk(n.Contents)
			}
		}
	}
	walk(tree.Contents{Items: []tree.Item{{ID: s.Last.Root.ID, Length: s.Last.Root.Length}}})
	return at
}

// Somebody who knows the repository's secret, as each of its hosts does, gives a file in a folder that is shared one name, and then another that has the same sum under
// a key that is known beforehand. All that is in the folder restores all the same.
func TestPlantedName(t *testing.T) {
	t.Parallel()
	key, err := crypto.Generate("host", time.Now(), rand.Reader)
	must(t, err)
	r := withFoundSecret(t, key)
	must(t, r.SetHost(key))
	shared := r.Secret().Key(chunk.Blocks)
	sum := func(name string) uint64 {
		return siphash.Hash(binary.LittleEndian.Uint64(shared[16:]), binary.LittleEndian.Uint64(shared[24:]), []byte(name))
	}
	one, other := strings.Repeat("x", 48)+"dncfpojgdljcodkj", strings.Repeat("x", 48)+"fmnipcgndijhempe"
	if sum(one) != sum(other) {
		t.Fatal("the names have different sums")
	}

	s := &site{&backuptest.Site{T: t, Repo: r, Src: t.TempDir(), Log: new(backuptest.Problems)}}
	for i := range 400 {
		s.Write(fmt.Sprintf("shared/file-%03d", i), fmt.Sprint("content ", i))
	}
	name := "shared/f" // sorted after those, wherever the block has to stand
	s.Write(name+one, "content of a stranger")
	s.Save()
	at := planted(t, s, []byte(one))
	if at < 0 {
		t.Fatal("the name is in no tree")
	}
	pad := strings.Repeat("x", (64-at%64)%64)
	must(t, os.Rename(s.Path(name+one), s.Path(name+pad+one)))
	s.Save()
	if at := planted(t, s, []byte(pad+one)); (at+len(pad))%64 != 0 {
		t.Fatalf("the block stands at %d: this shows nothing", at+len(pad))
	}
	must(t, os.Rename(s.Path(name+pad+one), s.Path(name+pad+other)))
	if st := s.Save(); st.MetadataNew > 16<<10 {
		t.Errorf("%d bytes of metadata: the tree is no recipe, so this shows nothing", st.MetadataNew)
	}
	want := backuptest.FactsOf(t, s.Src)
	target, st := s.Restore()
	s.Log.None(t)
	backuptest.Same(t, backuptest.FactsOf(t, target).Below(), want.Below())
	if st.Files != 401 {
		t.Errorf("%d of 401 files came back", st.Files)
	}
}
