package ec2test_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ebs"
	ebstypes "github.com/aws/aws-sdk-go-v2/service/ebs/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"nightjar/snapshot/ec2test"
)

const blockSize = 512 << 10

func sum(data []byte) *string {
	s := sha256.Sum256(data)
	return aws.String(base64.StdEncoding.EncodeToString(s[:]))
}

// disk makes a file of a GiB that has some blocks, each filled with its byte.
func disk(t *testing.T, blocks map[int]byte) string {
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
	for i, b := range blocks {
		write(t, path, i, b)
	}
	return path
}

func write(t *testing.T, path string, index int, b byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(bytes.Repeat([]byte{b}, blockSize), int64(index)*blockSize); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, c *ebs.Client, snapshot string, index int32, token string) []byte {
	t.Helper()
	out := must(c.GetSnapshotBlock(t.Context(), &ebs.GetSnapshotBlockInput{SnapshotId: &snapshot, BlockIndex: &index, BlockToken: &token}))(t)
	defer out.BlockData.Close()
	data := must(io.ReadAll(out.BlockData))(t)
	if len(data) != blockSize || *out.DataLength != blockSize || *out.Checksum != *sum(data) || out.ChecksumAlgorithm != ebstypes.ChecksumAlgorithmChecksumAlgorithmSha256 {
		t.Errorf("block %d: %d bytes, data length %d, checksum %s", index, len(data), *out.DataLength, *out.Checksum)
	}
	return data
}

// Blocks are those of the moment of the call that made the snapshot; two snapshots are compared; tokens expire.
func TestReadBlocks(t *testing.T) {
	x := open(t)
	s := x.own(t)
	ctx := context.WithoutCancel(t.Context())
	east, c := x.in("us-east-1"), ebs.NewFromConfig(x.cfg)
	path := disk(t, map[int]byte{3: 'a', 700: 'b', 2047: 'c'})
	v := s.Region("us-east-1").AddVolume(ec2test.Volume{Backing: path})
	first := *must(east.CreateSnapshot(ctx, &ec2.CreateSnapshotInput{VolumeId: &v}))(t).SnapshotId
	_, err := c.ListSnapshotBlocks(ctx, &ebs.ListSnapshotBlocksInput{SnapshotId: &first})
	wantCode(t, err, "ValidationException")
	write(t, path, 700, 'B')
	write(t, path, 9, 'd')
	x.completed(t, "us-east-1", first)
	second := *must(east.CreateSnapshot(ctx, &ec2.CreateSnapshotInput{VolumeId: &v}))(t).SnapshotId
	x.completed(t, "us-east-1", second)
	write(t, path, 3, 'X')

	list := must(c.ListSnapshotBlocks(ctx, &ebs.ListSnapshotBlocksInput{SnapshotId: &first}))(t)
	var indexes []int32
	for _, b := range list.Blocks {
		indexes = append(indexes, *b.BlockIndex)
	}
	if !slices.Equal(indexes, []int32{3, 700, 2047}) || *list.BlockSize != blockSize || *list.VolumeSize != 1 || list.NextToken != nil {
		t.Fatalf("blocks %v of %d bytes, volume of %d GiB", indexes, *list.BlockSize, *list.VolumeSize)
	}
	if got := get(t, c, first, 700, *list.Blocks[1].BlockToken); got[0] != 'b' {
		t.Errorf("block 700 has %q: not of the moment of its snapshot", got[0])
	}
	if got := must(c.ListSnapshotBlocks(ctx, &ebs.ListSnapshotBlocksInput{SnapshotId: &first, StartingBlockIndex: aws.Int32(4)}))(t); len(got.Blocks) != 2 {
		t.Errorf("from block 4: %d blocks", len(got.Blocks))
	}
	_, err = c.ListSnapshotBlocks(ctx, &ebs.ListSnapshotBlocksInput{SnapshotId: &first, MaxResults: aws.Int32(99)})
	wantCode(t, err, "ValidationException")
	_, err = c.GetSnapshotBlock(ctx, &ebs.GetSnapshotBlockInput{SnapshotId: &first, BlockIndex: aws.Int32(3), BlockToken: list.Blocks[1].BlockToken})
	wantCode(t, err, "ValidationException")

	changed := must(c.ListChangedBlocks(ctx, &ebs.ListChangedBlocksInput{FirstSnapshotId: &first, SecondSnapshotId: &second}))(t)
	if len(changed.ChangedBlocks) != 2 || *changed.ChangedBlocks[0].BlockIndex != 9 || changed.ChangedBlocks[0].FirstBlockToken != nil || *changed.ChangedBlocks[1].BlockIndex != 700 {
		t.Fatalf("changed: %+v", changed.ChangedBlocks)
	}
	if got := get(t, c, second, 700, *changed.ChangedBlocks[1].SecondBlockToken); got[0] != 'B' {
		t.Errorf("block 700 has %q", got[0])
	}
	other := s.Region("us-east-1").AddSnapshot(ec2test.Snapshot{Volume: "vol-0123456789abcdef0", GiB: 1})
	_, err = c.ListChangedBlocks(ctx, &ebs.ListChangedBlocksInput{FirstSnapshotId: &other, SecondSnapshotId: &second})
	wantCode(t, err, "ValidationException")

	s.Advance(list.ExpiryTime.Sub(s.Now()) + time.Second)
	_, err = c.GetSnapshotBlock(ctx, &ebs.GetSnapshotBlockInput{SnapshotId: &first, BlockIndex: aws.Int32(700), BlockToken: list.Blocks[1].BlockToken})
	wantCode(t, err, "ValidationException")
}

