package backup_test

import (
	"context"
	"encoding/binary"
	"os"
	"testing"

	"nightjar/backup"
	"nightjar/backup/backuptest"
	"nightjar/backup/content"
	"nightjar/repo"
)

// The grid of a file whose first page is a tablespace's follows its pages, in each way that a file is read. That of the same file without such a page does not.
func TestPages(t *testing.T) {
	t.Parallel()
	const page = 16 << 10
	for name, c := range map[string]struct {
		pages      int
		tablespace bool
		hole       int // pages of it
	}{
		"large":       {pages: 120, tablespace: true},
		"small":       {pages: 20, tablespace: true},
		"with a hole": {pages: 120, tablespace: true, hole: 11},
		"no pages":    {pages: 120},
	} {
		s := newSite(t)
		s.Write("table", "")
		f, err := os.OpenFile(s.Path("table"), os.O_RDWR, 0)
		must(t, err)
		defer f.Close()
		write := func(data []byte, at int) {
			t.Helper()
			_, err := f.WriteAt(data, int64(at))
			must(t, err)
		}
		edges := func() (changed int) { // of every third page, as the change of a row leaves them
			for at := (2 + c.hole) * page; at < c.pages*page; at += 3 * page {
				write(backuptest.Random(8), at)
				write(backuptest.Random(8), at+page-8)
				changed++
			}
			return changed
		}
		write(backuptest.Random((c.pages-1-c.hole)*page), (1+c.hole)*page)
		first := make([]byte, page)
		if c.tablespace {
			binary.BigEndian.PutUint16(first[24:], 8)
			binary.BigEndian.PutUint32(first[34:], 77)
			binary.BigEndian.PutUint32(first[38:], 77)
		}
		write(first, 0)
		s.Save()
		edges()
		s.Save() // signs what does not compress, now that it changes
		changed := edges()
		st := s.Save()
		if most := uint64(changed*2*46 + 100); (st.BytesLiteral <= most) != c.tablespace || st.ChunksDelta == 0 {
			t.Errorf("%s: %d bytes of literals for the edges of %d pages, %d chunks", name, st.BytesLiteral, changed, st.ChunksDelta)
		}
	}
}

// So does that of a content of which the caller says the size of its pages, whatever its first page is.
func TestRunPages(t *testing.T) {
	t.Parallel()
	const page, count = 16 << 10, 120
	for hint, follows := range map[int]bool{0: false, page: true, 12345: false, -page: false} {
		s := newSite(t)
		data := backuptest.Random(page * count)
		night := func() backup.Statistics {
			for at := page; at < len(data); at += 2 * page {
				copy(data[at-8:], backuptest.Random(8+8))
			}
			return s.run(func(_ context.Context, run *backup.Run) (repo.Labels, error) {
				c, err := run.Create("shop/orders.ibd", content.Hint{Page: hint})
				if err != nil {
					return nil, err
				}
				defer c.Abort()
				if _, err := c.Write(data); err != nil {
					return nil, err
				}
				return nil, c.Close()
			})
		}
		night()
		night()
		if st := night(); (st.BytesLiteral <= count/2*46) != follows || st.ChunksDelta == 0 {
			t.Errorf("pages of %d: %d bytes of literals", hint, st.BytesLiteral)
		}
		s.wants(map[string]string{"shop/orders.ibd": string(data)})
	}
}

// With blocks that are finer, a content that changes in few bytes at many places sends less of what did not change.
func TestRunFine(t *testing.T) {
	t.Parallel()
	const step, count = 8 << 10, 200
	literal := map[bool]uint64{}
	for _, fine := range []bool{false, true} {
		s := newSite(t)
		data := backuptest.Random(step * count)
		night := func() backup.Statistics {
			for at := 0; at < len(data); at += step {
				copy(data[at:], backuptest.Random(8))
			}
			return s.run(func(_ context.Context, run *backup.Run) (repo.Labels, error) {
				c, err := run.Create("rows", content.Hint{Fine: fine})
				if err != nil {
					return nil, err
				}
				defer c.Abort()
				if _, err := c.Write(data); err != nil {
					return nil, err
				}
				return nil, c.Close()
			})
		}
		night()
		night()
		st := night() // whose bases have literals, too
		if literal[fine] = st.BytesLiteral; st.ChunksDelta == 0 {
			t.Errorf("fine %v: nothing is a delta", fine)
		}
		s.wants(map[string]string{"rows": string(data)})
	}
	if literal[true]*3 > literal[false]*2 {
		t.Errorf("%d bytes of literals, %d without", literal[true], literal[false])
	}
}
