package request_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nightjar/internal/s3test"
	"nightjar/repo/store/s3/request"
)

// TestEndpoint: which server is meant, by all the ways to name one.
func TestEndpoint(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config")
	text := `[default]
[profile plain]
region = eu-west-3
[profile general]
endpoint_url = http://general.example
[profile special]
endpoint_url = http://general.example
services = here
[profile ignoring]
endpoint_url = http://general.example
ignore_configured_endpoint_urls = true
[services here]
s3 =
  endpoint_url = https://Special.example:443/
sts =
  endpoint_url = https://sts.example
`
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		o    request.Options
		env  []string
		want string
	}{
		{},
		{env: []string{"AWS_ENDPOINT_URL=http://env.example"}, want: "http://env.example"},
		{env: []string{"AWS_ENDPOINT_URL=http://env.example", "AWS_ENDPOINT_URL_S3=http://S3.example:80/x/"}, want: "http://s3.example/x"},
		{env: []string{"AWS_ENDPOINT_URL=http://env.example", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true"}},
		{env: []string{"AWS_PROFILE=plain"}},
		{env: []string{"AWS_PROFILE=general"}, want: "http://general.example"},
		{env: []string{"AWS_PROFILE=special"}, want: "https://special.example"},
		{env: []string{"AWS_PROFILE=ignoring"}},
		{env: []string{"AWS_PROFILE=general", "AWS_ENDPOINT_URL=http://env.example"}, want: "http://env.example"},
		{env: []string{"AWS_PROFILE=special", "AWS_ENDPOINT_URL=http://env.example"}, want: "http://env.example"},
		{o: request.Options{Endpoint: "https://named.example:9000/"}, env: []string{"AWS_PROFILE=special", "AWS_ENDPOINT_URL=http://env.example"}, want: "https://named.example:9000"},
		// A profile that is named for one store goes before what the environment says of another.
		{o: request.Options{Profile: "plain"}, env: []string{"AWS_ENDPOINT_URL=http://env.example"}},
		{o: request.Options{Profile: "plain"}, env: []string{"AWS_ENDPOINT_URL_S3=http://env.example", "AWS_PROFILE=general"}},
		{o: request.Options{Profile: "general"}, env: []string{"AWS_ENDPOINT_URL_S3=http://env.example"}, want: "http://general.example"},
		{o: request.Options{Profile: "special"}, env: []string{"AWS_ENDPOINT_URL=http://env.example"}, want: "https://special.example"},
		{o: request.Options{Profile: "ignoring"}, env: []string{"AWS_ENDPOINT_URL=http://env.example"}},
		{o: request.Options{Profile: "general", Endpoint: "http://named.example"}, env: []string{"AWS_ENDPOINT_URL=http://env.example"}, want: "http://named.example"},
	} {
		t.Run(c.o.Profile+strings.Join(c.env, ","), func(t *testing.T) {
			s3test.Setenv(t, "me", "not-a-secret", "")
			t.Setenv("AWS_CONFIG_FILE", config)
			for _, v := range c.env {
				name, value, _ := strings.Cut(v, "=")
				t.Setenv(name, value)
			}
			if got, err := request.Endpoint(t.Context(), c.o); got != c.want || err != nil {
				t.Errorf("%+v with %q is at %q, %v, want %q", c.o, c.env, got, err, c.want)
			}
		})
	}
}
