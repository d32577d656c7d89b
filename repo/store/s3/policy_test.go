package s3_test

import (
	"errors"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"nightjar/internal/s3test"
	"nightjar/repo/store"
	"nightjar/repo/store/s3"
	"nightjar/repo/store/s3/request"
)

var policyBlock = regexp.MustCompile("(?s)```json ([a-z-]+)\n(.*?)```")

// documentedPolicies returns those of doc/s3.md by their names.
func documentedPolicies(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile("../../../doc/s3.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, m := range policyBlock.FindAllStringSubmatch(string(page), -1) {
		documented[m[1]] = m[2]
	}
	return documented
}

// policies runs with just what doc/s3.md says that suffices.
func policies(t *testing.T, server *s3test.Server) {
	documented := documentedPolicies(t)
	l := freshPlace()
	bucket, prefix, _ := strings.Cut(l.Path, "/")
	elsewhere := freshPlace()
	s := open(t, l, options(t, server))
	put(t, s, "config", []byte("config"))
	put(t, open(t, elsewhere, options(t, server)), "config", []byte("theirs"))

	stat := func(s *s3.Store) error { _, err := s.Stat(t.Context(), "config"); return err }
	missing := func(s *s3.Store) error { _, err := s.Stat(t.Context(), "archive/no"); return err }
	missingToo := func(s *s3.Store) error { return s.GetInto(t.Context(), "archive/no", 0, make([]byte, 1)) }
	read := func(s *s3.Store) error { return s.GetInto(t.Context(), "config", 0, make([]byte, 3)) }
	list := func(s *s3.Store) error { return s.List(t.Context(), "", func(store.Info) error { return nil }) }
	now := func(s *s3.Store) error { _, err := s.Now(t.Context()); return err }
	write := func(s *s3.Store) error {
		_, err := s.Put(t.Context(), hashName([]byte("x")), []byte("x"))
		if err == nil {
			_, err = s.Put(t.Context(), "keys/000001", []byte("keys"))
		}
		return err
	}
	remove := func(s *s3.Store) error {
		err := s.Delete(t.Context(), "keys/000001")
		if err == nil {
			err = s.Delete(t.Context(), hashName([]byte("x")))
		}
		return err
	}
	for _, role := range []struct {
		name string
		may  map[string]func(*s3.Store) error
		not  map[string]func(*s3.Store) error
	}{
		{"backup",
			map[string]func(*s3.Store) error{"stat": stat, "read": read, "list": list, "now": now, "write": write},
			map[string]func(*s3.Store) error{"s3:DeleteObject": remove}},
		{"restore",
			map[string]func(*s3.Store) error{"stat": stat, "read": read, "list": list, "now": now},
			map[string]func(*s3.Store) error{"s3:DeleteObject": remove, "s3:PutObject": write}},
		{"prune",
			map[string]func(*s3.Store) error{"stat": stat, "read": read, "list": list, "now": now, "write": write, "write and delete": func(s *s3.Store) error {
				if err := write(s); err != nil {
					return err
				}
				return remove(s)
			}}, nil},
	} {
		t.Run(role.name, func(t *testing.T) {
			policy := documented[role.name]
			if policy == "" {
				t.Fatalf("doc/s3.md has no policy %s", role.name)
			}
			put(t, s, "keys/000001", []byte("keys")) // something to delete
			put(t, s, hashName([]byte("x")), []byte("x"))
			assume(t, server, strings.NewReplacer("BUCKET", bucket, "PREFIX", prefix).Replace(policy))
			s, err := s3.Open(t.Context(), l, options(t, server))
			if err != nil {
				t.Fatal(err)
			}
			for name, do := range role.may {
				if err := do(s); err != nil {
					t.Errorf("may not %s: %v", name, err)
				}
			}
			for action, do := range role.not {
				wantError(t, do(s), request.ErrDenied, action+" on s3://"+l.Path+"/")
			}
			wantError(t, missing(s), store.ErrNotExist)
			wantError(t, missingToo(s), store.ErrNotExist)
			_, err = s3.Open(t.Context(), elsewhere, options(t, server))
			wantError(t, err, request.ErrDenied, "s3:ListBucket on s3://"+elsewhere.Path)
		})
	}
	t.Run("copy", func(t *testing.T) {
		away := freshPlace()
		awayBucket, awayPrefix, _ := strings.Cut(away.Path, "/")
		data := []byte("copied content")
		put(t, s, hashName(data), data)
		assume(t, server, strings.NewReplacer("COPY-BUCKET", awayBucket, "COPY-PREFIX", awayPrefix, "BUCKET", bucket, "PREFIX", prefix).Replace(documented["copy"]))
		var warned warnings
		o := options(t, server)
		o.Warn = warned.warn
		open := func(l store.Location) *s3.Store {
			t.Helper()
			s, err := s3.Open(t.Context(), l, o)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		from, to := open(l), trusting(open(away))
		if err := to.Fetch(t.Context(), from, hashName(data), home); err != nil {
			t.Error(err)
		}
		wantContent(t, to, hashName(data), data)
		wantHome(t, to, hashName(data), home)
		if _, err := to.PutAt(t.Context(), "config", []byte("config"), home); err != nil {
			t.Error(err)
		}
		if err := list(from); err != nil {
			t.Error(err)
		}
		wantError(t, write(from), request.ErrDenied, "s3:PutObject on s3://"+l.Path)
		wantError(t, to.Delete(t.Context(), "config"), request.ErrDenied, "s3:DeleteObject")

		// Who may not read the repository cannot have it copied, and is told.
		assume(t, server, strings.NewReplacer("BUCKET", awayBucket, "PREFIX", awayPrefix).Replace(documented["backup"]))
		blind := open(away)
		wantError(t, blind.Fetch(t.Context(), from, hashName(data), home), errors.ErrUnsupported)
		if warned.count(s3.ErrNoDirectCopy) != 1 {
			t.Error("nobody was told")
		}
	})
	t.Run("create", func(t *testing.T) {
		l := store.Location{Scheme: "s3", Path: "made-by-policy/x"}
		replace := strings.NewReplacer("BUCKET", "made-by-policy", "PREFIX", "x")
		assume(t, server, replace.Replace(documented["backup"]))
		_, err := s3.Create(t.Context(), l, options(t, server))
		wantError(t, err, request.ErrDenied, "s3:CreateBucket on s3://made-by-policy")
		// The statements of both.
		host, _, _ := strings.Cut(replace.Replace(documented["backup"]), "\n  ]\n")
		const unknown = `, "s3:PutBucketPublicAccessBlock"` // to MinIO
		_, more, _ := strings.Cut(replace.Replace(documented["create"]), "\"Statement\": [")
		if !strings.Contains(more, unknown) {
			t.Errorf("policy create lacks %s", unknown)
		}
		more = strings.Replace(more, unknown, "", 1)
		assume(t, server, host+","+more)
		s, err := s3.Create(t.Context(), l, options(t, server))
		if err != nil {
			t.Fatal(err)
		}
		if err := write(s); err != nil {
			t.Error(err)
		}
		locking := options(t, server)
		locking.Lock.For = 24 * time.Hour
		l = store.Location{Scheme: "s3", Path: "made-with-lock/x"}
		policy := strings.ReplaceAll(host+","+more, "made-by-policy", "made-with-lock")
		assume(t, server, policy)
		_, err = s3.Create(t.Context(), l, locking)
		wantError(t, err, request.ErrDenied, "s3:CreateBucket on s3://made-with-lock")
		page, err := os.ReadFile("../../../doc/s3.md")
		if err != nil {
			t.Fatal(err)
		}
		for _, action := range []string{"s3:PutBucketObjectLockConfiguration", "s3:PutBucketVersioning"} {
			if !strings.Contains(string(page), "`"+action+"`") {
				t.Errorf("doc/s3.md does not name %s", action)
			}
			policy = strings.Replace(policy, `"s3:CreateBucket"`, `"s3:CreateBucket", "`+action+`"`, 1)
		}
		assume(t, server, policy)
		if _, err = s3.Create(t.Context(), l, locking); err != nil {
			t.Fatal(err)
		}
	})
}

// assume gives the test credentials that may do what the policy says, and no more.
func assume(t *testing.T, server *s3test.Server, policy string) {
	t.Helper()
	client := sts.New(sts.Options{
		Region: server.Region, BaseEndpoint: &server.Endpoint,
		Credentials: credentials.NewStaticCredentialsProvider(server.AccessKey, server.SecretKey, ""),
	})
	out, err := client.AssumeRole(t.Context(), &sts.AssumeRoleInput{
		RoleArn: aws.String("arn:aws:iam::000000000000:role/unused"), RoleSessionName: aws.String("test"), Policy: &policy,
	})
	if err != nil {
		t.Fatal(err)
	}
	s3test.Setenv(t, *out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken)
}

// storedWith checks that what objects are stored with arrives, and is accepted.
func storedWith(t *testing.T, server *s3test.Server) {
	w := s3test.NewWeather(t, server)
	o := options(t, server)
	o.Endpoint, o.RequesterPays = w.Endpoint, true
	o.StorageClass = func(name string) string {
		if strings.HasPrefix(name, "content/") {
			return "REDUCED_REDUNDANCY"
		}
		return ""
	}
	o.SSE, o.KMSKeyID = "aws:kms", "night"
	s := open(t, freshPlace(), o)
	w.Becomes(nil)
	data := []byte("some content")
	put(t, s, hashName(data), data)
	put(t, s, "config", data)
	wantContent(t, s, "config", data)
	asked := w.Log()
	for i, h := range w.Headers() {
		want := map[string]string{"X-Amz-Request-Payer": "requester"}
		if method, path, _ := strings.Cut(asked[i], " "); method == http.MethodPut {
			want["X-Amz-Server-Side-Encryption"], want["X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id"] = "aws:kms", "night"
			want["If-None-Match"] = "*"
			want["X-Amz-Storage-Class"] = ""
			if strings.Contains(path, "/content/") {
				want["X-Amz-Storage-Class"] = "REDUCED_REDUNDANCY"
			}
		}
		for name, value := range want {
			if got := h.Get(name); got != value {
				t.Errorf("%s: %s is %q, want %q", asked[i], name, got, value)
			}
		}
	}
}
