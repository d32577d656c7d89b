package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"
)

// each reads one field in every way: of a string and of bytes.
func each(t *testing.T, in string, read func(r *Reader[string]) any, readBytes func(r *Reader[[]byte]) any) (any, error) {
	t.Helper()
	r, rb := NewReader(in), NewReader([]byte(in))
	got, gotBytes := read(&r), readBytes(&rb)
	if (r.Err() == nil) != (rb.Err() == nil) || r.Err() != nil && r.Err().Error() != rb.Err().Error() || got != gotBytes || r.Left() != rb.Left() {
		t.Errorf("%x: a string gives %v, %v, bytes give %v, %v", in, got, r.Err(), gotBytes, rb.Err())
	}
	if r.Err() != nil && r.Left() != 0 {
		t.Errorf("%x: %d are left after %v", in, r.Left(), r.Err())
	}
	return got, r.Err()
}

func TestUint(t *testing.T) {
	for _, v := range []uint64{0, 1, 127, 128, 1<<14 - 1, 1 << 14, 1<<63 - 1, 1 << 63, math.MaxUint64} {
		in := string(binary.AppendUvarint(nil, v))
		for _, limit := range []uint64{v, math.MaxUint64, v - 1} {
			if v == 0 && limit == v-1 {
				continue
			}
			got, err := each(t, in, func(r *Reader[string]) any { return r.Uint(limit) }, func(r *Reader[[]byte]) any { return r.Uint(limit) })
			if want := v <= limit; (err == nil) != want || want && got != v || !want && (got != uint64(0) || !strings.Contains(err.Error(), "more than")) {
				t.Errorf("%d, at most %d: %v, %v", v, limit, got, err)
			}
		}
		for n := range len(in) {
			if got, err := each(t, in[:n], func(r *Reader[string]) any { return r.Uint(v) }, func(r *Reader[[]byte]) any { return r.Uint(v) }); !errors.Is(err, ErrTruncated) {
				t.Errorf("%d cut to %d bytes: %v, %v", v, n, got, err)
			}
		}
	}
	for in, want := range map[string]string{
		"\x80\x00": "at byte 0: number not in its shortest form", "\xff\x80\x00": "at byte 0: number not in its shortest form",
		"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02": "at byte 0: number over 64 bits", strings.Repeat("\x80", 20): "at byte 0: number over 64 bits", "": "at byte 0: truncated",
	} {
		got, err := each(t, in, func(r *Reader[string]) any { return r.Uint(math.MaxUint64) }, func(r *Reader[[]byte]) any { return r.Uint(math.MaxUint64) })
		if err == nil || err.Error() != want || got != uint64(0) {
			t.Errorf("%x: %v, %v, want %s", in, got, err, want)
		}
	}
	for _, v := range []int64{0, -1, 1, math.MinInt64, math.MaxInt64} {
		got, err := each(t, string(binary.AppendVarint(nil, v)), func(r *Reader[string]) any { return r.Signed() }, func(r *Reader[[]byte]) any { return r.Signed() })
		if got != v || err != nil {
			t.Errorf("%d: %v, %v", v, got, err)
		}
	}
}

func TestCount(t *testing.T) {
	for _, c := range []struct {
		n, limit, size, follow int
		want                   string
	}{
		{3, 3, 5, 15, ""}, {0, 0, 1, 0, ""}, {3, 4, 5, 14, "at byte 1: truncated"}, {4, 3, 1, 100, "at byte 0: number 4, more than 3"},
		{1 << 62, math.MaxInt, 1 << 62, 100, "at byte 9: truncated"}, {1 << 20, 1 << 20, 1, 1<<20 - 1, "at byte 3: truncated"},
	} {
		in := string(binary.AppendUvarint(nil, uint64(c.n))) + strings.Repeat("x", c.follow)
		got, err := each(t, in, func(r *Reader[string]) any { return r.Count(c.limit, c.size) }, func(r *Reader[[]byte]) any { return r.Count(c.limit, c.size) })
		if c.want == "" && (got != c.n || err != nil) || c.want != "" && (got != 0 || err == nil || err.Error() != c.want) {
			t.Errorf("%+v: %v, %v", c, got, err)
		}
	}
}

