package directory_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// BenchmarkDirPut measures what durability costs. On the disk where it was
// decided to have no option to go without: 65 ms for a pack of 16 MiB, 5 ms
// unsynced, nearly all of it waiting, so that it overlaps with making the next.
func BenchmarkDirPut(b *testing.B) {
	pack := make([]byte, 16<<20)
	rand.NewChaCha8([32]byte{}).Read(pack)
	b.Run("durable", func(b *testing.B) {
		d := openDir(b, b.TempDir())
		b.SetBytes(int64(len(pack)))
		for i := range b.N {
			if _, err := d.Put(b.Context(), fmt.Sprintf("content/%02x/%d", i%256, i), pack); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("unsynced", func(b *testing.B) {
		dir := b.TempDir()
		b.SetBytes(int64(len(pack)))
		for i := range b.N {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), pack, 0o600); err != nil {
				b.Fatal(err)
			}
		}
	})
}
