package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nightjar/mysqldump/servertest"
	"nightjar/snapshot/ec2test"
)

// With --connect each database server is asked once what nightjar mysql check asks it, and its jobs are told of, with their lines.
func TestConfigCheckServers(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.MariaDB1011)
	d := &dumper{T: t, home: t.TempDir()}
	d.knows(s)
	d.must("init")
	s.Exec(t, "CREATE USER weak@localhost", "CREATE DATABASE shop", "CREATE TABLE shop.carts (id INT PRIMARY KEY) ENGINE=MyISAM")
	for _, name := range []string{"d", "e", "f", "g"} {
		s.Exec(t, "CREATE TABLE shop."+name+" (id INT PRIMARY KEY) ENGINE=MyISAM")
	}
	weak := d.file("weak.cnf", "socket=%s\nuser=weak\n", s.Socket)
	type fault struct {
		Line, Column   int
		Key, Job, What string
	}
	check := func(want int, text string, env ...string) (faults, warnings []fault, said string) {
		t.Helper()
		file := filepath.Join(d.home, "nightjar.toml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		d.env = env
		out, said, code := d.run("config", "check", "--connect", "--json", file)
		var v struct{ Faults, Warnings []fault }
		if err := json.Unmarshal([]byte(out), &v); err != nil || code != want {
			t.Fatalf("%d, %v: %s%s", code, err, out, said)
		}
		return v.Faults, v.Warnings, said
	}
	good := fmt.Sprintf("[mysql-dump.all]\nkeep.last = 3\ndefaults-file = %q\n", filepath.Join(d.home, "my.cnf"))
	if faults, warnings, _ := check(0, good); len(faults) > 0 || !strings.Contains(fmt.Sprint(warnings), "shop.carts: its engine, MyISAM") ||
		strings.Count(fmt.Sprint(warnings), "its engine") != 1 || !strings.Contains(fmt.Sprint(warnings), "And 4 more like it (shop.d, shop.e, shop.f, …): ") {
		t.Errorf("of a good server: %+v, %+v", faults, warnings)
	}

	// Credentials are tried, not only found.
	const ebs = "[ebs.x]\nschedule = \"@daily\"\nkeep.last = 3\n"
	cloud := ec2test.New(t)
	if faults, _, _ := check(0, ebs, cloud.Environ()...); len(faults) > 0 {
		t.Errorf("of EC2 that answers: %+v", faults)
	}
	if faults, _, _ := check(1, ebs, append(cloud.Environ(), "AWS_SECRET_ACCESS_KEY=another")...); len(faults) != 1 ||
		!strings.Contains(faults[0].What, "try the credentials in ") || !strings.Contains(faults[0].What, "is the secret access key right") {
		t.Errorf("of a wrong secret: %+v", faults)
	}
	if calls := cloud.Calls(); len(calls) != 1 || calls[0].Operation != "DescribeSnapshots" || calls[0].Code != "DryRunOperation" {
		t.Errorf("EC2 was asked for %+v", calls)
	}
	faults, _, said := check(1, fmt.Sprintf("%s[binlog.logs]\nkeep.last = 3\ndefaults-file = %q\n[mysql-dump.weak]\nkeep.last = 3\ndefaults-file = %[2]q\n[mysql-hot.gone]\nkeep.last = 3\nserver = \"/nowhere/sock\"\n%s", good, weak, ebs),
		"AWS_REGION=eu-west-1", "AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=/nowhere", "AWS_SHARED_CREDENTIALS_FILE=/nowhere")
	if !strings.Contains(said, "what jobs ask of their servers would fail") {
		t.Error(said)
	}
	all := fmt.Sprintf("%+v", faults)
	for _, want := range []string{"Line:4 Column:9 Key:binlog.logs Job:logs What:weak@localhost: the account lacks", "; also of job weak", "Line:10 Column:12 Key:mysql-hot.gone Job:gone", "no credentials"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not in %s", want, all)
		}
	}
	if n := strings.Count(all, "the account lacks"); n != 1 {
		t.Errorf("a server of two jobs was asked %d times: %s", n, all)
	}
}
