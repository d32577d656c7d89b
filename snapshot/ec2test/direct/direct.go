// Package direct has the EBS direct APIs of the test server: blocks of snapshots are listed, compared, read, and written to new ones.
//
// The invariant: a block is given only for a token that was made for it and has not expired, and taken only with the checksum of its bytes.
package direct

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"nightjar/snapshot/ec2test/query"
	"nightjar/snapshot/ec2test/world"
)

// A Request is one call. The world's lock is held.
type Request struct {
	*world.Region
	Operation  string
	Parameters url.Values // of the path, the query, and headers that are parameters
	Body       []byte
	Denied     func(action string) bool
	Cache      *Cache
}

// Cache remembers which blocks snapshots have, and which two of them differ in.
type Cache struct{ lists map[string][]int }

// NewCache returns an empty one.
func NewCache() *Cache { return &Cache{map[string][]int{}} }

type route struct {
	method, operation string
	path              *regexp.Regexp
}

var routes = []route{
	{http.MethodGet, "ListSnapshotBlocks", regexp.MustCompile(`^/snapshots/(?P<snapshotId>[^/]+)/blocks$`)},
	{http.MethodGet, "ListChangedBlocks", regexp.MustCompile(`^/snapshots/(?P<secondSnapshotId>[^/]+)/changedblocks$`)},
	{http.MethodGet, "GetSnapshotBlock", regexp.MustCompile(`^/snapshots/(?P<snapshotId>[^/]+)/blocks/(?P<blockIndex>[^/]+)$`)},
	{http.MethodPut, "PutSnapshotBlock", regexp.MustCompile(`^/snapshots/(?P<snapshotId>[^/]+)/blocks/(?P<blockIndex>[^/]+)$`)},
	{http.MethodPost, "CompleteSnapshot", regexp.MustCompile(`^/snapshots/completion/(?P<snapshotId>[^/]+)$`)},
	{http.MethodPost, "StartSnapshot", regexp.MustCompile(`^/snapshots$`)},
}

// Route returns the operation that a request is for, and its parameters; none: there is no such one.
func Route(r *http.Request) (operation string, parameters url.Values) {
	for _, to := range routes {
		match := to.path.FindStringSubmatch(r.URL.Path)
		if match == nil || r.Method != to.method {
			continue
		}
		parameters := r.URL.Query()
		for i, name := range to.path.SubexpNames()[1:] {
			parameters.Set(name, match[i+1])
		}
		for name, values := range r.Header {
			if strings.HasPrefix(name, "X-Amz-") && name != "X-Amz-Security-Token" && name != "X-Amz-Date" && name != "X-Amz-Content-Sha256" {
				parameters[name] = values
			}
		}
		return to.operation, parameters
	}
	return "", nil
}

var operations = map[string]func(*Request) (*query.Reply, error){
	"ListSnapshotBlocks": listSnapshotBlocks, "ListChangedBlocks": listChangedBlocks, "GetSnapshotBlock": getSnapshotBlock,
	"PutSnapshotBlock": putSnapshotBlock, "CompleteSnapshot": completeSnapshot, "StartSnapshot": startSnapshot,
}

// Run makes a call.
func Run(r *Request) (*query.Reply, error) {
	if r.Denied("ebs:" + r.Operation) {
		return nil, &query.Error{Status: http.StatusForbidden, Code: "AccessDeniedException", Message: "User is not authorized to perform: ebs:" + r.Operation}
	}
	r.expire()
	return operations[r.Operation](r)
}

// ErrorAnswer is the document of a refusal.
func ErrorAnswer(err *query.Error) []byte {
	text, _ := json.Marshal(map[string]string{"Message": err.Message, "Reason": err.Reason})
	return text
}

func invalid(reason, format string, args ...any) error {
	return &query.Error{Code: "ValidationException", Reason: reason, Message: fmt.Sprintf(format, args...)}
}

func reply(status int, out any) (*query.Reply, error) {
	text, err := json.Marshal(out)
	return &query.Reply{Status: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: text}, err
}

var snapshotID = regexp.MustCompile(`^snap-[0-9a-f]{8}([0-9a-f]{9})?$`)

