package blocks

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ebs"
	"github.com/aws/aws-sdk-go-v2/service/ebs/types"
)

// fake is an API in memory, of snapshots that are maps of blocks.
type fake struct {
	mu        sync.Mutex
	gib       int64
	snapshots map[string]map[int32][]byte
	most      int // entries of a page; 0: as asked for
	round     int // of tokens: those of rounds before are refused
	lists     int
	gets      map[int32]int
	pending   map[string]*pendingSnapshot // by token

	list  func(*ebs.ListSnapshotBlocksOutput)
	diff  func(*ebs.ListChangedBlocksOutput)
	get   func(index int32, n int, out *ebs.GetSnapshotBlockOutput) error // n counts from 1
	putBy func(index int32, n int) error
}

type pendingSnapshot struct {
	id        string
	blocks    map[int32][]byte
	puts      map[int32]int
	parent    string
	completed bool
	in        *ebs.StartSnapshotInput
}

func newFake(gib int64) *fake {
	return &fake{gib: gib, snapshots: map[string]map[int32][]byte{}, gets: map[int32]int{}, pending: map[string]*pendingSnapshot{}}
}

// store returns a Store of the fake that does not wait between attempts.
func (f *fake) store() *Store {
	s := New(f, 4)
	s.pause = func(ctx context.Context, _ int) error { return context.Cause(ctx) }
	return s
}

// block makes the content of a block.
func block(index int32, version int) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "%015d\n", int(index)*1000+version), Size/16)
}

func (f *fake) add(id string, blocks map[int32][]byte) { f.snapshots[id] = blocks }

