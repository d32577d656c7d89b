package blocks

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"runtime"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ebs"
	"github.com/aws/aws-sdk-go-v2/service/ebs/types"
)

func save(t *testing.T, s *Store, snapshot, base string, m *image) (*Survey, error) {
	t.Helper()
	v, err := s.Survey(t.Context(), snapshot, base, nil)
	if err != nil {
		return nil, err
	}
	if m.blocks == nil {
		m.blocks = map[int32][]byte{}
	}
	return v, s.Save(t.Context(), v, m)
}

// some are blocks here and there on a volume of a GiB.
func some() map[int32][]byte {
	all := map[int32][]byte{}
	for _, i := range []int32{0, 1, 2, 7, 8, 100, 101, 500, 1200, 2047} {
		all[i] = block(i, 1)
	}
	all[300] = make([]byte, Size)
	return all
}

// What an earlier run has read is not read again, but for what is not there any more when its turn comes; beside a base, too.
func TestAgain(t *testing.T) {
	f := newFake(1)
	f.most = 3
	first := some()
	f.add("snap-a", first)
	s := f.store()
	asked := map[int32]bool{0: true, 7: true, 500: true, 1200: true, 2047: true}
	m := &image{blocks: map[int32][]byte{}, stored: map[int32][]byte{0: first[0], 7: first[7], 500: first[500], 2047: first[2047]}}
	v, err := s.Survey(t.Context(), "snap-a", "", func(i int32) bool { return asked[i] })
	if err == nil {
		err = s.Save(t.Context(), v, m)
	}
	if err != nil || v.Blocks != 6 || v.Again != 5 || len(f.gets) != 7 || f.gets[1200] != 1 || m.at != 1<<30 {
		t.Fatalf("%v: %+v, and %v were read", err, v, f.gets)
	}
	wantBlocks(t, m.blocks, first)

	second := maps.Clone(first)
	second[7], second[900] = block(7, 2), block(900, 2)
	f.add("snap-b", second)
	clear(f.gets)
	again := &image{blocks: map[int32][]byte{}, before: m.blocks, end: 1 << 30, stored: map[int32][]byte{7: second[7]}}
	if v, err = s.Survey(t.Context(), "snap-b", "snap-a", func(i int32) bool { return i == 7 }); err == nil {
		err = s.Save(t.Context(), v, again)
	}
	if err != nil || v.Blocks != 1 || v.Again != 1 || len(f.gets) != 1 {
		t.Errorf("%v: %+v, and %v were read", err, v, f.gets)
	}
	wantBlocks(t, again.blocks, second)
}

// Of a volume all is read once, then only what has changed; what was cleared is a hole, and what the file before has lost is read again.
func TestSave(t *testing.T) {
	f := newFake(1)
	f.most = 3
	first := some()
	f.add("snap-a", first)
	s := f.store()
	m := &image{}
	v, err := save(t, s, "snap-a", "", m)
	if err != nil {
		t.Fatal(err)
	}
	if v.Blocks != 11 || v.Bytes() != 1<<30 || m.at != 1<<30 {
		t.Errorf("%+v, file of %d bytes", v, m.at)
	}
	wantBlocks(t, m.blocks, first)
	if c := s.Calls(); c.Reads != 11 || c.Lists != 8 || v.Calls().Reads != 11 || v.Calls().Lists != 4 {
		t.Errorf("%+v, %+v", c, v.Calls())
	}

	second := maps.Clone(first)
	second[7], second[900], second[2046] = block(7, 2), block(900, 2), block(2046, 2)
	delete(second, 101)
	f.add("snap-b", second)
	clear(f.gets)
	again := &image{before: m.blocks, end: 1 << 30, lost: map[int32]bool{1: true, 1200: true}}
	if v, err = save(t, s, "snap-b", "snap-a", again); err != nil {
		t.Fatal(err)
	}
	wantBlocks(t, again.blocks, second)
	if v.Blocks != 3 || v.Cleared != 1 || len(f.gets) != 5 {
		t.Errorf("%+v, and %v were read", v, f.gets)
	}
	if again.same != 1<<30-6*Size {
		t.Errorf("%d bytes were the same", again.same)
	}

	// The file before is shorter, as before a volume grew.
	short := &image{before: m.blocks, end: 1 << 29}
	if _, err = save(t, s, "snap-b", "snap-a", short); err != nil {
		t.Fatal(err)
	}
	wantBlocks(t, short.blocks, second)

	// The base is gone.
	delete(f.snapshots, "snap-a")
	clear(f.gets)
	whole := &image{}
	if v, err = save(t, s, "snap-b", "snap-a", whole); err != nil || v.Lost == nil || v.Base != "" || len(f.gets) != len(second) {
		t.Fatalf("%+v, %v: %v", v, f.gets, err)
	}
	wantBlocks(t, whole.blocks, second)
	if _, err := s.Survey(t.Context(), "snap-none", "snap-a", nil); err == nil {
		t.Error("a snapshot that is not there")
	}
}