// readable returns a completed snapshot of the caller's, or one that is shared with it.
func (r *Request) readable(id string) (*world.Snapshot, error) {
	if !snapshotID.MatchString(id) {
		return nil, invalid("INVALID_SNAPSHOT_ID", "The snapshot ID %q is invalid", id)
	}
	s, ok := r.Snapshots.Get(id)
	if !ok || s.Owner != world.Account && !slices.Contains(s.SharedWith, world.Account) {
		return nil, &query.Error{Status: http.StatusNotFound, Code: "ResourceNotFoundException", Reason: "SNAPSHOT_NOT_FOUND", Message: fmt.Sprintf("The snapshot '%s' does not exist.", id)}
	}
	if s.State != "completed" || s.Archived {
		return nil, invalid("INVALID_SNAPSHOT_ID", "The snapshot '%s' is not completed, or not in the standard tier", id)
	}
	return s, r.usable(s.KMSKey)
}

// usable refuses a key that is there no more or disabled.
func (r *Request) usable(arn string) error {
	if arn == "" {
		return nil
	}
	k := r.FindKey(arn)
	if k == nil {
		return &query.Error{Status: http.StatusNotFound, Code: "ResourceNotFoundException", Reason: "DEPENDENCY_RESOURCE_NOT_FOUND", Message: "The KMS key does not exist: " + arn}
	}
	if k.Disabled || k.Pending {
		return invalid("INVALID_DEPENDENCY_REQUEST", "The KMS key is disabled: %s", arn)
	}
	return nil
}

type block struct {
	Index  int    `json:"BlockIndex"`
	Token  string `json:"BlockToken,omitempty"`
	First  string `json:"FirstBlockToken,omitempty"`
	Second string `json:"SecondBlockToken,omitempty"`
}

type listing struct {
	Blocks  []block `json:",omitempty"`
	Changed []block `json:"ChangedBlocks,omitempty"`
	Size    int     `json:"BlockSize"`
	GiB     int     `json:"VolumeSize"`
	Expires float64 `json:"ExpiryTime"`
	Next    string  `json:"NextToken,omitempty"`
}

// page cuts the page out of a list of blocks that is asked for.
func (r *Request) page(name string, blocks []int) (page []int, next string, err error) {
	most, start := 10_000, 0
	if text := r.Parameters.Get("maxResults"); text != "" {
		if most, err = strconv.Atoi(text); err != nil || most < 100 || most > 10_000 {
			return nil, "", invalid("INVALID_PARAMETER_VALUE", "MaxResults %q is not between 100 and 10000", text)
		}
	}
	if text := r.Parameters.Get("startingBlockIndex"); text != "" {
		if start, err = strconv.Atoi(text); err != nil || start < 0 {
			return nil, "", invalid("INVALID_PARAMETER_VALUE", "StartingBlockIndex %q is invalid", text)
		}
	}
	if text := r.Parameters.Get("pageToken"); text != "" {
		n, err := query.ParseToken(name, text)
		if err != nil {
			return nil, "", invalid("INVALID_PAGE_TOKEN", "The page token is invalid")
		}
		start = int(n)
	}
	i, _ := slices.BinarySearch(blocks, start)
	page = blocks[i:]
	if len(page) > most {
		page = page[:most]
		next = query.Token(name, uint64(blocks[i+most]))
	}
	return page, next, nil
}

func (r *Request) list(s *world.Snapshot) ([]int, error) {
	if blocks, ok := r.Cache.lists[s.ID]; ok {
		return blocks, nil
	}
	blocks, err := world.Blocks(s.File)
	r.Cache.lists[s.ID] = blocks
	return blocks, err
}

func listSnapshotBlocks(r *Request) (*query.Reply, error) {
	s, err := r.readable(r.Parameters.Get("snapshotId"))
	if err != nil {
		return nil, err
	}
	blocks, err := r.list(s)
	if err != nil {
		return nil, err
	}
	page, next, err := r.page("blocks-"+s.ID, blocks)
	if err != nil {
		return nil, err
	}
	expires := r.expiry()
	out := listing{Blocks: []block{}, Size: world.Block, GiB: s.GiB, Expires: seconds(expires), Next: next}
	for _, b := range page {
		out.Blocks = append(out.Blocks, block{Index: b, Token: token(s.ID, b, expires)})
	}
	return reply(http.StatusOK, out)
}

func listChangedBlocks(r *Request) (*query.Reply, error) {
	second, err := r.readable(r.Parameters.Get("secondSnapshotId"))
	if err != nil {
		return nil, err
	}
	var first *world.Snapshot
	if id := r.Parameters.Get("firstSnapshotId"); id != "" {
		if first, err = r.readable(id); err != nil {
			return nil, err
		}
		if first.Lineage != second.Lineage {
			return nil, invalid("UNRELATED_SNAPSHOTS", "The snapshots %s and %s are not of the same lineage", first.ID, second.ID)
		}
	} else {
		first = &world.Snapshot{}
	}
	changed, err := r.changed(first, second)
	if err != nil {
		return nil, err
	}
	page, next, err := r.page("changed-"+first.ID+"-"+second.ID, changed)
	if err != nil {
		return nil, err
	}
	return r.showChanged(first, second, page, next)
}

