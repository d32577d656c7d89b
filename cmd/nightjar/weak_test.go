package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"nightjar/internal/s3test"
)

// refusesHeaders is a server that takes no request with a condition or a checksum.
func refusesHeaders(code int) func(int, *http.Request) s3test.Fate {
	return func(_ int, r *http.Request) s3test.Fate {
		if r.Header.Get("If-None-Match") != "" || r.Header.Get("X-Amz-Checksum-Sha256") != "" {
			return s3test.Fate{Status: code, Code: "NotImplemented"}
		}
		return s3test.Fate{}
	}
}

// TestWeakServer: what a server lacks is found out by init, said, and kept in the kit and on this machine.
func TestWeakServer(t *testing.T) {
	t.Parallel()
	server := s3test.Versity(t, "eu-west-1")
	w := s3test.NewWeather(t, server)
	for _, code := range []int{400, 304, 501} {
		w.Becomes(refusesHeaders(code))
		s := emptySite(t, server, w.Endpoint, fmt.Sprintf("s3://weak-%d/web1", code))
		s.write(300_000)
		s.wants(0, "(?s)warning: the server refuses x-amz-checksum-sha256: it keeps no SHA-256.*warning: the server does not honor If-None-Match: of two hosts",
			"init", "--create-bucket", "--kit-file", s.path("kit.txt"))
		kit, err := os.ReadFile(s.path("kit.txt"))
		if err != nil {
			t.Fatal(err)
		}
		_, address, _ := strings.Cut(string(kit), "\nrepository: ")
		address, _, _ = strings.Cut(address, "\n")
		if !strings.HasSuffix(address, " --server-lacks conditions,checksums") {
			t.Errorf("the kit says %q", address)
		}
		for range 2 { // from now on it is known, and nothing is tried
			before := len(w.Log())
			s.wants(0, "", "backup", s.src)
			s.write(300_000)
			for _, h := range w.Headers()[before:] {
				if h.Get("If-None-Match") != "" || h.Get("X-Amz-Checksum-Sha256") != "" {
					t.Errorf("sent %v", h)
				}
			}
		}
		s.wants(0, "", "key", "grace", "8D", "--key", s.path("kit.txt"))
		s.wants(0, "", "check", "--read-data")
		s.wants(0, "", append([]string{"list", "--state-dir", s.path("fresh"), "--key", s.path("kit.txt"), "--repo"}, strings.Fields(address)...)...)
	}
}

// TestWeakerServer: a server that did it, or a proxy before it, does not get away with doing less.
func TestWeakerServer(t *testing.T) {
	t.Parallel()
	server := s3test.Versity(t, "eu-west-1")
	w := s3test.NewWeather(t, server)
	s := newSite(t, server, w.Endpoint, "s3://weaker/web1", 300_000)
	s.write(300_000)
	w.Becomes(refusesHeaders(501))
	for _, command := range []string{"backup " + s.src, "key grace 8D --key " + s.path("kit.txt")} {
		s.wants(1, "(?s)error: .*the server does less than it did: it refuses .*hint: somebody on the way may do that.*--server-lacks", strings.Fields(command)...)
	}
	n := 0
	w.Becomes(func(i int, r *http.Request) s3test.Fate { // now and then is nothing
		if r.Method == http.MethodPut {
			if n++; n%5 == 1 {
				return refusesHeaders(501)(i, r)
			}
		}
		return s3test.Fate{}
	})
	s.wants(0, "", "backup", s.src)
	w.Becomes(refusesHeaders(501))
	s.write(300_000)
	s.wants(0, "", "backup", s.src, "--server-lacks", "conditions,checksums")
	s.write(300_000)
	s.wants(0, "", "backup", s.src)
	w.Becomes(nil)
	s.restores()
}