func (f *fake) token(id string, index int32) *string {
	return aws.String(base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s/%d/%d", id, index, f.round)))
}

func absent(id string) error {
	return &types.ResourceNotFoundException{Message: aws.String(id), Reason: types.ResourceNotFoundExceptionReasonSnapshotNotFound}
}

func invalid(r types.ValidationExceptionReason) error {
	return &types.ValidationException{Message: aws.String(string(r)), Reason: r}
}

// cut returns the part of indexes that a page has, and the token of the next.
func (f *fake) cut(all []int32, from, most *int32, next *string) ([]int32, *string, error) {
	f.lists++
	start := aws.ToInt32(from)
	if next != nil {
		round, at, _ := strings.Cut(*next, "/")
		if round != strconv.Itoa(f.round) {
			return nil, nil, invalid(types.ValidationExceptionReasonInvalidPageToken)
		}
		n, _ := strconv.Atoi(at)
		start = int32(n)
	}
	i, _ := slices.BinarySearch(all, start)
	all = all[i:]
	n := int(*most)
	if f.most > 0 {
		n = min(n, f.most)
	}
	if len(all) <= n {
		return all, nil, nil
	}
	return all[:n], aws.String(fmt.Sprintf("%d/%d", f.round, all[n])), nil
}

func (f *fake) ListSnapshotBlocks(_ context.Context, in *ebs.ListSnapshotBlocksInput, _ ...func(*ebs.Options)) (*ebs.ListSnapshotBlocksOutput, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, ok := f.snapshots[*in.SnapshotId]
	if !ok {
		return nil, absent(*in.SnapshotId)
	}
	all, next, err := f.cut(slices.Sorted(maps.Keys(s)), in.StartingBlockIndex, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &ebs.ListSnapshotBlocksOutput{BlockSize: aws.Int32(Size), VolumeSize: &f.gib, NextToken: next}
	for _, i := range all {
		out.Blocks = append(out.Blocks, types.Block{BlockIndex: aws.Int32(i), BlockToken: f.token(*in.SnapshotId, i)})
	}
	if f.list != nil {
		f.list(out)
	}
	return out, nil
}

func (f *fake) ListChangedBlocks(_ context.Context, in *ebs.ListChangedBlocksInput, _ ...func(*ebs.Options)) (*ebs.ListChangedBlocksOutput, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a, ok := f.snapshots[*in.FirstSnapshotId]
	b, both := f.snapshots[*in.SecondSnapshotId]
	if !ok || !both {
		return nil, absent("one of them")
	}
	changed := map[int32]bool{}
	for i := range a {
		changed[i] = !bytes.Equal(a[i], b[i])
	}
	for i := range b {
		changed[i] = !bytes.Equal(a[i], b[i])
	}
	maps.DeleteFunc(changed, func(_ int32, is bool) bool { return !is })
	all, next, err := f.cut(slices.Sorted(maps.Keys(changed)), in.StartingBlockIndex, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &ebs.ListChangedBlocksOutput{BlockSize: aws.Int32(Size), VolumeSize: &f.gib, NextToken: next}
	for _, i := range all {
		c := types.ChangedBlock{BlockIndex: aws.Int32(i)}
		if _, ok := a[i]; ok {
			c.FirstBlockToken = f.token(*in.FirstSnapshotId, i)
		}
		if _, ok := b[i]; ok {
			c.SecondBlockToken = f.token(*in.SecondSnapshotId, i)
		}
		out.ChangedBlocks = append(out.ChangedBlocks, c)
	}
	if f.diff != nil {
		f.diff(out)
	}
	return out, nil
}

func (f *fake) GetSnapshotBlock(_ context.Context, in *ebs.GetSnapshotBlockInput, _ ...func(*ebs.Options)) (*ebs.GetSnapshotBlockOutput, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := *in.BlockIndex
	f.gets[i]++
	if *in.BlockToken != *f.token(*in.SnapshotId, i) {
		return nil, invalid(types.ValidationExceptionReasonInvalidBlockToken)
	}
	data := f.snapshots[*in.SnapshotId][i]
	sum := sha256.Sum256(data)
	out := &ebs.GetSnapshotBlockOutput{
		BlockData: io.NopCloser(bytes.NewReader(data)), DataLength: aws.Int32(Size),
		Checksum: aws.String(base64.StdEncoding.EncodeToString(sum[:])), ChecksumAlgorithm: types.ChecksumAlgorithmChecksumAlgorithmSha256,
	}
	if f.get != nil {
		if err := f.get(i, f.gets[i], out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (f *fake) StartSnapshot(_ context.Context, in *ebs.StartSnapshotInput, _ ...func(*ebs.Options)) (*ebs.StartSnapshotOutput, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.pending[*in.ClientToken]
	if p == nil {
		p = &pendingSnapshot{id: fmt.Sprintf("snap-%d", len(f.pending)), blocks: map[int32][]byte{}, puts: map[int32]int{}, parent: aws.ToString(in.ParentSnapshotId), in: in}
		f.pending[*in.ClientToken] = p
	}
	status := types.StatusPending
	if p.completed {
		status = types.StatusCompleted
	}
	return &ebs.StartSnapshotOutput{SnapshotId: &p.id, BlockSize: aws.Int32(Size), Status: status}, nil
}

func (f *fake) of(id string) *pendingSnapshot {
	for _, p := range f.pending {
		if p.id == id {
			return p
		}
	}
	return nil
}

func (f *fake) PutSnapshotBlock(_ context.Context, in *ebs.PutSnapshotBlockInput, _ ...func(*ebs.Options)) (*ebs.PutSnapshotBlockOutput, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.of(*in.SnapshotId)
	data, err := io.ReadAll(in.BlockData)
	sum := sha256.Sum256(data)
	if err != nil || len(data) != Size || base64.StdEncoding.EncodeToString(sum[:]) != *in.Checksum {
		return nil, invalid(types.ValidationExceptionReasonInvalidBlock)
	}
	p.puts[*in.BlockIndex]++
	if f.putBy != nil {
		if err := f.putBy(*in.BlockIndex, p.puts[*in.BlockIndex]); err != nil {
			return nil, err
		}
	}
	p.blocks[*in.BlockIndex] = data
	return &ebs.PutSnapshotBlockOutput{Checksum: in.Checksum}, nil
}

func (f *fake) CompleteSnapshot(_ context.Context, in *ebs.CompleteSnapshotInput, _ ...func(*ebs.Options)) (*ebs.CompleteSnapshotOutput, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.of(*in.SnapshotId)
	all := sha256.New()
	for _, i := range slices.Sorted(maps.Keys(p.blocks)) {
		sum := sha256.Sum256(p.blocks[i])
		all.Write(sum[:])
	}
	if int(*in.ChangedBlocksCount) != len(p.blocks) || *in.Checksum != base64.StdEncoding.EncodeToString(all.Sum(nil)) {
		return nil, invalid(types.ValidationExceptionReasonInvalidParameterValue)
	}
	p.completed = true
	return &ebs.CompleteSnapshotOutput{Status: types.StatusPending}, nil
}

// image is a File in memory, by blocks; what is not there is a hole. It is compared with before, where Same is asked.
type image struct {
	at     int64
	blocks map[int32][]byte
	before map[int32][]byte
	end    int64          // of before
	lost   map[int32]bool // blocks of before that are not held any more
	same   int64          // bytes
	failAt int32          // a block that cannot be written; 0: all can
	stored map[int32][]byte
}

func (m *image) Again(index int32) (bool, error) {
	b, ok := m.stored[index]
	if ok {
		m.blocks[int32(m.at/Size)] = b
		m.at += Size
	}
	return ok, nil
}

func (m *image) Block(data []byte) error {
	i := int32(m.at / Size)
	if m.failAt > 0 && i == m.failAt {
		return errFull
	}
	m.blocks[i] = bytes.Clone(data)
	m.at += Size
	return nil
}

func (m *image) Hole(n int64) error {
	m.at += n
	return nil
}

func (m *image) Same(n int64) (int64, error) {
	for end, from := m.at+n, m.at; ; m.at += Size {
		i := int32(m.at / Size)
		if m.at == end {
			m.same += n
			return n, nil
		}
		if m.at >= m.end || m.lost[i] {
			m.same += m.at - from
			return m.at - from, io.ErrUnexpectedEOF
		}
		if b, ok := m.before[i]; ok {
			m.blocks[i] = b
		}
	}
}

var errFull = fmt.Errorf("no room")

func wantBlocks(t *testing.T, got, want map[int32][]byte) {
	t.Helper()
	for i := range want {
		if isZero(want[i]) != (got[i] == nil) || got[i] != nil && !bytes.Equal(got[i], want[i]) {
			t.Fatalf("block %d is not what it was", i)
		}
	}
	for i := range got {
		if want[i] == nil {
			t.Fatalf("block %d is of nowhere", i)
		}
	}
}
