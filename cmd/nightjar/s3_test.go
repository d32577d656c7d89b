package main

import (
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"nightjar/internal/s3test"
)

// TestS3 runs the scripts in testdata/s3 against a real server.
func TestS3(t *testing.T) {
	needRoot(t)
	for _, program := range []string{"gpgconf", "unshare"} {
		need(t, program)
	}
	server := s3test.Versity(t, "eu-west-1")
	server.Setenv(t) // MinIO has the same
	minio, far := s3test.MinIO(t), s3test.Versity(t, "us-west-2")
	glacier := s3test.NewGlacier(t, minio)
	commands := glacierCommands(glacier)
	maps.Copy(commands, map[string]func(ts *testscript.TestScript, neg bool, args []string){
		"exits": exits, "json": validJSON, "setenv": setEnvFromOutput, "makekey": makeKey, "until": until, "bucket": bucketCommand,
	})
	t.Run("scripts", func(t *testing.T) { // whose end, not the start of those in parallel, stops the server
		testscript.Run(t, testscript.Params{
			Dir: "testdata/s3", RequireExplicitExec: true, RequireUniqueNames: true,
			Setup: func(env *testscript.Env) error {
				for _, v := range os.Environ() {
					if strings.HasPrefix(v, "AWS_") {
						env.Vars = append(env.Vars, v)
					}
				}
				env.Setenv("ENDPOINT", server.Endpoint)
				env.Setenv("DATA", server.Data)
				env.Setenv("MINIO", minio.Endpoint)
				env.Setenv("FAR", far.Endpoint)
				env.Setenv("GLACIER", glacier.Endpoint)
				return setUp(env)
			},
			Cmds: commands,
		})
	})
}
