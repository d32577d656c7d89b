// Package ec2test is a server that stands in for Amazon EC2 in tests: EC2's query protocol, the EBS direct APIs and instance metadata, on loopback,
// for the real SDK's clients.
//
// It is strict where EC2 is, as the API reference has it: signatures, parameters, filters, states and limits. It is in memory but for the bytes of
// volumes and snapshots, which are files; a snapshot's are copied from its volume's at the moment of the call that makes it.
//
// The invariant: a test that passes here by something that EC2 would refuse is a fault of this package. Nothing under test knows of it: only the
// endpoint differs.
package ec2test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"nightjar/snapshot/ec2test/direct"
	"nightjar/snapshot/ec2test/imds"
	"nightjar/snapshot/ec2test/sigv4"
	"nightjar/snapshot/ec2test/world"
)

// Credentials that the server knows.
const (
	AccessKey = "AKIAIOSFODNN7NIGHTJR"
	SecretKey = "not-a-secret-but-the-servers"
)

// What regions have.
type (
	Instance   = world.Instance
	Volume     = world.Volume
	Snapshot   = world.Snapshot
	Image      = world.Image
	Key        = world.Key
	Lock       = world.Lock
	Attachment = world.Attachment
	Meta       = world.Meta
	Settings   = world.Settings
)

// The caller's account, and another.
const (
	Account = world.Account
	Other   = world.Other
)

// A Server is a running test server. Its settings may be changed between calls.
type Server struct {
	URL         string // of all services
	MetadataURL string // of the instance metadata of the instance that On names
	*Settings

	world    *world.World
	metadata *imds.Server
	cache    *direct.Cache
	servers  []*http.Server

	mu     sync.Mutex
	faults []*fault
	calls  []Call
	onCall func(Call)
	denied map[string]bool
	skew   time.Duration
	roles  map[string]sigv4.Credentials
}

// New starts a server that ends with the test.
func New(t testing.TB) *Server {
	t.Helper()
	s, err := Start(t.TempDir(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Start starts a server on an address, with a directory for the bytes of volumes and snapshots. Instance metadata gets a port of its own.
func Start(dir, address string) (*Server, error) {
	w := world.New(dir, uint64(time.Now().UnixNano()))
	s := &Server{world: w, Settings: &w.Settings, cache: direct.NewCache(), denied: map[string]bool{}, roles: map[string]sigv4.Credentials{}}
	s.metadata = imds.New(w, s.role)
	var err error
	if s.URL, err = s.serve(address, http.HandlerFunc(s.handle)); err != nil {
		return nil, err
	}
	if s.MetadataURL, err = s.serve("127.0.0.1:0", s.metadata); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Server) serve(address string, h http.Handler) (string, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: h}
	s.servers = append(s.servers, server)
	go func() { _ = server.Serve(l) }()
	return "http://" + l.Addr().String(), nil
}

// Close ends the server. Calls under way get no answer.
func (s *Server) Close() {
	for _, server := range s.servers {
		server.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		_ = server.Shutdown(ctx)
		cancel()
	}
}

// Environ is what the SDK, and programs that use it, need in their environment to call the server and nobody else. It is to follow the test's own environment.
func (s *Server) Environ() []string {
	var env []string
	for _, pair := range s.environ() {
		env = append(env, pair[0]+"="+pair[1])
	}
	return env
}

func (s *Server) environ() [][2]string {
	return [][2]string{
		{"AWS_ACCESS_KEY_ID", AccessKey}, {"AWS_SECRET_ACCESS_KEY", SecretKey}, {"AWS_SESSION_TOKEN", ""}, {"AWS_PROFILE", ""}, {"AWS_DEFAULT_PROFILE", ""},
		{"AWS_ENDPOINT_URL", s.URL}, {"AWS_REGION", "us-east-1"}, {"AWS_DEFAULT_REGION", ""}, {"AWS_EC2_METADATA_SERVICE_ENDPOINT", s.MetadataURL},
		{"AWS_EC2_METADATA_DISABLED", ""}, {"AWS_CONFIG_FILE", os.DevNull}, {"AWS_SHARED_CREDENTIALS_FILE", os.DevNull},
		{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", ""}, {"AWS_CONTAINER_CREDENTIALS_FULL_URI", ""}, {"AWS_WEB_IDENTITY_TOKEN_FILE", ""}, {"AWS_ROLE_ARN", ""},
		{"AWS_ENDPOINT_URL_EC2", ""}, {"AWS_ENDPOINT_URL_EBS", ""}, {"AWS_ENDPOINT_URL_STS", ""}, {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", ""},
	}
}

// Setenv sets Environ for the test.
func (s *Server) Setenv(t testing.TB) {
	t.Helper()
	for _, pair := range s.environ() {
		t.Setenv(pair[0], pair[1])
	}
}

// On makes instance metadata that of an instance.
func (s *Server) On(instance string) { s.metadata.On(instance) }

// Now is the server's clock.
func (s *Server) Now() time.Time {
	s.world.Lock()
	defer s.world.Unlock()
	return s.world.Now()
}

// Advance sets the server's clock forward. Signatures are not judged by it: see Skew.
func (s *Server) Advance(d time.Duration) {
	s.world.Lock()
	defer s.world.Unlock()
	s.world.Advance(d)
}

// Skew sets the clock that signatures are judged by, and that answers say, off from the client's.
func (s *Server) Skew(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skew = d
}

// Deny refuses actions by their names in IAM policies, such as "ec2:CreateTags".
func (s *Server) Deny(actions ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range actions {
		s.denied[a] = true
	}
}

// Allow takes back Deny.
func (s *Server) Allow(actions ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range actions {
		delete(s.denied, a)
	}
}

func (s *Server) isDenied(action string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.denied[action]
}

// Calls are those that were made so far, also those that were refused.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// Forget forgets the calls so far.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = nil
}

// role makes credentials of an instance's role.
func (s *Server) role(name string) (key string, c sigv4.Credentials) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key = fmt.Sprintf("ASIA%016d", len(s.roles)+1)
	c = sigv4.Credentials{Secret: "secret-of-" + key, Token: "token-of-" + name + "-" + key}
	s.roles[key] = c
	return key, c
}

// ExpireRoles has all credentials that instance metadata gave out be expired.
func (s *Server) ExpireRoles() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.roles {
		s.roles[key] = sigv4.Credentials{}
	}
}

func (s *Server) credentials(key string) (sigv4.Credentials, bool) {
	if key == AccessKey {
		return sigv4.Credentials{Secret: SecretKey}, true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.roles[key]
	return c, ok
}

// Metadata has instance metadata be off, or answer as to a client that is a hop too far away: tokens get lost.
func (s *Server) Metadata(off, tooFar bool) {
	s.metadata.Off(off)
	s.metadata.TooFar(tooFar)
}
