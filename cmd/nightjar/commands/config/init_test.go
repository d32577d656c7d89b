package config

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/starter"
	"nightjar/job/jobfile"
	"nightjar/mysqldump/servertest"
	"nightjar/snapshot/ec2test"
)

// What a first job file is made of is found on the machine: its folders, a server that lets us in or not, and the instance.
func TestFindForFile(t *testing.T) {
	cloud := ec2test.New(t)
	instance := cloud.Region("us-east-1").AddInstance(ec2test.Instance{})
	cloud.On(instance)
	cloud.Setenv(t)
	s := servertest.Start(t, servertest.MariaDB1011)
	a := &app.App{Out: os.Stdout, Err: os.Stderr}
	a.Now, a.Warn, a.Children = time.Now, func(err error) { t.Log(err) }, os.Environ()
	home := t.TempDir()
	a.Getenv = func(name string) string { return map[string]string{"HOME": home}[name] }
	look := func(lines string) *starter.Found {
		if err := os.WriteFile(filepath.Join(home, ".my.cnf"), []byte("[nightjar]\nuser=root\n"+lines), 0o600); err != nil {
			t.Fatal(err)
		}
		return findForFile(context.Background(), a)
	}
	for _, c := range []struct {
		lines            string
		version, refused bool
	}{
		{"socket=" + s.Socket, true, false},
		{"user=nobody\npassword=wrong\nsocket=" + s.Socket, false, true},
	} {
		found := look(c.lines)
		if found.Server == nil || found.Server.Address != s.Socket || found.Server.Version != "" != c.version || found.Server.Refused != "" != c.refused {
			t.Errorf("%v: %+v", c.lines, found.Server)
		}
		if found.Instance != instance || found.Volumes < 1 || !slices.Contains(found.Paths, "/etc") {
			t.Errorf("found %+v", found)
		}
		text, err := starter.File(found)
		if err != nil {
			t.Fatal(err)
		}
		f, err := jobfile.Parse("/x.toml", text)
		if err != nil || f.MySQLDump["databases"] == nil || !strings.Contains(string(text), instance) {
			t.Errorf("%v: %s", err, text)
		}
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	if found := look("socket=" + s.Socket + ".none"); found.Server != nil || found.Instance != "" {
		t.Errorf("found what is not there: %+v, %+v", found, found.Server)
	}
}
