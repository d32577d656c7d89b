package direct

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"time"

	"nightjar/snapshot/ec2test/ops/call"
	"nightjar/snapshot/ec2test/query"
	"nightjar/snapshot/ec2test/world"
)

type start struct {
	Token       string `json:"ClientToken"`
	Description string
	Encrypted   *bool
	KMSKey      string `json:"KmsKeyArn"`
	Parent      string `json:"ParentSnapshotId"`
	Tags        []call.Tag
	Timeout     *int
	GiB         int `json:"VolumeSize"`
}

type started struct {
	ID          string     `json:"SnapshotId"`
	Owner       string     `json:"OwnerId"`
	Status      string     `json:"Status"`
	Started     float64    `json:"StartTime"`
	GiB         int        `json:"VolumeSize"`
	BlockSize   int        `json:"BlockSize"`
	Description string     `json:"Description,omitempty"`
	KMSKey      string     `json:"KmsKeyArn,omitempty"`
	Parent      string     `json:"ParentSnapshotId,omitempty"`
	Tags        []call.Tag `json:"Tags,omitempty"`
}

func startSnapshot(r *Request) (*query.Reply, error) {
	var in start
	d := json.NewDecoder(bytes.NewReader(r.Body))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return nil, invalid("INVALID_PARAMETER_VALUE", "The request cannot be read: %v", err)
	}
	if in.Token != "" {
		if before, ok := r.Tokens["ebs "+in.Token]; ok {
			if before.Parameters != string(r.Body) {
				return nil, &query.Error{Status: http.StatusConflict, Code: "ConflictException", Message: "The client token was used for another request"}
			}
			return reply(http.StatusCreated, before.Answer)
		}
	}
	tags, timeout, err := r.checkStart(in)
	if err != nil {
		return nil, err
	}
	s, err := r.start(in, tags)
	if err != nil {
		return nil, err
	}
	now := r.Now()
	r.Uploads[s.ID] = &world.Upload{Snapshot: s.ID, Timeout: timeout, Last: now, Blocks: map[int][32]byte{}}
	out := started{s.ID, s.Owner, s.State, seconds(now), s.GiB, world.Block, s.Description, s.KMSKey, in.Parent, in.Tags}
	if in.Token != "" {
		r.Tokens["ebs "+in.Token] = world.Replay{Parameters: string(r.Body), Answer: out}
	}
	return reply(http.StatusCreated, out)
}

func (r *Request) checkStart(in start) (tags map[string]string, timeout time.Duration, err error) {
	if in.GiB < 1 || in.GiB > 65536 {
		return nil, 0, invalid("INVALID_VOLUME_SIZE", "The volume size %d is not between 1 and 65536 GiB", in.GiB)
	}
	if in.Parent != "" && in.Encrypted != nil {
		return nil, 0, invalid("INVALID_PARAMETER_VALUE", "Encrypted and ParentSnapshotId cannot both be specified")
	}
	if in.KMSKey != "" && (in.Encrypted == nil || !*in.Encrypted) {
		return nil, 0, invalid("INVALID_PARAMETER_VALUE", "KmsKeyArn needs Encrypted to be true")
	}
	timeout = time.Hour
	if in.Timeout != nil {
		if timeout = time.Duration(*in.Timeout) * time.Minute; *in.Timeout < 10 || *in.Timeout > 4320 {
			return nil, 0, invalid("INVALID_PARAMETER_VALUE", "The timeout %d is not between 10 and 4320 minutes", *in.Timeout)
		}
	}
	if tags, err = call.TagMap(in.Tags); err != nil {
		return nil, 0, invalid("INVALID_TAG", "%v", err)
	}
	if len(tags) > 0 && r.Denied("ec2:CreateTags") {
		return nil, 0, &query.Error{Status: http.StatusForbidden, Code: "AccessDeniedException", Message: "User is not authorized to perform: ec2:CreateTags"}
	}
	return tags, timeout, nil
}

func (r *Request) start(in start, tags map[string]string) (*world.Snapshot, error) {
	s := &world.Snapshot{
		Volume: world.ArbitraryVolume, Owner: world.Account, Description: in.Description, State: "pending", GiB: in.GiB, Started: r.Now(),
		Encrypted: in.Encrypted != nil && *in.Encrypted || r.Encrypt[r.Name], KMSKey: in.KMSKey,
	}
	parent := &world.Snapshot{}
	if in.Parent != "" {
		var err error
		if parent, err = r.readable(in.Parent); err != nil {
			return nil, err
		}
		if in.GiB < parent.GiB {
			return nil, invalid("INVALID_VOLUME_SIZE", "The volume size %d is less than the parent's, %d", in.GiB, parent.GiB)
		}
		s.Encrypted, s.KMSKey, s.Lineage = parent.Encrypted || s.Encrypted, parent.KMSKey, parent.Lineage
	}
	if s.Encrypted && s.KMSKey == "" {
		s.KMSKey = r.OwnKey()
	}
	if err := r.usable(s.KMSKey); err != nil {
		return nil, err
	}
	s.File = r.File("snapshot")
	if err := world.Copy(parent.File, s.File, s.GiB); err != nil {
		return nil, err
	}
	r.Make(&s.Meta, "snap", maps.Clone(tags))
	if s.Lineage == "" {
		s.Lineage = s.ID
	}
	r.Snapshots.Add(s)
	return s, nil
}