func TestFields(t *testing.T) {
	in := []byte{7, 2, 'a', 'b', 1, 2, 3, 4, 8, 7, 6, 5, 4, 3, 2, 1, 'c', 'd', 'e', 'f'}
	r := NewReader(in)
	r.Version(7)
	if s := r.Sized(2); string(s) != "ab" || &s[0] != &in[2] {
		t.Errorf("sized %q", s)
	}
	if a, b := r.Uint32(), r.Uint64(); a != 0x04030201 || b != 0x0102030405060708 {
		t.Errorf("%x, %x", a, b)
	}
	var two [2]byte
	r.Into(two[:])
	if rest := r.Rest(); string(two[:]) != "cd" || string(rest) != "ef" || r.Left() != 2 {
		t.Errorf("%q, then %q", two, rest)
	}
	if s := r.Bytes(1); string(s) != "e" || r.Byte() != 'f' || r.End() != nil {
		t.Errorf("%q, %v", s, r.Err())
	}

	r = NewReader([]byte{1, 2, 3})
	r.Version(0)
	if err := r.Err(); err == nil || err.Error() != "at byte 1: unknown version 1" {
		t.Error(err)
	}
	two = [2]byte{9, 9}
	r.Into(two[:])
	r.Fail(errors.New("another"))
	if r.Byte() != 0 || r.Uint(9) != 0 || r.Signed() != 0 || r.Uint32() != 0 || len(r.Bytes(0)) != 0 || len(r.Sized(5)) != 0 || r.Count(5, 1) != 0 || len(r.Rest()) != 0 || two != [2]byte{} {
		t.Error("a field is not zero after an error")
	}
	if err := r.End(); err == nil || err.Error() != "at byte 1: unknown version 1" {
		t.Errorf("the first error is gone: %v", err)
	}

	r = NewReader([]byte{0, 1, 2})
	r.Version(0)
	if err := r.End(); err == nil || err.Error() != "at byte 1: 2 bytes too many" {
		t.Error(err)
	}
	for _, n := range []int{-1, math.MinInt, 4, math.MaxInt} {
		r = NewReader([]byte("abc"))
		if s := r.Bytes(n); len(s) != 0 || !errors.Is(r.Err(), ErrTruncated) {
			t.Errorf("%d bytes: %q, %v", n, s, r.Err())
		}
	}
}

// Whatever the bytes are: what is read is within its bounds, and written again it gives the bytes back.
func FuzzReader(f *testing.F) {
	f.Add([]byte{0, 5, 1, 'a', 0x80, 1, 3}, []byte("uscbivu"))
	f.Add(bytes.Repeat([]byte{0xff}, 30), []byte("su"))
	f.Fuzz(func(t *testing.T, in, script []byte) {
		const limit = 300
		r, again := NewReader(in), []byte(nil)
		for _, step := range script {
			if r.Err() != nil {
				break
			}
			switch step {
			case 's':
				s := r.Sized(limit)
				if len(s) > limit {
					t.Fatalf("%d bytes", len(s))
				}
				again = append(binary.AppendUvarint(again, uint64(len(s))), s...)
			case 'u':
				v := r.Uint(limit)
				if v > limit {
					t.Fatalf("number %d", v)
				}
				again = binary.AppendUvarint(again, v)
			case 'v':
				again = binary.AppendVarint(again, r.Signed())
			case 'c':
				n := r.Count(limit, 3)
				if n > limit || 3*n > r.Left() {
					t.Fatalf("%d things in %d bytes", n, r.Left())
				}
				again = binary.AppendUvarint(again, uint64(n))
			case 'b':
				again = append(again, r.Byte())
			case 'i':
				var b [4]byte
				r.Into(b[:])
				again = append(again, b[:]...)
			}
		}
		if r.Err() == nil && string(again)+string(r.Rest()) != string(in) {
			t.Errorf("%x by %q is %x and %x", in, script, again, r.Rest())
		}
	})
}
