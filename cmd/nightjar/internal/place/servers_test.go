package place

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"nightjar/internal/s3test"
	"nightjar/repo/store/s3"
)

// What was found out of a server is known to the next run, and to whoever has the kit.
func TestServers(t *testing.T) {
	s3test.Setenv(t, "me", "not-a-secret", "")
	ctx, l := context.Background(), parse(t, "s3://bucket/p")
	warned := 0
	at := func(lacks ...string) *Options {
		o := options()
		o.Warn = func(error) { warned++ }
		o.Bucket = Bucket{Endpoint: "http://here.example", Lacks: lacks}
		return o
	}
	file := ServersIn(filepath.Join(t.TempDir(), "state"))
	known := func(o *Options, want s3.Abilities, address string) {
		t.Helper()
		o.Servers = file
		if got, err := o.abilities(ctx, l); got != want || err != nil {
			t.Errorf("known is %+v, %v, want %+v", got, err, want)
		}
		if got := o.Address(ctx, l); got != "s3://bucket/p --endpoint http://here.example"+address {
			t.Errorf("the address is %q", got)
		}
	}
	known(at(), s3.Abilities{}, "")
	weak := s3.Abilities{Conditions: s3.Ignores, Checksums: s3.Refuses}
	must(t, file.remember(at().Name(ctx, l), able(weak)))
	must(t, file.remember("s3://bucket/p", able(s3.Abilities{Conditions: s3.Does})))
	known(at(), weak, " --server-lacks conditions,checksums")
	known(at("nothing"), s3.Abilities{}, "")
	known(at("nothing", "checksums"), s3.Abilities{Checksums: s3.Refuses}, " --server-lacks checksums")
	known(at("conditions,checksums"), s3.Abilities{Conditions: s3.Refuses, Checksums: s3.Refuses}, " --server-lacks conditions,checksums")
	must(t, file.remember(at().Name(ctx, l), able(s3.Abilities{Conditions: s3.Does, Checksums: s3.Ignores})))
	known(at(), s3.Abilities{Conditions: s3.Does, Checksums: s3.Ignores}, "")
	_, err := at("everything").abilities(ctx, l)
	wantUsage(t, "everything", err, `--server-lacks "everything"`)

	if warned > 0 {
		t.Errorf("warned %d times", warned)
	}
	must(t, os.WriteFile(string(file), []byte("{"), 0o600))
	known(at(), s3.Abilities{}, "")
	if warned == 0 {
		t.Error("a damaged file is no warning")
	}
	must(t, file.remember(at().Name(ctx, l), able(weak)))
	known(at(), weak, " --server-lacks conditions,checksums")
	if all, err := ServersIn("").read(); len(all) > 0 || err != nil || ServersIn("").remember("x", able(weak)) != nil {
		t.Errorf("no file holds %v, %v", all, err)
	}
}

func able(a s3.Abilities) func(*server) { return func(s *server) { s.Abilities = a } }
