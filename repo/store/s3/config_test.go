package s3_test

import (
	"encoding/pem"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightjar/internal/s3test"
	"nightjar/repo/store"
	"nightjar/repo/store/s3"
	"nightjar/repo/store/s3/request"
)

// proxies checks that a proxy may change what it is free to change.
func proxies(t *testing.T, server *s3test.Server) {
	w := s3test.NewWeather(t, server)
	o := options(t, server)
	o.Endpoint = w.Endpoint
	for name, header := range map[string]http.Header{
		"compression asked for": {"Accept-Encoding": {"gzip, deflate, br"}},
		"no compression":        {"Accept-Encoding": nil},
		"nothing of the SDK":    {"Amz-Sdk-Invocation-Id": nil, "Amz-Sdk-Request": nil, "User-Agent": {"proxy"}},
		"headers of its own":    {"Via": {"1.1 proxy"}, "X-Forwarded-For": {"10.0.0.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			w.Becomes(s3test.Always(s3test.Fate{Header: header}))
			s := open(t, freshPlace(), o)
			data := []byte(strings.Repeat("content ", 10_000))
			put(t, s, hashName(data), data)
			put(t, s, "keys/000001", data)
			wantContent(t, s, hashName(data), data)
			if err := s.List(t.Context(), "", func(store.Info) error { return nil }); err != nil {
				t.Error(err)
			}
			if err := s.Delete(t.Context(), "keys/000001"); err != nil {
				t.Error(err)
			}
			for _, h := range w.Headers() {
				if signed := h.Get("Authorization"); strings.Contains(signed, "accept-encoding") || strings.Contains(signed, "amz-sdk") || h.Get("Accept-Encoding") != "identity" {
					t.Errorf("sent %v", h)
				}
			}
		})
	}
	w.Becomes(s3test.Always(s3test.Fate{Header: http.Header{"X-Amz-Date": {"20200101T000000Z"}}}))
	if _, err := s3.Open(t.Context(), freshPlace(), o); !errors.Is(err, request.ErrSignature) && !errors.Is(err, request.ErrClock) {
		t.Errorf("another date than was signed: %v", err)
	}
}

