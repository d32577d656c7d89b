package main

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"nightjar/snapshot"
	"nightjar/snapshot/ec2test"
)

// TestEBSKeep runs the scripts in testdata/ebskeep, each against a server of its own with five nights of job db.
func TestEBSKeep(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/ebskeep", RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			s, err := ec2test.Start(env.WorkDir, "127.0.0.1:0")
			if err != nil {
				return err
			}
			env.Defer(s.Close)
			env.Values[serverOfScript] = s
			env.Vars = append(env.Vars, s.Environ()...)
			for i := range 5 {
				if err := addNight(s.Region("us-east-1"), i); err != nil {
					return err
				}
			}
			r := s.Region("us-east-1")
			env.Setenv("VOLUME", r.AddVolume(ec2test.Volume{}))
			return setUp(env)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"exits": exits, "json": validJSON, "ec2": ec2Command},
	})
}

// addNight adds set night-N, of two volumes, which was taken N days ago.
func addNight(r *ec2test.Region, n int) error {
	l := snapshot.Label{ID: fmt.Sprint("night-", n), Job: "db", Host: "db1", Class: "nightly", Time: time.Now().Add(-time.Duration(n) * 24 * time.Hour), Consistency: snapshot.Crash}
	for i := range 2 {
		l.Volumes = append(l.Volumes, snapshot.Volume{ID: fmt.Sprint("vol-", i+1), Device: "/dev/sdf"})
	}
	tags, err := snapshot.Encode(l)
	for _, v := range l.Volumes {
		of := maps.Clone(tags)
		of[snapshot.TagVolume] = v.ID
		r.AddSnapshot(ec2test.Snapshot{Meta: ec2test.Meta{Tags: of}, Volume: v.ID, Started: l.Time})
	}
	return err
}
