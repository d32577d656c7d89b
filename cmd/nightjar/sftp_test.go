package main

import (
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"nightjar/internal/sshtest"
)

// TestSFTP runs the scripts in testdata/sftp against a real sshd.
func TestSFTP(t *testing.T) {
	needRoot(t)
	server := sshtest.Start(t)
	weak := sshtest.Start(t, "Subsystem sftp internal-sftp -P hardlink,fsync,posix-rename")
	sshtest.NewKey(t, server.Path("other"), "") // which the server does not know
	sshtest.NewKey(t, server.Path("protected"), "open sesame")
	host, port, _ := strings.Cut(server.Address, ":")
	t.Run("scripts", func(t *testing.T) { // whose end, not the start of those in parallel, stops the server
		testscript.Run(t, testscript.Params{
			Dir: "testdata/sftp", RequireExplicitExec: true, RequireUniqueNames: true,
			Setup: func(env *testscript.Env) error {
				env.Setenv("SERVER", "sftp://"+sshtest.User(t)+"@"+server.Address)
				env.Setenv("HOST", host)
				env.Setenv("PORT", port)
				env.Setenv("NIGHTJAR_SFTP_KEY", server.Key)
				env.Setenv("NIGHTJAR_SFTP_KNOWN_HOSTS", server.KnownHosts)
				env.Setenv("WEAK", weak.URL(""))
				env.Setenv("WEAK_KEY", weak.Key)
				env.Setenv("WEAK_HOSTS", weak.KnownHosts)
				env.Setenv("OTHER", server.Path("other"))
				env.Setenv("PROTECTED", server.Path("protected"))
				err := setUp(env)
				env.Setenv("NIGHTJAR_REPO", "sftp://"+sshtest.User(t)+"@"+server.Address+env.WorkDir+"/away/repo")
				return err
			},
			Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"exits": exits, "json": validJSON},
		})
	})
}