// Pages of blocks end with no token.
func TestPagesOfBlocks(t *testing.T) {
	x := open(t)
	s := x.own(t)
	blocks := map[int]byte{}
	for i := range 250 {
		blocks[i*8] = byte(i)
	}
	snapshot := s.Region("us-east-1").AddSnapshot(ec2test.Snapshot{GiB: 1, File: disk(t, blocks)})
	c := ebs.NewFromConfig(x.cfg)
	var sizes []int
	var next *string
	for {
		out := must(c.ListSnapshotBlocks(t.Context(), &ebs.ListSnapshotBlocksInput{SnapshotId: &snapshot, MaxResults: aws.Int32(100), NextToken: next}))(t)
		sizes = append(sizes, len(out.Blocks))
		if next = out.NextToken; next == nil {
			break
		}
	}
	if !slices.Equal(sizes, []int{100, 100, 50}) {
		t.Errorf("pages of %v", sizes)
	}
}

// A snapshot is written block by block on top of another, and a volume made of it has both.
func TestWriteBlocks(t *testing.T) {
	x := open(t)
	s := x.own(t)
	ctx := context.WithoutCancel(t.Context())
	c := ebs.NewFromConfig(x.cfg)
	parent := s.Region("us-east-1").AddSnapshot(ec2test.Snapshot{GiB: 1, File: disk(t, map[int]byte{1: 'p', 2: 'p'})})
	in := &ebs.StartSnapshotInput{VolumeSize: aws.Int64(1), ParentSnapshotId: &parent, ClientToken: aws.String("once"), Tags: []ebstypes.Tag{{Key: aws.String("a"), Value: aws.String("b")}}}
	started := must(c.StartSnapshot(ctx, in))(t)
	if again := must(c.StartSnapshot(ctx, in))(t); *again.SnapshotId != *started.SnapshotId || *started.BlockSize != blockSize || started.Status != ebstypes.StatusPending {
		t.Errorf("the same token made %s and %s", *started.SnapshotId, *again.SnapshotId)
	}
	_, err := c.StartSnapshot(ctx, &ebs.StartSnapshotInput{VolumeSize: aws.Int64(2), ClientToken: aws.String("once")})
	wantCode(t, err, "ConflictException")
	_, err = c.StartSnapshot(ctx, &ebs.StartSnapshotInput{VolumeSize: aws.Int64(1), ParentSnapshotId: &parent, Encrypted: aws.Bool(true)})
	wantCode(t, err, "ValidationException")

	put := func(index int32, data []byte, checksum *string) error {
		_, err := c.PutSnapshotBlock(ctx, &ebs.PutSnapshotBlockInput{
			SnapshotId: started.SnapshotId, BlockIndex: &index, BlockData: bytes.NewReader(data), DataLength: aws.Int32(int32(len(data))),
			Checksum: checksum, ChecksumAlgorithm: ebstypes.ChecksumAlgorithmChecksumAlgorithmSha256,
		})
		return err
	}
	block := func(b byte) []byte { return bytes.Repeat([]byte{b}, blockSize) }
	for index, b := range map[int32]byte{2: 'x', 2047: 'y'} {
		if err := put(index, block(b), sum(block(b))); err != nil {
			t.Fatal(err)
		}
	}
	wantCode(t, put(5, block('z'), sum(block('x'))), "ValidationException")
	wantCode(t, put(5, block('z')[1:], sum(block('z')[1:])), "ValidationException")
	wantCode(t, put(2048, block('z'), sum(block('z'))), "ValidationException")

	_, err = c.CompleteSnapshot(ctx, &ebs.CompleteSnapshotInput{SnapshotId: started.SnapshotId, ChangedBlocksCount: aws.Int32(1)})
	wantCode(t, err, "ValidationException")
	one, two := sha256.Sum256(block('x')), sha256.Sum256(block('y'))
	must(c.CompleteSnapshot(ctx, &ebs.CompleteSnapshotInput{
		SnapshotId: started.SnapshotId, ChangedBlocksCount: aws.Int32(2), Checksum: sum(slices.Concat(one[:], two[:])),
		ChecksumAggregationMethod: ebstypes.ChecksumAggregationMethodChecksumAggregationLinear, ChecksumAlgorithm: ebstypes.ChecksumAlgorithmChecksumAlgorithmSha256,
	}))(t)
	wantCode(t, put(5, block('z'), sum(block('z'))), "ValidationException")
	x.completed(t, "us-east-1", *started.SnapshotId)
	v, _ := s.Region("us-east-1").Volume(x.volume(t, "us-east-1", ec2.CreateVolumeInput{SnapshotId: started.SnapshotId}))
	f := must(os.Open(v.Backing))(t)
	defer f.Close()
	for index, b := range map[int]byte{0: 0, 1: 'p', 2: 'x', 2047: 'y'} {
		data := make([]byte, 1)
		if _, err := f.ReadAt(data, int64(index)*blockSize); err != nil || data[0] != b {
			t.Errorf("block %d has %q, want %q: %v", index, data, b, err)
		}
	}
}
