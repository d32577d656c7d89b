// Package imds is the instance metadata service of the test server, version 2 alone.
//
// The invariant: nothing is told without a token that was asked for by PUT and has not expired.
package imds

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"nightjar/snapshot/ec2test/sigv4"
	"nightjar/snapshot/ec2test/world"
)

// A Server answers as the instance that On names.
type Server struct {
	world *world.World
	role  func(name string) (string, sigv4.Credentials)

	mu       sync.Mutex
	instance string
	tokens   map[string]time.Time // when they expire
	off      bool
	hops     bool
}

// New returns a server of no instance. Role makes credentials of a role.
func New(w *world.World, role func(name string) (key string, c sigv4.Credentials)) *Server {
	return &Server{world: w, role: role, tokens: map[string]time.Time{}}
}

// On makes it that of an instance.
func (s *Server) On(instance string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.instance = instance
}

// Off has it be disabled: all is refused.
func (s *Server) Off(off bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.off = off
}

// TooFar has it answer as to a client that is a hop too far away, as one in a container is with a limit of 1: tokens get lost.
func (s *Server) TooFar(far bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hops = far
}

const (
	ttlHeader   = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds"
	tokenHeader = "X-Aws-Ec2-Metadata-Token"
)

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", "EC2ws")
	s.mu.Lock()
	off, far, id := s.off, s.hops, s.instance
	s.mu.Unlock()
	switch {
	case off:
		http.Error(w, "", http.StatusForbidden)
	case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token":
		if far {
			<-r.Context().Done()
			return
		}
		s.token(w, r)
	case r.Method != http.MethodGet:
		http.Error(w, "", http.StatusMethodNotAllowed)
	case !s.valid(r.Header.Get(tokenHeader)):
		http.Error(w, "", http.StatusUnauthorized)
	default:
		s.tell(w, r, id)
	}
}

func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	ttl, err := strconv.Atoi(r.Header.Get(ttlHeader))
	if err != nil || ttl < 1 || ttl > 21600 {
		http.Error(w, "", http.StatusBadRequest)
		return
	}
	if r.Header.Get("X-Forwarded-For") != "" {
		http.Error(w, "", http.StatusForbidden)
		return
	}
	s.world.Lock()
	token := s.world.UUID()
	s.world.Unlock()
	s.mu.Lock()
	s.tokens[token] = time.Now().Add(time.Duration(ttl) * time.Second)
	s.mu.Unlock()
	w.Header().Set(ttlHeader, strconv.Itoa(ttl))
	fmt.Fprint(w, token)
}

func (s *Server) valid(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	expires, ok := s.tokens[token]
	return ok && time.Now().Before(expires)
}

func (s *Server) tell(w http.ResponseWriter, r *http.Request, id string) {
	tree := s.tree(id)
	path := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/latest/"), "/")
	if value, ok := tree[path]; ok {
		fmt.Fprint(w, value())
		return
	}
	children := map[string]bool{}
	for name := range tree {
		if rest, ok := strings.CutPrefix(name, path+"/"); ok {
			child, _, deeper := strings.Cut(rest, "/")
			if deeper {
				child += "/"
			}
			children[child] = true
		}
	}
	if len(children) == 0 {
		http.NotFound(w, r)
		return
	}
	fmt.Fprint(w, strings.Join(slices.Sorted(maps.Keys(children)), "\n"))
}

// tree is all that can be asked of an instance.
func (s *Server) tree(id string) map[string]func() string {
	s.world.Lock()
	i, region := s.find(id)
	s.world.Unlock()
	if i == nil {
		return nil
	}
	document, _ := json.MarshalIndent(map[string]any{
		"accountId": world.Account, "architecture": "x86_64", "availabilityZone": i.Zone, "imageId": i.Image, "instanceId": i.ID, "instanceType": i.Type,
		"pendingTime": i.Launched.UTC().Format("2006-01-02T15:04:05Z"), "privateIp": "10.0.0.10", "region": region, "version": "2017-09-30",
		"billingProducts": nil, "devpayProductCodes": nil, "marketplaceProductCodes": nil, "kernelId": nil, "ramdiskId": nil,
	}, "", "  ")
	tree := map[string]func() string{}
	for name, value := range map[string]string{
		"dynamic/instance-identity/document": string(document), "meta-data/ami-id": i.Image, "meta-data/instance-id": i.ID, "meta-data/instance-type": i.Type,
		"meta-data/placement/region": region, "meta-data/placement/availability-zone": i.Zone, "meta-data/local-hostname": "ip-10-0-0-10.ec2.internal",
		"meta-data/hostname": "ip-10-0-0-10.ec2.internal", "meta-data/local-ipv4": "10.0.0.10",
	} {
		tree[name] = func() string { return value }
	}
	if i.Profile != "" {
		tree["meta-data/iam/security-credentials"] = func() string { return i.Profile }
		tree["meta-data/iam/security-credentials/"+i.Profile] = func() string { return s.credentials(i.Profile) }
	}
	return tree
}

func (s *Server) find(id string) (*world.Instance, string) {
	for _, name := range world.RegionNames() {
		if r := s.world.Region(name); r != nil {
			if i, ok := r.Instances.Get(id); ok {
				copied := *i
				return &copied, name
			}
		}
	}
	return nil, ""
}

func (s *Server) credentials(name string) string {
	key, c := s.role(name)
	now := time.Now().UTC()
	text, _ := json.Marshal(map[string]string{
		"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": now.Format(time.RFC3339), "AccessKeyId": key, "SecretAccessKey": c.Secret, "Token": c.Token,
		"Expiration": now.Add(6 * time.Hour).Format(time.RFC3339),
	})
	return string(text)
}