// Tokens of blocks and of pages expire while blocks are read, again and again, and are renewed.
func TestExpiry(t *testing.T) {
	f := newFake(1)
	f.most = 4
	f.add("snap-a", some())
	n := 0
	f.get = func(int32, int, *ebs.GetSnapshotBlockOutput) error {
		if n++; n%3 == 0 {
			f.round++
		}
		return nil
	}
	m := &image{}
	if _, err := save(t, f.store(), "snap-a", "", m); err != nil {
		t.Fatal(err)
	}
	wantBlocks(t, m.blocks, some())
	if f.round == 0 {
		t.Error("nothing expired")
	}
}

// A block that comes damaged is asked for again, and one that is damaged every time ends the run; so does whatever else EBS must not answer.
func TestHostile(t *testing.T) {
	short := func(_ int32, _ int, out *ebs.GetSnapshotBlockOutput) error {
		out.BlockData = io.NopCloser(bytes.NewReader(make([]byte, 100)))
		return nil
	}
	for name, c := range map[string]struct {
		set  func(f *fake)
		want string // of the error; empty: there is none
	}{
		"damaged twice": {func(f *fake) {
			f.get = func(_ int32, n int, out *ebs.GetSnapshotBlockOutput) error {
				if n < 3 {
					out.BlockData = io.NopCloser(bytes.NewReader(block(99, 9)))
				}
				return nil
			}
		}, ""},
		"breaks off once": {func(f *fake) {
			f.get = func(i int32, n int, out *ebs.GetSnapshotBlockOutput) error {
				if n == 1 {
					return short(i, n, out)
				}
				return nil
			}
		}, ""},
		"damaged": {func(f *fake) {
			f.get = func(_ int32, _ int, out *ebs.GetSnapshotBlockOutput) error {
				out.Checksum = aws.String("x")
				return nil
			}
		}, "checksum"},
		"no checksum": {func(f *fake) {
			f.get = func(_ int32, _ int, out *ebs.GetSnapshotBlockOutput) error { out.Checksum = nil; return nil }
		}, "checksum"},
		"another sum": {func(f *fake) {
			f.get = func(_ int32, _ int, out *ebs.GetSnapshotBlockOutput) error { out.ChecksumAlgorithm = "MD5"; return nil }
		}, "MD5"},
		"breaks off": {func(f *fake) { f.get = short }, "broke off"},
		"wrong length": {func(f *fake) {
			f.get = func(_ int32, _ int, out *ebs.GetSnapshotBlockOutput) error {
				out.DataLength = aws.Int32(4096)
				return nil
			}
		}, "4096 bytes"},
		"too long": {func(f *fake) {
			f.get = func(_ int32, _ int, out *ebs.GetSnapshotBlockOutput) error {
				out.BlockData = io.NopCloser(bytes.NewReader(make([]byte, Size+1)))
				return nil
			}
		}, "more than"},
		"refused": {func(f *fake) {
			f.get = func(int32, int, *ebs.GetSnapshotBlockOutput) error {
				return &types.AccessDeniedException{Message: aws.String("kms")}
			}
		}, "kms"},
		"tokens": {func(f *fake) {
			f.get = func(int32, int, *ebs.GetSnapshotBlockOutput) error {
				return invalid(types.ValidationExceptionReasonInvalidBlockToken)
			}
		}, "INVALID_BLOCK_TOKEN"},
		"block size": {func(f *fake) { f.list = func(out *ebs.ListSnapshotBlocksOutput) { out.BlockSize = aws.Int32(1 << 20) } }, "1048576 bytes"},
		"no size":    {func(f *fake) { f.list = func(out *ebs.ListSnapshotBlocksOutput) { out.VolumeSize = nil } }, "0 GiB"},
		"huge": {func(f *fake) {
			f.list = func(out *ebs.ListSnapshotBlocksOutput) { out.VolumeSize = aws.Int64(1 << 40) }
		}, "GiB"},
		"out of order": {func(f *fake) {
			f.list = func(out *ebs.ListSnapshotBlocksOutput) { out.Blocks[0], out.Blocks[1] = out.Blocks[1], out.Blocks[0] }
		}, "was to come"},
		"twice": {func(f *fake) {
			f.list = func(out *ebs.ListSnapshotBlocksOutput) { out.Blocks[1].BlockIndex = out.Blocks[0].BlockIndex }
		}, "was to come"},
		"negative": {func(f *fake) {
			f.list = func(out *ebs.ListSnapshotBlocksOutput) { out.Blocks[0].BlockIndex = aws.Int32(-1) }
		}, "block -1"},
		"no index": {func(f *fake) { f.list = func(out *ebs.ListSnapshotBlocksOutput) { out.Blocks[0].BlockIndex = nil } }, "block -1"},
		"beyond": {func(f *fake) {
			f.list = func(out *ebs.ListSnapshotBlocksOutput) { out.Blocks[10].BlockIndex = aws.Int32(2048) }
		}, "block 2048 of"},
		"no token": {func(f *fake) { f.list = func(out *ebs.ListSnapshotBlocksOutput) { out.Blocks[0].BlockToken = nil } }, "without a token"},
		"long token": {func(f *fake) {
			f.list = func(out *ebs.ListSnapshotBlocksOutput) {
				out.Blocks[0].BlockToken = aws.String(strings.Repeat("x", 5000))
			}
		}, "5000 bytes"},
		"no end": {func(f *fake) {
			f.list = func(out *ebs.ListSnapshotBlocksOutput) { out.Blocks, out.NextToken = nil, aws.String("0/0") }
		}, "no end"},
		"size changes": {func(f *fake) {
			f.list = func(out *ebs.ListSnapshotBlocksOutput) { out.VolumeSize = aws.Int64(1 + int64(f.lists/2)) }
		}, "volumes of"},
		"grows between": {func(f *fake) {
			f.list = func(out *ebs.ListSnapshotBlocksOutput) { out.VolumeSize = aws.Int64(int64(f.lists)) }
		}, "volumes of"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(1)
			if name == "size changes" {
				f.most = 4
			}
			f.add("snap-a", some())
			c.set(f)
			m := &image{}
			_, err := save(t, f.store(), "snap-a", "", m)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				wantBlocks(t, m.blocks, some())
			} else if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "snap-a") {
				t.Errorf("%v, not %q", err, c.want)
			}
		})
	}
}