func (r *Request) showChanged(first, second *world.Snapshot, page []int, next string) (*query.Reply, error) {
	expires := r.expiry()
	out := listing{Changed: []block{}, Size: world.Block, GiB: second.GiB, Expires: seconds(expires), Next: next}
	in1, err := r.list(first)
	if err != nil {
		return nil, err
	}
	in2, err := r.list(second)
	if err != nil {
		return nil, err
	}
	for _, b := range page {
		shown := block{Index: b}
		if _, ok := slices.BinarySearch(in1, b); ok {
			shown.First = token(first.ID, b, expires)
		}
		if _, ok := slices.BinarySearch(in2, b); ok {
			shown.Second = token(second.ID, b, expires)
		}
		out.Changed = append(out.Changed, shown)
	}
	return reply(http.StatusOK, out)
}

// changed lists the blocks that two snapshots differ in, or that one alone has.
func (r *Request) changed(first, second *world.Snapshot) (changed []int, err error) {
	name := first.ID + " " + second.ID
	if changed, ok := r.Cache.lists[name]; ok {
		return changed, nil
	}
	in1, err := r.list(first)
	if err != nil {
		return nil, err
	}
	in2, err := r.list(second)
	if err != nil {
		return nil, err
	}
	all := append(slices.Clone(in1), in2...)
	slices.Sort(all)
	for _, b := range slices.Compact(all) {
		_, one := slices.BinarySearch(in1, b)
		_, two := slices.BinarySearch(in2, b)
		same := false
		if one && two {
			if same, err = sameBlock(first.File, second.File, b); err != nil {
				return nil, err
			}
		}
		if !same {
			changed = append(changed, b)
		}
	}
	r.Cache.lists[name] = changed
	return changed, nil
}

func sameBlock(a, b string, index int) (bool, error) {
	x, err := world.ReadBlock(a, index)
	if err != nil {
		return false, err
	}
	y, err := world.ReadBlock(b, index)
	return string(x) == string(y), err
}

func (r *Request) expiry() time.Time {
	if r.TokenLife > 0 {
		return r.Now().Add(r.TokenLife)
	}
	return r.Now().Add(7 * 24 * time.Hour)
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// token is opaque to clients: it names the block and when it expires, and cannot be made by them.
func token(snapshot string, index int, expires time.Time) string {
	text := fmt.Sprintf("%s/%d/%d", snapshot, index, expires.UnixMilli())
	sum := sha256.Sum256([]byte("block token " + text))
	return base64.StdEncoding.EncodeToString([]byte(text + "/" + hex.EncodeToString(sum[:12])))
}

func (r *Request) checkToken(text, snapshot string, index int) error {
	raw, _ := base64.StdEncoding.DecodeString(text)
	parts := strings.Split(string(raw), "/")
	if len(parts) == 4 {
		if ms, err := strconv.ParseInt(parts[2], 10, 64); err == nil && text == token(snapshot, index, time.UnixMilli(ms)) {
			if r.Now().Before(time.UnixMilli(ms)) {
				return nil
			}
			return invalid("INVALID_BLOCK_TOKEN", "The block token has expired")
		}
	}
	return invalid("INVALID_BLOCK_TOKEN", "The block token is invalid")
}

func getSnapshotBlock(r *Request) (*query.Reply, error) {
	s, err := r.readable(r.Parameters.Get("snapshotId"))
	if err != nil {
		return nil, err
	}
	index, err := strconv.Atoi(r.Parameters.Get("blockIndex"))
	if err != nil || index < 0 {
		return nil, invalid("INVALID_PARAMETER_VALUE", "The block index is invalid")
	}
	if err := r.checkToken(r.Parameters.Get("blockToken"), s.ID, index); err != nil {
		return nil, err
	}
	file := s.File
	return &query.Reply{Read: func() (http.Header, []byte, error) { // without the lock: nobody writes to it any more
		data, err := world.ReadBlock(file, index)
		return blockHeader(data), data, err
	}}, nil
}

func blockHeader(data []byte) http.Header {
	sum := sha256.Sum256(data)
	return http.Header{
		"Content-Type": {"application/octet-stream"}, "X-Amz-Data-Length": {strconv.Itoa(len(data))},
		"X-Amz-Checksum": {base64.StdEncoding.EncodeToString(sum[:])}, "X-Amz-Checksum-Algorithm": {"SHA256"},
	}
}
