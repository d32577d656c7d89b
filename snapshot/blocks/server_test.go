package blocks_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ebs"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"nightjar/snapshot/blocks"
	"nightjar/snapshot/ec2test"
)

// disk makes a sparse file of a GiB with bytes in some blocks.
func disk(t *testing.T, holds map[int64]byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(1 << 30); err != nil {
		t.Fatal(err)
	}
	for i, b := range holds {
		if _, err := f.WriteAt(bytes.Repeat([]byte{b}, blocks.Size), i*blocks.Size); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// held is a File in memory: the byte of each block.
type held struct {
	at     int64
	blocks map[int64]byte
	before map[int64]byte
}

func (h *held) Block(data []byte) error {
	h.blocks[h.at/blocks.Size] = data[0]
	h.at += blocks.Size
	return nil
}

func (h *held) Again(int32) (bool, error) { return false, nil }

func (h *held) Hole(n int64) error { h.at += n; return nil }

func (h *held) Same(n int64) (int64, error) {
	if h.before == nil {
		return 0, io.ErrUnexpectedEOF
	}
	for i := h.at / blocks.Size; i < (h.at+n)/blocks.Size; i++ {
		if b, ok := h.before[i]; ok {
			h.blocks[i] = b
		}
	}
	h.at += n
	return n, nil
}

func (h *held) want(t *testing.T, want map[int64]byte) {
	t.Helper()
	if h.at != 1<<30 || len(h.blocks) != len(want) {
		t.Errorf("%d bytes, %v, not %v", h.at, h.blocks, want)
	}
	for i, b := range want {
		if h.blocks[i] != b {
			t.Errorf("block %d: %d, not %d", i, h.blocks[i], b)
		}
	}
}

// A real client reads snapshots of the test server, throttled and with tokens that expire, and makes one.
func TestServer(t *testing.T) {
	s := ec2test.New(t)
	s.Setenv(t)
	r := s.Region("us-east-1")
	first, second := map[int64]byte{0: 1, 1: 2, 900: 3, 2047: 4}, map[int64]byte{0: 1, 1: 9, 2047: 4, 1000: 5}
	a := r.AddSnapshot(ec2test.Snapshot{GiB: 1, Volume: "vol-0a", File: disk(t, first)})
	b := r.AddSnapshot(ec2test.Snapshot{GiB: 1, Volume: "vol-0a", File: disk(t, second)})
	cfg, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	store := blocks.New(ebs.NewFromConfig(cfg), 2)
	save := func(snapshot, base string, before map[int64]byte) (*held, *blocks.Survey) {
		t.Helper()
		h := &held{blocks: map[int64]byte{}, before: before}
		v, err := store.Survey(t.Context(), snapshot, base, nil)
		if err == nil {
			err = store.Save(t.Context(), v, h)
		}
		if err != nil {
			t.Fatal(err)
		}
		return h, v
	}
	s.Fault(ec2test.Fault{Operation: "GetSnapshotBlock", Nth: 2, Code: "RequestThrottledException"})
	n := 0
	s.Watch(func(c ec2test.Call) {
		if c.Operation == "GetSnapshotBlock" {
			if n++; n == 3 {
				s.Advance(8 * 24 * time.Hour)
			}
		}
	})
	h, _ := save(a, "", nil)
	h.want(t, first)
	s.Watch(nil)
	h, v := save(b, a, first)
	if v.Blocks != 2 || v.Cleared != 1 {
		t.Errorf("%+v", v)
	}
	delete(h.blocks, 900) // if it was cleared
	h.want(t, second)

	w, err := store.Write(t.Context(), blocks.Target{GiB: 1, Token: "once", Tags: map[string]string{"a": "b"}}, func(_ context.Context, put blocks.Put) error {
		for _, i := range []int32{0, 1, 1000, 2047} {
			if err := put(i, bytes.Repeat([]byte{second[int64(i)]}, blocks.Size)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 100 { // until it is completed
		out, err := ec2.NewFromConfig(cfg).DescribeSnapshots(t.Context(), &ec2.DescribeSnapshotsInput{SnapshotIds: []string{w.ID}})
		if err != nil {
			t.Fatal(err)
		}
		if out.Snapshots[0].State == "completed" {
			break
		}
		s.Advance(time.Minute)
	}
	h, _ = save(w.ID, "", nil)
	h.want(t, second)
}
