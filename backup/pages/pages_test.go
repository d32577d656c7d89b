package pages

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// real returns the first pages of files that databases have made: MariaDB 10.11, MySQL 5.7 and 9.7, SQLite 3.40
// and PostgreSQL 15.
func real(t testing.TB) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob("testdata/*.gz")
	if err != nil || len(names) == 0 {
		t.Fatalf("%d files in testdata, %v", len(names), err)
	}
	all := map[string][]byte{}
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(filepath.Base(name), ".gz")] = data
	}
	return all
}

const fileSize = 1 << 20

func TestReal(t *testing.T) {
	want := map[string]int{
		"mariadb-table":             16 << 10,
		"mariadb-zip8":              8 << 10,
		"mariadb-zip1":              1 << 10,
		"mariadb-pagecompressed":    0,
		"mariadb-encrypted":         0,
		"mariadb-notencrypted":      16 << 10,
		"mariadb-ibdata1":           16 << 10,
		"mariadb-undo001":           16 << 10,
		"mariadb-4k-crc32":          4 << 10,
		"mariadb-4k-pagecompressed": 0,
		"mariadb-4k-zip2":           2 << 10,
		"mariadb-64k":               64 << 10,
		"mysql57-table":             16 << 10,
		"mysql57-zip4":              4 << 10,
		"mysql57-general":           16 << 10,
		"mysql57-ibdata1":           16 << 10,
		"mysql57-undo001":           16 << 10,
		"mysql97-table":             16 << 10,
		"mysql97-mysql":             16 << 10,
		"mysql97-ibdata1":           16 << 10,
		"mysql97-undo_001":          16 << 10,
		"sqlite-4k":                 4 << 10,
		"postgres-table":            8 << 10,
		"postgres-btree":            8 << 10,
	}
	first := real(t)
	for name, size := range want {
		if first[name] == nil {
			t.Errorf("no %s in testdata", name)
		}
		if got := Size(bytes.NewReader(first[name]), fileSize); got != size {
			t.Errorf("%s: pages of %d bytes, want %d", name, got, size)
		}
		// Nor is it one that ends within a page.
		if got := Size(bytes.NewReader(first[name]), fileSize+512); got != 0 {
			t.Errorf("%s, with half a kilobyte more: pages of %d bytes", name, got)
		}
	}
	if len(first) != len(want) {
		t.Errorf("%d files in testdata, want %d", len(first), len(want))
	}
}

// What is nearly such a page is none.
func TestUnlike(t *testing.T) {
	first := real(t)
	with := func(name string, at int, b ...byte) []byte {
		data := bytes.Clone(first[name])
		copy(data[at:], b)
		return data
	}
	for name, data := range map[string][]byte{
		"empty":                         nil,
		"short":                         first["mariadb-table"][:head-1],
		"zeros":                         make([]byte, 16<<10),
		"another page":                  with("mariadb-table", 7, 3),
		"a page of an index":            with("mariadb-table", pageType, 0x45, 0xbf),
		"two spaces":                    with("mariadb-table", headerSpace, 1),
		"pages too small":               with("mariadb-table", headerFlags+3, 1<<flagFull),
		"pages too large":               with("mariadb-table", headerFlags+3, 1<<flagFull|15),
		"zip too large":                 with("mysql57-table", headerFlags+3, 15<<flagZip&0xff&^(1<<flagFull)|8<<flagZip>>1),
		"encrypted by MySQL":            with("mysql57-table", headerFlags+2, 1<<(flagEncryption-8)),
		"an odd size":                   with("sqlite-4k", 16, 0x10, 0x01),
		"pages of 512":                  with("sqlite-4k", 16, 2, 0),
		"another version":               with("postgres-table", 18, 3),
		"lower beyond upper":            with("postgres-table", 12, 0xff, 0x1f, 0, 1),
		"special beyond the page":       with("postgres-table", 16, 1, 0x20),
		"a header that is cut in two":   with("postgres-table", 12, 8, 0),
		"a table cut off in its header": first["mariadb-64k"][:1000],
	} {
		if got := Size(bytes.NewReader(data), fileSize); got != 0 {
			t.Errorf("%s: pages of %d bytes", name, got)
		}
	}
	if got := Size(bytes.NewReader(with("sqlite-4k", 16, 0, 1)), fileSize); got != 64<<10 {
		t.Errorf("an SQLite database of the largest pages: %d", got)
	}
	if got := Size(failing{}, fileSize); got != 0 {
		t.Errorf("what cannot be read: pages of %d bytes", got)
	}
}

type failing struct{}

func (failing) ReadAt([]byte, int64) (int, error) { return 0, errors.New("no") }

// A counter says how much was asked for.
type counter struct {
	io.ReaderAt
	asked int
}

func (c *counter) ReadAt(b []byte, at int64) (int, error) {
	c.asked += len(b)
	return c.ReaderAt.ReadAt(b, at)
}

func FuzzSize(f *testing.F) {
	for _, data := range real(f) {
		f.Add(data, int64(fileSize))
	}
	f.Fuzz(func(t *testing.T, data []byte, size int64) {
		r := &counter{ReaderAt: bytes.NewReader(data)}
		got := Size(r, size)
		if got != 0 && (got < minPage || got > maxPage || got&(got-1) != 0 || size%int64(got) != 0) {
			t.Errorf("pages of %d bytes in %d", got, size)
		}
		if r.asked > head+maxPage {
			t.Errorf("%d bytes were asked for", r.asked)
		}
	})
}

// The mark of an encrypted tablespace counts wherever it stands, and only with a key in use.
func TestEncrypted(t *testing.T) {
	key := func(scheme, length byte, version uint32) []byte {
		return binary.BigEndian.AppendUint32(slices.Concat(make([]byte, 500), []byte("s\x0e\x0cREt"), []byte{scheme, length}, make([]byte, 16)), version)
	}
	for page, want := range map[string]bool{
		string(key(1, 16, 1)):       true,
		string(key(1, 16, 0)):       false,
		string(key(0, 16, 1)):       false,
		string(key(1, 15, 1)):       false,
		string(key(1, 16, 1)[:520]): false,
		"":                          false,
	} {
		if encrypted([]byte(page)) != want {
			t.Errorf("%x: %v", page, !want)
		}
	}
}
