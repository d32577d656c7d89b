package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"nightjar/snapshot/ec2test"
)

// TestEBS runs the scripts in testdata/ebs, each against a server of its own.
func TestEBS(t *testing.T) {
	need(t, "gpgconf")
	testscript.Run(t, testscript.Params{
		Dir: "testdata/ebs", RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			s, err := ec2test.Start(env.WorkDir, "127.0.0.1:0")
			if err != nil {
				return err
			}
			env.Defer(s.Close)
			env.Values[serverOfScript] = s
			env.Vars = append(env.Vars, s.Environ()...)
			return setUp(env)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"exits": exits, "json": validJSON, "ec2": ec2Command},
	})
}

type serverKey int

const serverOfScript serverKey = 0

// ec2Command sees to a script's server: ec2 instance N (with N volumes, into $INSTANCE, the last into $DATA), volume (into $VOLUME), deny ACTION, allow ACTION, fault OPERATION CODE TIMES,
// mend, forget (the calls so far), ending, skew DURATION, advance DURATION, snapshots N (that there are), policy HEADING [ACTION...] (of doc/ebs.md, which has to allow just what was called,
// the actions that EC2 asks for besides, and those of KMS).
func ec2Command(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: ec2 WHAT ARG...")
	}
	s := ts.Value(serverOfScript).(*ec2test.Server)
	r := s.Region("us-east-1")
	argument := func(i int) string {
		if i >= len(args) {
			ts.Fatalf("ec2 %s: an argument is missing", args[0])
		}
		return args[i]
	}
	number := func(i int) int {
		n, err := strconv.Atoi(argument(i))
		ts.Check(err)
		return n
	}
	switch args[0] {
	case "instance":
		id := r.AddInstance(ec2test.Instance{Meta: ec2test.Meta{Tags: map[string]string{"Name": "db1"}}})
		r.Attach(r.AddVolume(ec2test.Volume{GiB: 1}), id, "/dev/xvda")
		for i := range number(1) {
			v := r.AddVolume(ec2test.Volume{GiB: 1, Meta: ec2test.Meta{Tags: map[string]string{"Name": "data"}}})
			r.Attach(v, id, "/dev/sd"+string(rune('f'+i)))
			ts.Setenv("DATA", v)
		}
		s.On(id)
		ts.Setenv("INSTANCE", id)
	case "volume":
		ts.Setenv("VOLUME", r.AddVolume(ec2test.Volume{GiB: 1}))
	case "deny":
		s.Deny(argument(1))
	case "allow":
		s.Allow(argument(1))
	case "fault":
		s.Fault(ec2test.Fault{Operation: argument(1), Code: argument(2), Times: number(3)})
	case "mend":
		s.Mend()
	case "forget":
		s.Forget()
	case "ending":
		r.SetState(ts.Getenv("INSTANCE"), "shutting-down")
	case "skew", "advance":
		d, err := time.ParseDuration(argument(1))
		ts.Check(err)
		if args[0] == "skew" {
			s.Skew(d)
		} else {
			s.Advance(d)
		}
	case "snapshots":
		if n := len(r.Snapshots()); n != number(1) {
			ts.Fatalf("there are %d snapshots", n)
		}
	case "policy":
		called := args[2:]
		for _, c := range s.Calls() {
			called = append(called, c.Action())
		}
		ts.Check(samePolicy(argument(1), called))
	default:
		if !ec2Bring(ts, s, args) {
			ts.Fatalf("ec2 %s: there is no such thing", args[0])
		}
	}
}

// samePolicy reports a policy of doc/ebs.md that does not allow just some actions, whatever it allows of KMS, which EC2 calls.
func samePolicy(heading string, actions []string) error {
	allowed, err := policyOf(heading)
	if err != nil {
		return fmt.Errorf("read the policy %q: %w", heading, err)
	}
	allowed = slices.DeleteFunc(allowed, func(a string) bool { return strings.HasPrefix(a, "kms:") })
	slices.Sort(actions)
	if actions = slices.Compact(actions); !slices.Equal(actions, allowed) {
		return fmt.Errorf("called were %q, allowed are %q", actions, allowed)
	}
	return nil
}

// policyOf returns the actions that the policy under a heading of doc/ebs.md allows, in order.
func policyOf(heading string) ([]string, error) {
	text, err := os.ReadFile("../../doc/ebs.md")
	if err != nil {
		return nil, err
	}
	_, after, _ := strings.Cut(string(text), "\n## "+heading+"\n")
	_, after, _ = strings.Cut(after, "```json\n")
	block, _, _ := strings.Cut(after, "```")
	var policy struct {
		Statement []struct {
			Effect string
			Action json.RawMessage
		}
	}
	if err := json.Unmarshal([]byte(block), &policy); err != nil {
		return nil, err
	}
	actions := map[string]bool{}
	for _, s := range policy.Statement {
		var several []string
		var one string
		if err := json.Unmarshal(s.Action, &several); err != nil {
			if err := json.Unmarshal(s.Action, &one); err != nil {
				return nil, err
			}
			several = []string{one}
		}
		for _, a := range several {
			actions[a] = true
		}
	}
	return slices.Sorted(maps.Keys(actions)), nil
}
