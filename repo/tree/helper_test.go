package tree

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"nightjar/chunk"
)

var testKey = []byte("0123456789abcdef0123456789abcdef")

// blobs is a store of trees and lists.
type blobs map[chunk.ID][]byte

func (s blobs) put(b []byte) (chunk.ID, error) {
	id := chunk.ID(sha256.Sum256(b))
	if _, ok := s[id]; !ok {
		s[id] = append([]byte(nil), b...)
	}
	return id, nil
}

var errMissing = errors.New("missing")

func (s blobs) get(id chunk.ID) ([]byte, error) {
	if b, ok := s[id]; ok {
		return b, nil
	}
	return nil, errMissing
}

// missing counts what s holds and old does not.
func (s blobs) missing(old blobs) int {
	n := 0
	for id := range s {
		if _, ok := old[id]; !ok {
			n++
		}
	}
	return n
}

func testID(seed uint64) chunk.ID {
	return chunk.ID(sha256.Sum256(fmt.Appendf(nil, "%d", seed)))
}

// fileNode is a regular file as they mostly are.
func fileNode(i int) Node {
	return Node{
		Name:  "file-" + strconv.Itoa(10_000_000+i),
		Mode:  Regular | 0o644,
		Owner: Owner{UID: 1000, GID: 1000, User: "tester", Group: "users"},
		Mtime: Time{Sec: 1_700_000_000 + int64(i), Nsec: 123_456_789},
		Ctime: Time{Sec: 1_700_000_001 + int64(i), Nsec: 987_654_321},
		Inode: 7_000_000 + uint64(i), Links: 1, Size: 1000 + uint64(i),
		Contents: Contents{Items: []Item{{ID: chunk.ID{byte(i), byte(i >> 8), byte(i >> 16), 1}, Length: 1000 + int64(i)}}},
	}
}

// sampleNodes has an entry of every type and shape, in order.
func sampleNodes() []Node {
	root, someone := Owner{User: "root", Group: "root"}, Owner{UID: 1<<32 - 1, GID: 12, Group: "wheel"}
	t := Time{Sec: 1_700_000_000, Nsec: 999_999_999}
	solid := []Item{{ID: testID(1), Length: 4097}}
	return []Node{
		{Name: "\x01\xff\xfe", Mode: Directory | 0o755, Owner: root, Mtime: t, Links: 3},
		{Name: "...", Mode: Directory | 0o7777, Owner: someone, Links: 2, Contents: Contents{Items: solid}},
		{Name: "big", Mode: Directory, Owner: someone, Contents: Contents{Level: 2, Items: solid}},
		{Name: "block", Mode: BlockDevice | 0o600, Owner: root, Links: 1, Major: 8, Minor: 1<<32 - 1},
		{Name: "char", Mode: CharDevice | 0o600, Owner: root, Links: 2, Device: 9, Major: 1, Minor: 3},
		{Name: "fifo", Mode: FIFO, Owner: root, Links: 1, Mtime: Time{Sec: -1 << 63}, Ctime: Time{Sec: 1<<63 - 1}},
		{Name: "linked", Mode: Regular, Owner: root, Inode: 1<<64 - 1, Links: 2, Device: 1<<64 - 1},
		{Name: "sock", Mode: Socket, Owner: someone, Links: 1},
		{Name: "sparse", Mode: Regular | 0o4755, Flags: Unsettled, Owner: root, Links: 1, Size: 4097 + 1<<40,
			Contents: Contents{Items: []Item{{Length: 1 << 40, Hole: true}, solid[0]}}},
		{Name: "symlink", Mode: Symlink | 0o777, Owner: root, Links: 1, Target: "../\xff"},
		{Name: "xattrs", Mode: Regular, Owner: root, Links: 1,
			Xattrs: []Xattr{{"security.capability", []byte{1, 2, 0}}, {"user.a", []byte{}}, {"user.b", []byte("c")}}},
		{Name: "xattrs-long", Mode: Symlink, Owner: root, Links: 1, XattrContents: &Contents{Items: solid}},
	}
}

// encodeOne encodes nodes as one tree, wherever it should be cut.
func encodeOne(tb testing.TB, nodes []Node) []byte {
	tb.Helper()
	var p page
	for i := range nodes {
		if err := p.add(&nodes[i]); err != nil {
			tb.Fatalf("encode %q: %v", nodes[i].Name, err)
		}
	}
	return p.appendTree(nil, p.mark())
}

// encodeDir encodes a directory into s.
func encodeDir(tb testing.TB, s blobs, n int, node func(i int) *Node) []Item {
	tb.Helper()
	e := NewEncoder(testKey, s.put)
	for i := range n {
		if x := node(i); x != nil {
			if err := e.Add(x); err != nil {
				tb.Fatal(err)
			}
		}
	}
	items, err := e.Finish()
	if err != nil {
		tb.Fatal(err)
	}
	return items
}

// contentsOf makes contents of items, with lists in s.
func contentsOf(tb testing.TB, s blobs, items []Item) Contents {
	tb.Helper()
	l := NewLister(s.put)
	for _, it := range items {
		if err := l.Add(it); err != nil {
			tb.Fatal(err)
		}
	}
	c, err := l.Finish()
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// randomItems makes chunks with ids of a generator's choice.
func randomItems(n int) []Item {
	r := rand.NewChaCha8([32]byte{1})
	items := make([]Item, n)
	for i := range items {
		r.Read(items[i].ID[:])
		items[i].Length = int64(r.Uint64()%chunk.MaxSize) + 1
	}
	return items
}