// upload returns a snapshot that is being written.
func (r *Request) upload(id string) (*world.Snapshot, *world.Upload, error) {
	if !snapshotID.MatchString(id) {
		return nil, nil, invalid("INVALID_SNAPSHOT_ID", "The snapshot ID %q is invalid", id)
	}
	s, ok := r.Snapshots.Get(id)
	if !ok || s.Owner != world.Account {
		return nil, nil, &query.Error{Status: http.StatusNotFound, Code: "ResourceNotFoundException", Reason: "SNAPSHOT_NOT_FOUND", Message: "The snapshot '" + id + "' does not exist."}
	}
	u := r.Uploads[id]
	switch {
	case u == nil && s.State == "error":
		return nil, nil, invalid("WRITE_REQUEST_TIMEOUT", "The snapshot '%s' was cancelled", id)
	case u == nil:
		return nil, nil, invalid("INVALID_SNAPSHOT_ID", "The snapshot '%s' is not being written", id)
	}
	return s, u, nil
}

// expire cancels what nobody has written to for its time.
func (r *Request) expire() {
	for id, u := range r.Uploads {
		if r.Now().Sub(u.Last) < u.Timeout {
			continue
		}
		if s, ok := r.Snapshots.Get(id); ok {
			s.State, s.Message = "error", "The snapshot was not completed in time"
		}
		delete(r.Uploads, id)
	}
}

func putSnapshotBlock(r *Request) (*query.Reply, error) {
	s, u, err := r.upload(r.Parameters.Get("snapshotId"))
	if err != nil {
		return nil, err
	}
	index, err := strconv.Atoi(r.Parameters.Get("blockIndex"))
	if err != nil || index < 0 || int64(index) >= int64(s.GiB)*world.GiB/world.Block {
		return nil, invalid("INVALID_BLOCK", "The block index is not within the volume")
	}
	if n := r.Parameters.Get("X-Amz-Data-Length"); n != strconv.Itoa(world.Block) || len(r.Body) != world.Block {
		return nil, invalid("INVALID_PARAMETER_VALUE", "A block has %d bytes: the data length is %s, and there are %d", world.Block, n, len(r.Body))
	}
	if p := r.Parameters.Get("X-Amz-Progress"); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 0 || n > 100 {
			return nil, invalid("INVALID_PARAMETER_VALUE", "The progress is not between 0 and 100")
		}
	}
	sum := sha256.Sum256(r.Body)
	if r.Parameters.Get("X-Amz-Checksum-Algorithm") != "SHA256" || r.Parameters.Get("X-Amz-Checksum") != base64.StdEncoding.EncodeToString(sum[:]) {
		return nil, invalid("INVALID_BLOCK", "The checksum is not that of the block's data")
	}
	f, err := os.OpenFile(s.File, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := f.WriteAt(r.Body, int64(index)*world.Block); err != nil {
		return nil, err
	}
	u.Blocks[index], u.Last = sum, r.Now()
	h := blockHeader(r.Body)
	h.Del("X-Amz-Data-Length")
	h.Set("Content-Type", "application/json")
	return &query.Reply{Status: http.StatusCreated, Header: h, Body: []byte("{}")}, nil
}

func completeSnapshot(r *Request) (*query.Reply, error) {
	s, u, err := r.upload(r.Parameters.Get("snapshotId"))
	if err != nil {
		return nil, err
	}
	if n, err := strconv.Atoi(r.Parameters.Get("X-Amz-Changedblockscount")); err != nil || n != len(u.Blocks) {
		return nil, invalid("INVALID_PARAMETER_VALUE", "ChangedBlocksCount is not the number of blocks that were written, %d", len(u.Blocks))
	}
	if sum := r.Parameters.Get("X-Amz-Checksum"); sum != "" {
		if r.Parameters.Get("X-Amz-Checksum-Algorithm") != "SHA256" || r.Parameters.Get("X-Amz-Checksum-Aggregation-Method") != "LINEAR" {
			return nil, invalid("INVALID_PARAMETER_VALUE", "A checksum needs the algorithm SHA256 and the aggregation method LINEAR")
		}
		if sum != aggregate(u.Blocks) {
			return nil, invalid("INVALID_PARAMETER_VALUE", "The checksum is not that of the blocks that were written")
		}
	}
	delete(r.Uploads, s.ID)
	s.Started = r.Now()
	return reply(http.StatusAccepted, map[string]string{"Status": "pending"})
}

// aggregate is the checksum of the blocks' checksums, in order of their indexes.
func aggregate(blocks map[int][32]byte) string {
	h := sha256.New()
	for _, index := range slices.Sorted(maps.Keys(blocks)) {
		sum := blocks[index]
		h.Write(sum[:])
	}
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}