// A file that cannot be written to ends the run, and nothing of it goes on; so does a context.
func TestSaveEnds(t *testing.T) {
	f := newFake(1)
	f.add("snap-a", some())
	if _, err := save(t, f.store(), "snap-a", "", &image{failAt: 7}); !errors.Is(err, errFull) {
		t.Errorf("%v", err)
	}
	s := f.store()
	v, err := s.Survey(t.Context(), "snap-a", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	why := errors.New("that is enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	f.get = func(i int32, _ int, _ *ebs.GetSnapshotBlockOutput) error {
		if i == 100 {
			cancel(why)
		}
		return nil
	}
	if err := s.Save(ctx, v, &image{blocks: map[int32][]byte{}}); !errors.Is(err, why) {
		t.Errorf("%v", err)
	}
}

// A volume of 16 TiB of which one block in a hundred thousand holds something takes no more memory than a small one.
func TestSaveLarge(t *testing.T) {
	f := newFake(16 << 10)
	all := map[int32][]byte{}
	one := block(1, 1)
	for i := int32(0); i < 16<<10*blocksAGiB; i += 100_000 {
		all[i] = one
	}
	f.add("snap-a", all)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	most := uint64(0)
	m := &counted{each: func(n int) {
		if n%20 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&after)
			most = max(most, after.HeapAlloc)
		}
	}}
	s := f.store()
	v, err := s.Survey(t.Context(), "snap-a", "", nil)
	if err == nil {
		err = s.Save(t.Context(), v, m)
	}
	if err != nil || m.bytes != 16<<40 || m.n != len(all) {
		t.Fatalf("%d blocks, %d bytes: %v", m.n, m.bytes, err)
	}
	if grown := int64(most) - int64(before.HeapAlloc); grown > 16<<20 {
		t.Errorf("%d bytes of memory", grown)
	}
}

