package hot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"nightjar/mysqldump/xbstream"
)

// written is a file that keeps what is written to it, up to a number of bytes.
type written struct {
	bytes.Buffer
	room int
}

func (w *written) Close() error { return nil }
func (w *written) Abort()       {}

func (w *written) Write(b []byte) (int, error) {
	k := min(len(b), w.room-w.Len())
	w.Buffer.Write(b[:k])
	if k < len(b) {
		return k, errors.New("no room")
	}
	return k, nil
}

// system is a file of 200 pages of which no byte is zero but in the page that says where the buffer is.
func system(page int, first, second uint32) []byte {
	b := bytes.Repeat([]byte{'x'}, 200*page)
	header := b[transactionsPage*page : (transactionsPage+1)*page]
	binary.BigEndian.PutUint16(header[typeAt:], transactionsType)
	about := header[page-bufferFromEnd:]
	for i, n := range []uint32{bufferMagic, first, second, bufferMagic, first, second} {
		binary.BigEndian.PutUint32(about[magicAt+4*i:], n)
	}
	binary.BigEndian.PutUint32(about[storedAt:], storedMagic)
	return b
}

// In whatever steps it is written, the file has zeros where it says that the buffer is, and is otherwise the same.
func TestDoublewrite(t *testing.T) {
	const page = 16 << 10
	good := system(page, 64, 128)
	want := slices.Clone(good)
	clear(want[64*page : 192*page])
	for _, step := range []int{7, 58, 4096, page - 1, page, page + 1, 64 << 10, 1 << 20, len(good)} {
		if got := through(t, good, page, step, len(good)); !bytes.Equal(got, want) {
			t.Errorf("in steps of %d another file is written", step)
		}
	}
	apart := system(page, 66, 131) // blocks that are not beside each other, and one that is not whole
	want = slices.Clone(apart)
	clear(want[66*page : 130*page])
	clear(want[131*page : 195*page])
	if got := through(t, apart, page, 1000, len(apart)); !bytes.Equal(got, want) {
		t.Error("blocks that are apart")
	}
	full := &written{room: 70*page + 5}
	d := (&files{page: page, changes: true}).blanked(systemFile, full)
	if n, err := d.Write(good); err == nil || n != full.room {
		t.Errorf("without room: %d, %v", n, err)
	}
}

// A file that says anything else is written as it is.
func TestNoDoublewrite(t *testing.T) {
	const page = 16 << 10
	change := func(at int) []byte {
		b := system(page, 64, 128)
		b[transactionsPage*page+at]++
		return b
	}
	about := page - bufferFromEnd
	for name, b := range map[string][]byte{
		"another type": change(typeAt), "another mark": change(about + magicAt), "a copy that differs": change(about + magicAt + 20), "of old": change(about + storedAt),
		"in the first extent": system(page, 5, 128), "the second in the first extent": system(page, 64, 0), "beyond the end": system(page, 1000, 4000000000),
		"short": system(page, 64, 128)[:5*page+100], "empty": nil,
	} {
		if got := through(t, b, page, 1000, len(b)); !bytes.Equal(got, b) {
			t.Errorf("%s: another file is written", name)
		}
	}
	for _, s := range []files{{page: page}, {page: page, changes: true}} {
		name := map[bool]string{false: systemFile, true: "shop/ibdata1"}[s.changes]
		to := &written{}
		if got := s.blanked(name, to); got != xbstream.File(to) {
			t.Errorf("%s is changed", name)
		}
	}
}

// through writes a file in steps.
func through(t *testing.T, b []byte, page, step, room int) []byte {
	t.Helper()
	to := &written{room: room}
	d := (&files{page: page, changes: true}).blanked(systemFile, to)
	for part := range slices.Chunk(b, step) {
		if n, err := d.Write(part); n != len(part) || err != nil {
			t.Fatal(n, err)
		}
	}
	return to.Bytes()
}
