package workload

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func hashOf(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// Other programs make the same file: its bytes are fixed.
func TestDatabase(t *testing.T) {
	name := filepath.Join(t.TempDir(), "new", "db")
	d := Database{Size: 1 << 20, Pages: 10, Seed: 1}
	if err := d.Create(name); err != nil {
		t.Fatal(err)
	}
	if got, want := hashOf(t, name), "738ef6246e28cd0901e42e7ad3f61e7eb77e989246ddcc0bed2fd8249307b172"; got != want {
		t.Errorf("first night %s, want %s", got, want)
	}
	first, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Change(name); err != nil {
		t.Fatal(err)
	}
	if got, want := hashOf(t, name), "36957702d1e654b0149902976d3c292aca66b139022c6cf23e085d84cacb1ee9"; got != want {
		t.Errorf("second night %s, want %s", got, want)
	}
	second, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	pages, changed := 0, 0
	for at := 0; at < len(first); at += pageSize {
		before := changed
		for i := at; i < at+pageSize; i++ {
			if first[i] != second[i] {
				changed++
			}
		}
		if changed > before {
			pages++
		}
	}
	if pages != d.Pages || changed > pages*PageChange || changed < pages*PageChange*95/100 {
		t.Errorf("%d pages and %d bytes changed", pages, changed)
	}
	// The third night changes others.
	if err := d.Change(name); err != nil {
		t.Fatal(err)
	}
	third, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(second, third) {
		t.Error("the third night changed nothing")
	}
}

func TestDatabaseRefused(t *testing.T) {
	name := filepath.Join(t.TempDir(), "db")
	if err := (Database{Size: pageSize - 1}).Create(name); err == nil {
		t.Error("a file smaller than a page was made")
	}
	if err := (Database{Pages: 1}).Change(name); err == nil {
		t.Error("a missing file was changed")
	}
}

// A dump is one row a line here, so that nights can be compared.
func readDump(t *testing.T, name string) (content string, keys []string, rows map[string]string) {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	rows = map[string]string{}
	for _, line := range strings.Split(string(raw), "\n") {
		values, ok := strings.CutPrefix(line, "INSERT INTO `")
		if !ok {
			continue
		}
		if len(line) > 1<<20 || !strings.HasSuffix(line, ");") {
			t.Errorf("a statement of %d bytes ends %q", len(line), line[max(0, len(line)-10):])
		}
		table, values, _ := strings.Cut(values, "` VALUES (")
		for _, row := range strings.Split(strings.TrimSuffix(values, ");"), "),(") {
			key, _, _ := strings.Cut(row, ",")
			key = table + " " + key
			keys = append(keys, key)
			if _, ok := rows[key]; ok {
				t.Fatalf("%s is there twice", key)
			}
			rows[key] = row
		}
	}
	return string(raw), keys, rows
}

func TestDump(t *testing.T) {
	d := Dump{Size: 4e6, Seed: 1}
	name := filepath.Join(t.TempDir(), "new", "shop.sql")
	made, err := d.First(name)
	if err != nil {
		t.Fatal(err)
	}
	content, keys, first := readDump(t, name)
	if made.Rows != len(first) || made.Bytes != int64(len(content)) || made.Changed+made.Inserted+made.Deleted != 0 {
		t.Errorf("%d rows, %d bytes, says %+v", len(first), len(content), made)
	}
	if float64(made.Bytes) < 0.95*float64(d.Size) || float64(made.Bytes) > 1.05*float64(d.Size) {
		t.Errorf("%d bytes, want about %d", made.Bytes, d.Size)
	}
	if statements := strings.Count(content, "INSERT INTO"); statements < 5 || statements > 6 {
		t.Errorf("%d statements", statements)
	}
	if !regexp.MustCompile(`\n-- Dump completed on \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\n$`).MatchString(content) {
		t.Error("the dump does not say that it is complete")
	}
	sessions := 0
	for i := 1; i < len(keys); i++ {
		if strings.HasPrefix(keys[i-1], "sessions") {
			sessions++
			if keys[i-1] >= keys[i] {
				t.Fatalf("%s comes before %s", keys[i-1], keys[i])
			}
		}
	}
	if sessions == 0 {
		t.Error("no sessions")
	}

	firstHash := hashOf(t, name)
	changes, err := d.Second(name)
	if err != nil {
		t.Fatal(err)
	}
	_, _, second := readDump(t, name)
	var changed, inserted, deleted int
	for key, row := range second {
		if old, ok := first[key]; !ok {
			inserted++
		} else if old != row {
			changed++
		}
	}
	for key := range first {
		if _, ok := second[key]; !ok {
			deleted++
		}
	}
	if changed != changes.Changed || inserted != changes.Inserted || deleted != changes.Deleted || len(second) != changes.Rows {
		t.Errorf("%d rows, %d changed, %d inserted, %d deleted; says %+v", len(second), changed, inserted, deleted, changes)
	}
	for what, share := range map[string]float64{"changed": float64(changed) / 10, "inserted": float64(inserted), "deleted": float64(deleted)} {
		if want := float64(len(first)) / 1000; share < want*0.6 || share > want*1.4 {
			t.Errorf("%s: %.0f of %d rows", what, share, len(first))
		}
	}

	secondHash := hashOf(t, name)
	if _, err := d.First(name); err != nil || hashOf(t, name) != firstHash {
		t.Errorf("the first night is another when made again: %v", err)
	}
	if _, err := d.Second(name); err != nil || hashOf(t, name) != secondHash {
		t.Errorf("the second night is another when made again: %v", err)
	}
	if _, err := (Dump{Size: d.Size, Seed: 2}).First(name); err != nil || hashOf(t, name) == firstHash {
		t.Errorf("another seed made the same dump: %v", err)
	}
}

func TestStream(t *testing.T) {
	const size = 4<<20 + 5
	var stream bytes.Buffer
	s := NewStream(size, 1)
	if n, err := s.WriteTo(&stream); err != nil || n != size || stream.Len() != size {
		t.Fatalf("%d bytes, says %d: %v", stream.Len(), n, err)
	}
	var beginning bytes.Buffer
	if _, err := s.First(pieceSize + 1).WriteTo(&beginning); err != nil || beginning.Len() != pieceSize+1 || !bytes.HasPrefix(stream.Bytes(), beginning.Bytes()) {
		t.Errorf("its first %d bytes are others: %v", beginning.Len(), err)
	}
	seen := map[[lineSize]byte]bool{}
	for b := stream.Bytes(); len(b) >= lineSize; b = b[lineSize:] {
		line := [lineSize]byte(b)
		if seen[line] {
			t.Fatal("a line occurs twice")
		}
		seen[line] = true
	}
	var compressed bytes.Buffer
	z, err := zstd.NewWriter(&compressed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(z, &stream); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if ratio := size / float64(compressed.Len()); ratio < 1.3 || ratio > 2 {
		t.Errorf("compresses %.2f:1", ratio)
	}
}

// fullDisk takes so many bytes.
type fullDisk int

func (d *fullDisk) Write(p []byte) (int, error) {
	n := min(len(p), int(*d))
	*d -= fullDisk(n)
	if n < len(p) {
		return n, io.ErrShortWrite
	}
	return n, nil
}

func TestStreamEndsAtError(t *testing.T) {
	disk := fullDisk(pieceSize + 7)
	if n, err := NewStream(10*pieceSize, 1).WriteTo(&disk); err == nil || n != pieceSize+7 {
		t.Errorf("%d bytes, %v", n, err)
	}
}