// counted is a File that keeps nothing.
type counted struct {
	n     int
	bytes int64
	each  func(n int)
}

func (c *counted) Again(int32) (bool, error) { return false, nil }

func (c *counted) Block(data []byte) error {
	c.n++
	c.bytes += int64(len(data))
	c.each(c.n)
	return nil
}

func (c *counted) Hole(n int64) error        { c.bytes += n; return nil }
func (c *counted) Same(int64) (int64, error) { return 0, io.ErrUnexpectedEOF }

func putAll(blocks map[int32][]byte) func(context.Context, Put) error {
	return func(_ context.Context, put Put) error {
		for i := int32(0); i < 2048; i++ {
			if b := blocks[i]; b != nil {
				if err := put(i, b); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

// A snapshot is made of blocks, once, whatever is tried again.
func TestWrite(t *testing.T) {
	f := newFake(1)
	s := f.store()
	target := Target{GiB: 1, Token: "t", Description: "d", Tags: map[string]string{"a": "b"}, KMSKey: "key"}
	f.putBy = func(i int32, n int) error {
		switch {
		case i == 0 && n < 5:
			return absent("not yet")
		case i == 8 && n == 1:
			return invalid(types.ValidationExceptionReasonConflictingBlockUpdate)
		case i == 1200 && n == 1:
			return &types.AccessDeniedException{Message: aws.String("no")}
		}
		return nil
	}
	w, err := s.Write(t.Context(), target, putAll(some()))
	if err == nil || !strings.Contains(err.Error(), "put block 1200") || f.pending["t"].completed {
		t.Fatalf("%+v: %v", w, err)
	}
	if w, err = s.Write(t.Context(), target, putAll(some())); err != nil || w.Before || w.Blocks != 11 {
		t.Fatalf("%+v: %v", w, err)
	}
	p := f.pending["t"]
	if len(f.pending) != 1 || !p.completed || !aws.ToBool(p.in.Encrypted) || aws.ToString(p.in.KmsKeyArn) != "key" || *p.in.Tags[0].Key != "a" {
		t.Errorf("%+v", p.in)
	}
	for i, b := range some() {
		if !bytes.Equal(p.blocks[i], b) {
			t.Errorf("block %d is another", i)
		}
	}
	if w, err = s.Write(t.Context(), target, nil); err != nil || !w.Before {
		t.Errorf("%+v: %v", w, err)
	}
	if w, err = s.Write(t.Context(), Target{GiB: 1, Token: "u", Parent: "snap-p", KMSKey: "key"}, putAll(nil)); err != nil || f.pending["u"].in.Encrypted != nil || f.pending["u"].parent != "snap-p" {
		t.Errorf("%+v: %v", w, err)
	}
}

// What is no block of the volume is not put.
func TestWriteWrong(t *testing.T) {
	one := block(1, 1)
	for name, c := range map[string]struct {
		indexes []int32
		data    []byte
	}{"short": {[]int32{0}, one[:100]}, "twice": {[]int32{3, 3}, one}, "back": {[]int32{3, 2}, one}, "beyond": {[]int32{2048}, one}, "negative": {[]int32{-1}, one}} {
		f := newFake(1)
		_, err := f.store().Write(t.Context(), Target{GiB: 1, Token: "t"}, func(_ context.Context, put Put) error {
			for _, i := range c.indexes {
				if err := put(i, c.data); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil || !strings.Contains(err.Error(), "put block") || f.pending["t"].completed {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := newFake(1).store().Write(t.Context(), Target{GiB: 0}, putAll(nil)); err == nil {
		t.Error("a volume of nothing")
	}
}

func TestPrice(t *testing.T) {
	tib := Calls{Lists: 420, Reads: 1 << 21}
	if got := Dollars(tib.Price()); got != "$6.29" {
		t.Errorf("a TiB costs %s", got)
	}
	if got := Dollars(Calls{Lists: 2, Reads: 205}.Price()); got != "$0.0006" {
		t.Error(got)
	}
	if got := Dollars(Calls{Writes: 1000}.Plus(Calls{Writes: 99000}).Price()); got != "$0.60" {
		t.Error(got)
	}
	if Dollars(0) != "$0" || Dollars(Calls{Lists: 1}.Price()) != "less than $0.0001" {
		t.Error("small prices")
	}
}
