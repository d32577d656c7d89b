package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"nightjar/cmd/nightjar/commands/ebs"
	"nightjar/cmd/nightjar/internal/app"
	"nightjar/snapshot"
	"nightjar/snapshot/ec2test"
)

// No command for EBS makes anything outside of repository, state, cache, target and temp directory. What restores do on mounted volumes is in
// TestEBSRestore.
func TestEBSConfined(t *testing.T) {
	t.Parallel()
	needRoot(t)
	for _, program := range []string{"strace", "unshare", "gpgconf"} {
		need(t, program)
	}
	work := t.TempDir()
	at := func(name string) string { return filepath.Join(work, name) }
	for _, dir := range []string{"scratch", "trace", "target"} {
		must(t, os.Mkdir(at(dir), 0o700))
	}
	s := ec2test.New(t)
	r := s.Region("us-east-1")
	instance := r.AddInstance(ec2test.Instance{})
	r.Attach(r.AddVolume(ec2test.Volume{GiB: 1}), instance, "/dev/xvda")
	r.Attach(r.AddVolume(ec2test.Volume{GiB: 1}), instance, "/dev/sdf")
	env := append(os.Environ(), "NIGHTJAR_REPO="+at("repo"), "NIGHTJAR_STATE_DIR="+at("state"), "NIGHTJAR_CACHE_DIR="+at("cache"), "PASSPHRASE=", "SIGN_PASSPHRASE=", "TMPDIR=/tmp")
	env = append(env, s.Environ()...)
	steps := [][]string{
		{"init"},
		{"ebs", "take", "--instance", instance, "--job", "db", "--wait"},
		{"ebs", "list", "--held"},
		{"ebs", "cost", "--count-blocks"},
		{"ebs", "wait", ""}, // the set that was taken
		{"ebs", "schedule", "--job", "db", "--at", "0 2 * * *"},
		{"ebs", "schedule", "--run", "--job", "new", "--at", "0 0 1 1 *", "--keep-last", "1", "--", "--instance", instance},
		{"ebs", "copy", "--job", "db", "--to-region", "eu-west-1", "--no-wait"},
		{"ebs", "prune", "--job", "db", "--keep-last", "1"},
		{"ebs", "archive", "latest", "--job", "db"},
		{"ebs", "unarchive", "latest:" + r.Volumes()[1].ID, "--to", at("target/volume.img")},
		{"ebs", "restore", "latest", "--job", "db", "--no-attach", "--zone", "us-east-1a"},
		{"ebs", "thaw"},
	}
	covered := map[string]bool{}
	for i, step := range steps {
		if step[len(step)-1] == "" {
			step[len(step)-1] = r.Snapshots()[0].Tags[snapshot.TagSet]
		}
		prefix := at(fmt.Sprintf("trace/%02d", i))
		args := slices.Concat([]string{"nightjar"}, step)
		if j := slices.Index(args, "--"); j >= 0 {
			args = slices.Insert(args, j, "--tempdir", at("scratch"))
		} else {
			args = append(args, "--tempdir", at("scratch"))
		}
		if out, err := confined(work, prefix, env, args); err != nil {
			t.Errorf("%q: %v\n%s", args, err, out)
		}
		for _, line := range offences(t, prefix, work) {
			t.Errorf("%q: %s", step, line)
		}
		covered[step[min(1, len(step)-1)]] = true
	}
	for _, c := range ebs.Command(new(app.App)).Commands() {
		if !covered[c.Name()] && !c.Hidden {
			t.Errorf("command ebs %s is not tested here", c.Name())
		}
	}
}
