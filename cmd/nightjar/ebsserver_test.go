package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"nightjar/snapshot/blocks"
)

// directServer has the EBS direct APIs, and of EC2 what archives need, of snapshots that are files.
type directServer struct {
	testing.TB
	url string

	mu        sync.Mutex
	snapshots map[string]*directSnapshot
	calls     map[string]int
	round     int // of tokens
	expire    int // blocks after which tokens expire; 0: never
	throttle  int // every so many reads are refused; 0: none
}

type directSnapshot struct {
	id, volume, state string
	path              string
	gib               int64
	blocks            map[int32][32]byte // sums of those that hold something
	tags              map[string]string
	token, parent     string
	put               map[int32][32]byte
}

func startDirect(t testing.TB) *directServer {
	s := &directServer{TB: t, snapshots: map[string]*directSnapshot{}, calls: map[string]int{}}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	s.url = h.URL
	return s
}

func (s *directServer) environ() []string {
	return []string{"AWS_ENDPOINT_URL=" + s.url, "AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_EC2_METADATA_DISABLED=true"}
}

// take makes a snapshot of a file.
func (s *directServer) take(id, volume, path string, tags map[string]string) {
	s.Helper()
	f, err := os.Open(path)
	if err != nil {
		s.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		s.Fatal(err)
	}
	x := &directSnapshot{id: id, volume: volume, state: "completed", path: path, gib: info.Size() >> 30, blocks: map[int32][32]byte{}, tags: maps.Clone(tags)}
	if x.tags == nil {
		x.tags = map[string]string{}
	}
	buf, zeros := make([]byte, blocks.Size), make([]byte, blocks.Size)
	for at := int64(0); at < info.Size(); at += blocks.Size {
		if next, err := f.Seek(at, 3); err != nil { // SEEK_DATA
			break
		} else {
			at = next / blocks.Size * blocks.Size
		}
		if _, err := f.ReadAt(buf, at); err != nil {
			s.Fatal(err)
		}
		if !bytes.Equal(buf, zeros) {
			x.blocks[int32(at/blocks.Size)] = sha256.Sum256(buf)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.snapshots[id] = x
}

func (s *directServer) count(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[name]
}

func (s *directServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case r.URL.Path == "/":
		s.ec2(w, r)
	case r.Method == http.MethodPost && len(parts) == 1:
		s.start(w, r)
	case r.Method == http.MethodPost:
		s.complete(w, r, s.snapshots[parts[2]])
	case s.snapshots[parts[1]] == nil:
		s.refuse(w, 404, "ResourceNotFoundException", "SNAPSHOT_NOT_FOUND")
	case r.Method == http.MethodPut:
		s.putBlock(w, r, s.snapshots[parts[1]], parts[3])
	case len(parts) == 4:
		s.getBlock(w, r, s.snapshots[parts[1]], parts[3])
	default:
		s.list(w, r, s.snapshots[parts[1]])
	}
}

func (s *directServer) refuse(w http.ResponseWriter, status int, kind, reason string) {
	w.Header().Set("X-Amzn-ErrorType", kind)
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"Message":"it is refused","Reason":%q}`, reason)
}

func (s *directServer) token(x *directSnapshot, i int32) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s/%d/%d", x.id, i, s.round))
}

func (s *directServer) list(w http.ResponseWriter, r *http.Request, x *directSnapshot) {
	q := r.URL.Query()
	all := map[int32]bool{}
	first := s.snapshots[q.Get("firstSnapshotId")]
	for i := range x.blocks {
		all[i] = first == nil || first.blocks[i] != x.blocks[i]
	}
	if strings.HasSuffix(r.URL.Path, "/changedblocks") {
		s.calls["ListChangedBlocks"]++
		if first == nil {
			s.refuse(w, 404, "ResourceNotFoundException", "SNAPSHOT_NOT_FOUND")
			return
		}
		for i := range first.blocks {
			all[i] = first.blocks[i] != x.blocks[i]
		}
	} else {
		s.calls["ListSnapshotBlocks"]++
	}
	maps.DeleteFunc(all, func(_ int32, is bool) bool { return !is })
	indexes := slices.Sorted(maps.Keys(all))
	from, _ := strconv.Atoi(q.Get("startingBlockIndex") + q.Get("pageToken"))
	n, _ := slices.BinarySearch(indexes, int32(from))
	indexes = indexes[n:]
	most, _ := strconv.Atoi(q.Get("maxResults"))
	next := ""
	if len(indexes) > most {
		next = strconv.Itoa(int(indexes[most]))
		indexes = indexes[:most]
	}
	entries := []map[string]any{}
	for _, i := range indexes {
		e := map[string]any{"BlockIndex": i}
		if _, ok := x.blocks[i]; ok {
			e["BlockToken"], e["SecondBlockToken"] = s.token(x, i), s.token(x, i)
		}
		entries = append(entries, e)
	}
	out := map[string]any{"Blocks": entries, "ChangedBlocks": entries, "BlockSize": blocks.Size, "VolumeSize": x.gib, "ExpiryTime": 4e9}
	if next != "" {
		out["NextToken"] = next
	}
	_ = json.NewEncoder(w).Encode(out)
}

func (s *directServer) getBlock(w http.ResponseWriter, r *http.Request, x *directSnapshot, index string) {
	i, _ := strconv.Atoi(index)
	s.calls["GetSnapshotBlock"]++
	n := s.calls["GetSnapshotBlock"]
	if s.throttle > 0 && n%s.throttle == 0 {
		s.refuse(w, 400, "RequestThrottledException", "RESOURCE_LEVEL_THROTTLE")
		return
	}
	if s.expire > 0 && n%s.expire == 0 {
		s.round++
	}
	if r.URL.Query().Get("blockToken") != s.token(x, int32(i)) {
		s.refuse(w, 400, "ValidationException", "INVALID_BLOCK_TOKEN")
		return
	}
	f, err := os.Open(x.path)
	if err != nil {
		s.Error(err)
		return
	}
	defer f.Close()
	sum := x.blocks[int32(i)]
	w.Header().Set("x-amz-Data-Length", strconv.Itoa(blocks.Size))
	w.Header().Set("x-amz-Checksum", base64.StdEncoding.EncodeToString(sum[:]))
	w.Header().Set("x-amz-Checksum-Algorithm", "SHA256")
	_, _ = io.Copy(w, io.NewSectionReader(f, int64(i)*blocks.Size, blocks.Size))
}

func (s *directServer) start(w http.ResponseWriter, r *http.Request) {
	s.calls["StartSnapshot"]++
	var in struct {
		VolumeSize                                         int64
		ClientToken, Description, ParentSnapshotId, KmsKey string
		Tags                                               []struct{ Key, Value string }
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		s.Error(err)
	}
	var x *directSnapshot
	for _, y := range s.snapshots {
		if y.token == in.ClientToken {
			x = y
		}
	}
	if x == nil {
		x = &directSnapshot{id: fmt.Sprintf("snap-new%d", len(s.snapshots)), volume: "vol-ffffffff", state: "pending", gib: in.VolumeSize, token: in.ClientToken, parent: in.ParentSnapshotId, put: map[int32][32]byte{}, blocks: map[int32][32]byte{}, tags: map[string]string{}}
		x.path = s.TempDir() + "/" + x.id
		if err := s.fork(x); err != nil {
			s.Error(err)
		}
		for _, t := range in.Tags {
			x.tags[t.Key] = t.Value
		}
		s.snapshots[x.id] = x
	}
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, `{"SnapshotId":%q,"BlockSize":524288,"Status":%q,"VolumeSize":%d}`, x.id, x.state, x.gib)
}

// fork gives a new snapshot what its parent has.
func (s *directServer) fork(x *directSnapshot) error {
	to, err := os.Create(x.path)
	if err != nil {
		return err
	}
	defer to.Close()
	if err := to.Truncate(x.gib << 30); err != nil {
		return err
	}
	p := s.snapshots[x.parent]
	if p == nil {
		return nil
	}
	x.blocks = maps.Clone(p.blocks)
	from, err := os.Open(p.path)
	if err != nil {
		return err
	}
	defer from.Close()
	block := make([]byte, blocks.Size)
	for i := range x.blocks {
		if _, err := from.ReadAt(block, int64(i)*blocks.Size); err != nil {
			return err
		}
		if _, err := to.WriteAt(block, int64(i)*blocks.Size); err != nil {
			return err
		}
	}
	return nil
}

func (s *directServer) putBlock(w http.ResponseWriter, r *http.Request, x *directSnapshot, index string) {
	s.calls["PutSnapshotBlock"]++
	i, _ := strconv.Atoi(index)
	data, _ := io.ReadAll(r.Body)
	sum := sha256.Sum256(data)
	given := base64.StdEncoding.EncodeToString(sum[:])
	if len(data) != blocks.Size || given != r.Header.Get("x-amz-Checksum") || x.state != "pending" {
		s.refuse(w, 400, "ValidationException", "INVALID_BLOCK")
		return
	}
	f, err := os.OpenFile(x.path, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteAt(data, int64(i)*blocks.Size)
		f.Close()
	}
	if err != nil {
		s.Error(err)
	}
	x.put[int32(i)], x.blocks[int32(i)] = sum, sum
	w.Header().Set("x-amz-Checksum", given)
	w.Header().Set("x-amz-Checksum-Algorithm", "SHA256")
	w.WriteHeader(http.StatusCreated)
}

func (s *directServer) complete(w http.ResponseWriter, r *http.Request, x *directSnapshot) {
	s.calls["CompleteSnapshot"]++
	all := sha256.New()
	for _, i := range slices.Sorted(maps.Keys(x.put)) {
		sum := x.put[i]
		all.Write(sum[:])
	}
	if r.Header.Get("x-amz-ChangedBlocksCount") != strconv.Itoa(len(x.put)) || r.Header.Get("x-amz-Checksum") != base64.StdEncoding.EncodeToString(all.Sum(nil)) {
		s.refuse(w, 400, "ValidationException", "INVALID_PARAMETER_VALUE")
		return
	}
	x.state = "completed"
	w.WriteHeader(http.StatusAccepted)
	fmt.Fprint(w, `{"Status":"completed"}`)
}

// ec2 describes snapshots, and sets tags.
func (s *directServer) ec2(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		s.Error(err)
	}
	type tag struct {
		Key   string `xml:"key"`
		Value string `xml:"value"`
	}
	type item struct {
		ID       string `xml:"snapshotId"`
		Volume   string `xml:"volumeId"`
		Status   string `xml:"status"`
		Started  string `xml:"startTime"`
		Progress string `xml:"progress"`
		GiB      int64  `xml:"volumeSize"`
		Tags     []tag  `xml:"tagSet>item"`
	}
	action := r.Form.Get("Action")
	s.calls[action]++
	if action != "DescribeSnapshots" {
		x, key := s.snapshots[r.Form.Get("ResourceId.1")], r.Form.Get("Tag.1.Key")
		if value := r.Form.Get("Tag.1.Value"); action == "CreateTags" {
			for i := 1; r.Form.Has(fmt.Sprintf("ResourceId.%d", i)); i++ {
				s.snapshots[r.Form.Get(fmt.Sprintf("ResourceId.%d", i))].tags[key] = value
			}
		} else if x != nil && x.tags[key] == value {
			delete(x.tags, key)
		}
		fmt.Fprintf(w, "<%sResponse><return>true</return></%sResponse>", action, action)
		return
	}
	out := struct {
		XMLName xml.Name `xml:"DescribeSnapshotsResponse"`
		Items   []item   `xml:"snapshotSet>item"`
	}{}
	for _, id := range slices.Sorted(maps.Keys(s.snapshots)) {
		x := s.snapshots[id]
		if only := r.Form.Get("SnapshotId.1"); only != "" && only != id {
			continue
		}
		if key, isTag := strings.CutPrefix(r.Form.Get("Filter.1.Name"), "tag:"); isTag && x.tags[key] != r.Form.Get("Filter.1.Value.1") {
			continue
		}
		i := item{ID: id, Volume: x.volume, Status: x.state, Started: time.Unix(1.7e9, 0).UTC().Format(time.RFC3339), Progress: "100%", GiB: x.gib}
		for k, v := range x.tags {
			i.Tags = append(i.Tags, tag{k, v})
		}
		out.Items = append(out.Items, i)
	}
	_ = xml.NewEncoder(w).Encode(out)
}
