package recover_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"nightjar/repo/index"
	"nightjar/repo/pack"
	"nightjar/repo/tree"
)

// examples returns the bytes that doc/format.md shows, by name.
func examples(t *testing.T) map[string][]byte {
	t.Helper()
	text, err := os.ReadFile("../../doc/format.md")
	must(t, err)
	found := map[string][]byte{}
	for _, m := range fence.FindAllStringSubmatch(string(text), -1) {
		if m[1] != "hex" {
			continue
		}
		digits := regexp.MustCompile(`#.*|\s`).ReplaceAllString(m[3], "")
		if found[m[2]], err = hex.DecodeString(digits); err != nil {
			t.Fatalf("example %s: %v", m[2], err)
		}
	}
	if got := slices.Sorted(maps.Keys(found)); strings.Join(got, " ") != "directory index list recipe tree" {
		t.Fatalf("examples are %q", got)
	}
	return found
}

// The codecs read what the format's page shows, and write it again.
func TestExamples(t *testing.T) {
	all := examples(t)
	same := func(name string, again []byte) {
		if !bytes.Equal(again, all[name]) {
			t.Errorf("%s:\nis written %x\n      shown %x", name, again, all[name])
		}
	}
	d, err := pack.ParseDirectory(all["directory"])
	must(t, err)
	same("directory", d.Append(nil))
	if f := d.Frames[0]; d.Kind != pack.Content || d.Owner != "web1" || f.Stored != 34 || f.Plain != 8 || f.Blobs[0].Length != 5 || f.Blobs[1].Key[0] != 0x10 {
		t.Errorf("directory: %+v", d)
	}

	o, err := index.ParseObject(all["index"])
	must(t, err)
	same("index", o.Append(nil))
	if p := o.Runs[0].Packs[0]; p.ID[0] != 1 || p.Size != 416 || p.Proof[0] != 7 || o.Runs[0].Owner != "web1" || len(p.Hashes) != 1 || p.Hashes[0][0] != 2 {
		t.Errorf("index: %+v", o)
	}

	items, err := tree.DecodeList(all["list"])
	must(t, err)
	same("list", tree.EncodeList(items))
	if len(items) != 2 || items[0].Length != 1000 || items[0].ID[0] != 3 || items[1].Length != 4096 || !items[1].Hole {
		t.Errorf("list: %+v", items)
	}

	nodes, err := tree.Decode(all["tree"])
	must(t, err)
	a, b := nodes[0], nodes[1]
	if a.Name != "a" || a.Mode != 0o100644 || a.Owner != (tree.Owner{UID: 1000, GID: 1001, User: "ann"}) || a.Mtime != (tree.Time{Sec: 1_500_000_008, Nsec: 5}) ||
		a.Ctime.Sec != -1 || a.Inode != 42 || a.Links != 2 || a.Device != 7 || a.Size != 5 || a.Contents.Items[0].ID[0] != 4 {
		t.Errorf("tree: %+v", a)
	}
	if b.Name != "b" || b.Mode != 0o120777 || b.Target != "a" || b.Inode != 43 || len(b.Xattrs) != 1 || b.Xattrs[0].Name != "user.x" || string(b.Xattrs[0].Value) != "123" {
		t.Errorf("tree: %+v", b)
	}
}

// read runs the script's functions on the examples, which come as hex.
const read = `
import json, sys
sys.path.insert(0, sys.argv[1])
from recover import *
x = {name: bytes.fromhex(b) for name, b in json.load(sys.stdin).items()}
chunks = {(b"\5" * 32, 3): b"XYZ", (b"\6" * 32, 8): b"abcdefgh"}
def source(id, length): return chunks[id, length]
if "tree" not in x:
    for name in sorted(x):
        try: print(name, rebuild(x[name], source))
        except Exception as err: print(name, "refused:", err)
    sys.exit()
a, b = entries(x["tree"])
print(a.name, oct(a.mode), a.owner, a.mtime, a.ctime, a.same, a.size, a.contents[0], a.contents[1][0][0])
print(b.name, oct(b.mode), b.same, b.target, b.xattrs)
print([(n, id and id[:1]) for n, id in Bytes(x["list"]).contents()[1]])
index(x["index"], None)
print(packs, [[PLACE.unpack(p) for p in (where[k],)] for k in sorted(where)])
print(rebuild(x["recipe"], source))
`

// python runs the script's functions on some encodings, and returns what it prints.
func python(t *testing.T, in map[string][]byte) string {
	t.Helper()
	s := newShell(t, "none", nil)
	write(t, s.path("recover.py"), []byte(s.page.script))
	text := map[string]string{}
	for name, b := range in {
		text[name] = hex.EncodeToString(b)
	}
	stdin, err := json.Marshal(text)
	must(t, err)
	cmd := exec.Command("python3", "-B", "-c", read, filepath.Dir(s.path("recover.py")))
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

func TestScriptReadsExamples(t *testing.T) {
	const want = `b'a' 0o100644 (1000, 1001, b'ann', b'') 1500000008000000005 -1000000000 (42, 7) 5 0 5
b'b' 0o120777 False b'a' b'\x01\x06user.x\x03123'
[(1000, b'\x03'), (4096, None)]
[('content/01/0101010101010101010101010101010101010101010101010101010101010101', 8, b'web1', b'\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07')] [[(0, 0, 5, 1)], [(0, 5, 3, 1)]]
b'cdefXYZabc'
`
	if got := python(t, examples(t)); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// No recipe, however damaged, makes another length than it says or reaches outside its sources.
func TestScriptRefusesRecipes(t *testing.T) {
	good := examples(t)["recipe"]
	change := func(at int, b byte) []byte {
		c := bytes.Clone(good)
		c[at] = b
		return c
	}
	got := python(t, map[string][]byte{
		"0 good":           good,
		"1 version":        change(0, 1),
		"2 longer":         change(1, 11),
		"3 shorter":        change(1, 9),
		"4 literal":        change(2, 4),
		"5 unknown source": change(3, 9),
		"6 source's size":  change(len(good)-11, 7),
		"7 source number":  change(len(good)-9, 2),
		"8 offset":         change(len(good)-8, 5),
		"9 truncated":      good[:len(good)-1],
	})
	lines := strings.Split(strings.TrimSpace(got), "\n")
	if len(lines) != 10 || lines[0] != "0 good b'cdefXYZabc'" {
		t.Fatalf("got\n%s", got)
	}
	for _, line := range lines[1:] {
		if !strings.Contains(line, " refused: ") {
			t.Error(line)
		}
	}
}
