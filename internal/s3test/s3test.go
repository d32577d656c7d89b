// Package s3test starts real S3 servers for tests: versitygw, which is strict
// about regions and signatures, and MinIO, which knows policies.
//
// The invariant: a server listens on loopback only, keeps everything in the
// test's own scratch directories, and is gone when the test is over. The
// programs are those that `make s3servers` builds into .bin; where they are
// missing, a test is skipped, and fails when the environment says CI. The
// package does not know what is tested.
package s3test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// Server is a running server and the credentials of its owner.
type Server struct {
	Endpoint  string // http://127.0.0.1:port
	Region    string
	AccessKey string
	SecretKey string
	Data      string // folder with a folder for each bucket; versitygw's objects are files of their keys there
}

// Versity starts a versitygw for a region.
func Versity(t testing.TB, region string) *Server {
	t.Helper()
	s := &Server{Region: region, AccessKey: "nightjar", SecretKey: "not-a-secret"}
	dir := scratch(t, "data", "iam", "versions")
	s.Data = filepath.Join(dir, "data")
	s.start(t, "versitygw", []string{"ROOT_ACCESS_KEY=" + s.AccessKey, "ROOT_SECRET_KEY=" + s.SecretKey}, func(address string) []string {
		return []string{
			"--port", address, "--region", region, "--quiet", "--iam-dir", filepath.Join(dir, "iam"),
			"posix", "--versioning-dir", filepath.Join(dir, "versions"), filepath.Join(dir, "data"),
		}
	})
	return s
}

// MinIO starts a MinIO, in us-east-1.
func MinIO(t testing.TB) *Server {
	t.Helper()
	s := &Server{Region: "us-east-1", AccessKey: "nightjar", SecretKey: "not-a-secret"}
	dir := scratch(t, "data", "home")
	s.Data = filepath.Join(dir, "data")
	s.start(t, "minio", []string{
		"MINIO_ROOT_USER=" + s.AccessKey, "MINIO_ROOT_PASSWORD=" + s.SecretKey, "MINIO_BROWSER=off", "MINIO_UPDATE=off",
		"MINIO_SITE_REGION=" + s.Region, "MINIO_DOMAIN=s3.example", "HOME=" + filepath.Join(dir, "home"),
		"MINIO_KMS_SECRET_KEY=night:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
	}, func(address string) []string {
		return []string{"server", "--quiet", "--address", address, filepath.Join(dir, "data")}
	})
	return s
}

// Setenv gives the test, and what it starts, the server's credentials by the
// environment, and no others.
func (s *Server) Setenv(t testing.TB) {
	t.Helper()
	Setenv(t, s.AccessKey, s.SecretKey, "")
}

// Environ is what Setenv sets, for programs that are started by tests which run in parallel. It is to follow the test's own environment.
func (s *Server) Environ() (env []string) {
	for name, value := range environ(s.AccessKey, s.SecretKey, "") {
		env = append(env, name+"="+value)
	}
	return env
}

// Setenv is Server.Setenv for other credentials; with none there are none.
func Setenv(t testing.TB, accessKey, secretKey, sessionToken string) {
	t.Helper()
	for name, value := range environ(accessKey, secretKey, sessionToken) {
		t.Setenv(name, value)
	}
}

func environ(accessKey, secretKey, sessionToken string) map[string]string {
	return map[string]string{
		"AWS_ACCESS_KEY_ID": accessKey, "AWS_SECRET_ACCESS_KEY": secretKey, "AWS_SESSION_TOKEN": sessionToken,
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_PROFILE": "", "AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_ENDPOINT_URL": "", "AWS_ENDPOINT_URL_S3": "",
		"AWS_WEB_IDENTITY_TOKEN_FILE": "", "AWS_ROLE_ARN": "", "AWS_MAX_ATTEMPTS": "", "AWS_CA_BUNDLE": "", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "",
	}
}

func scratch(t testing.TB, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// start tries again when the port that was free is taken before the server has it.
func (s *Server) start(t testing.TB, program string, env []string, args func(address string) []string) {
	t.Helper()
	path := find(t, program)
	var err error
	for range 3 {
		address := freeAddress(t)
		s.Endpoint = "http://" + address
		if err = run(t, path, env, args(address), s.Endpoint); err == nil {
			return
		}
	}
	t.Fatalf("start %s: %v", program, err)
}

func run(t testing.TB, path string, env, args []string, endpoint string) error {
	var output bytes.Buffer
	server := exec.Command(path, args...)
	server.Env, server.Dir = env, t.TempDir()
	server.Stdout, server.Stderr = &output, &output
	// A test that panics or times out takes its servers with it.
	server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started, exited := make(chan error, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the signal comes when the thread ends
		err := server.Start()
		started <- err
		if err == nil {
			exited <- server.Wait()
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	stop := func() {
		_ = server.Process.Kill() // fails when it has ended already
		<-exited
	}
	for range 600 {
		if answers(endpoint) {
			t.Cleanup(stop)
			return nil
		}
		select {
		case err := <-exited:
			return fmt.Errorf("%v: %s", err, output.Bytes())
		case <-time.After(50 * time.Millisecond):
		}
	}
	stop()
	return errors.New("no answer in 30 seconds: " + output.String())
}

// answers says whether the server is past its start, when MinIO says 503.
func answers(endpoint string) bool {
	answer, err := http.Get(endpoint + "/")
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode < http.StatusInternalServerError
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// find looks in the folder that NIGHTJAR_S3_BIN names, else in the project's .bin.
func find(t testing.TB, program string) string {
	t.Helper()
	dir := os.Getenv("NIGHTJAR_S3_BIN")
	if dir == "" {
		dir = filepath.Join(root(t), ".bin")
	}
	path := filepath.Join(dir, program)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("no %s in %s: make s3servers builds it", program, dir)
	}
	t.Skipf("SKIPPED, NOT TESTED: no %s in %s: make s3servers builds it", program, dir)
	return ""
}

// root is the folder of the main module's go.mod, from the test's folder up.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	for ; err == nil && dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
	}
	t.Fatalf("find the project's folder: no go.mod above (%v)", err)
	return ""
}