// causes are what Open says of what stands between it and a server that works.
func causes(t *testing.T, server *s3test.Server) {
	w, secure := s3test.NewWeather(t, server), s3test.NewSecureWeather(t, server)
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	trusted := file("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate.Raw})))
	empty := file("empty.pem", "nothing\n")
	config := file("config", "[default]\nregion = eu-west-1\n[profile bad-ca]\nca_bundle = /no/such/ca.pem\n[profile bad-url]\nendpoint_url = s3.example\n"+
		"[profile trusting]\nca_bundle = "+trusted+"\naws_access_key_id = "+server.AccessKey+"\naws_secret_access_key = "+server.SecretKey+"\n")
	l := freshPlace()
	open(t, l, options(t, server))
	for name, c := range map[string]struct {
		fate     s3test.Fate
		env      string // NAME=VALUE
		endpoint string // "": as the environment says, else the weather's
		profile  string
		change   func(*s3.Options)
		want     error // nil: it opens
		says     string
	}{
		"a page elsewhere":      {fate: s3test.Fate{Page: "<html>", Status: 301, Location: "https://new.example/night?x=secret"}, want: request.ErrEndpoint, says: "to https://new.example"},
		"found elsewhere":       {fate: s3test.Fate{Page: "<html>", Status: 302, Location: "/login"}, want: request.ErrEndpoint, says: "it sends elsewhere"},
		"another server":        {fate: s3test.Fate{Page: "<html>", Status: 307, Location: server.Endpoint}, want: request.ErrEndpoint, says: "to " + server.Endpoint},
		"the same by https":     {fate: s3test.Fate{Page: "<html>", Status: 308, Location: secure.Endpoint}, want: request.ErrCertificate, says: "unknown authority"},
		"another region":        {fate: s3test.Fate{Status: 301, Code: "PermanentRedirect"}, want: request.ErrEndpoint, says: "it sends elsewhere"},
		"a region that refuses": {fate: s3test.Fate{Status: 400, Code: "IllegalLocationConstraintException"}, want: request.ErrRegion, says: "Illegal"},
		"a clock":               {fate: s3test.Fate{Status: 403, Code: "RequestTimeTooSkewed", Ahead: time.Hour}, want: request.ErrClock, says: " behind"},
		"a signature":           {fate: s3test.Fate{Status: 403, Code: "SignatureDoesNotMatch"}, want: request.ErrSignature, says: "403"},
		"a refusal":             {fate: s3test.Fate{Status: 405, Code: "MethodNotAllowed"}, want: request.ErrRefused, says: "the server refuses (405"},
		"a line break in a key": {env: "AWS_ACCESS_KEY_ID=a\nb", want: request.ErrConfiguration, says: "Authorization"},
		"https to http":         {endpoint: strings.Replace(w.Endpoint, "http", "https", 1), want: request.ErrEndpoint, says: "HTTP response to HTTPS"},
		"http to https":         {endpoint: strings.Replace(secure.Endpoint, "https", "http", 1), want: request.ErrEndpoint, says: "it wants https://"},
		"nobody's certificate":  {endpoint: secure.Endpoint, want: request.ErrCertificate, says: "unknown authority"},
		"a certificate":         {endpoint: secure.Endpoint, env: "AWS_CA_BUNDLE=" + trusted},
		"one of a profile":      {endpoint: secure.Endpoint, profile: "trusting"},
		"one more of a profile": {endpoint: secure.Endpoint, profile: "trusting", env: "AWS_CA_BUNDLE=" + empty},
		"no CA file":            {env: "AWS_CA_BUNDLE=/no/such/ca.pem", want: request.ErrConfiguration, says: "AWS_CA_BUNDLE, or ca_bundle of a profile): open /no/such/ca.pem"},
		"an empty CA file":      {env: "AWS_CA_BUNDLE=" + empty, want: request.ErrConfiguration, says: "the CA file " + empty},
		"a folder as CA file":   {env: "AWS_CA_BUNDLE=" + dir, want: request.ErrConfiguration, says: "the CA file " + dir},
		"a profile's CA file":   {profile: "bad-ca", want: request.ErrConfiguration, says: "ca_bundle of profile bad-ca: open /no/such/ca.pem"},
		"attempts":              {env: "AWS_MAX_ATTEMPTS=x", want: request.ErrConfiguration, says: "AWS_MAX_ATTEMPTS=x"},
		"negative attempts":     {env: "AWS_MAX_ATTEMPTS=-1", want: request.ErrConfiguration, says: "is -1"},
		"no attempts":           {env: "AWS_MAX_ATTEMPTS=0"},
		"dual stack":            {env: "AWS_USE_DUALSTACK_ENDPOINT=perhaps", want: request.ErrConfiguration, says: "AWS_USE_DUALSTACK_ENDPOINT=perhaps"},
		"an empty region":       {env: "AWS_REGION="},
		"a region of spaces":    {env: "AWS_REGION=eu west", change: func(o *s3.Options) { o.Region = "" }, want: request.ErrConfiguration, says: `"eu west" is no region`},
		"a region named":        {change: func(o *s3.Options) { o.Region = "eu/west" }, want: request.ErrConfiguration, says: `"eu/west" is no region`},
		"no scheme":             {endpoint: "env", env: "AWS_ENDPOINT_URL=localhost:9000", want: request.ErrConfiguration, says: "AWS_ENDPOINT_URL"},
		"no host":               {endpoint: "env", env: "AWS_ENDPOINT_URL_S3=http://", want: request.ErrConfiguration, says: "AWS_ENDPOINT_URL_S3"},
		"a secret":              {endpoint: "env", env: "AWS_ENDPOINT_URL=http://me:not-a-secret@host", want: request.ErrConfiguration, says: "credentials"},
		"a profile's URL":       {endpoint: "env", profile: "bad-url", want: request.ErrConfiguration, says: "endpoint_url of a profile"},
		"no profile":            {profile: "nobody", want: request.ErrConfiguration, says: "nobody"},
		"no default profile":    {env: "AWS_PROFILE=nobody", want: request.ErrConfiguration, says: "nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("AWS_CONFIG_FILE", config)
			if c.env != "" {
				variable, value, _ := strings.Cut(c.env, "=")
				t.Setenv(variable, value)
			}
			w.Becomes(s3test.Always(c.fate))
			o := options(t, server)
			o.Endpoint, o.Profile, o.MaxAttempts, o.MaxBackoff = w.Endpoint, c.profile, 0, time.Millisecond
			switch c.endpoint {
			case "":
			case "env":
				o.Endpoint = ""
			default:
				o.Endpoint = c.endpoint
			}
			if c.change != nil {
				c.change(&o)
			}
			_, err := s3.Open(t.Context(), l, o)
			if c.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, c.want, c.says)
			if strings.Contains(err.Error(), "secret") && c.says != "credentials" || errors.Is(err, request.ErrCredentials) {
				t.Errorf("error %v", err)
			}
			if c.want == request.ErrCertificate && strings.Contains(err.Error(), "attempts") {
				t.Errorf("it was tried again: %v", err)
			}
		})
	}
}
