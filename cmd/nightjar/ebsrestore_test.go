package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"golang.org/x/sys/unix"

	"nightjar/mysqldump/servertest"
	"nightjar/snapshot"
	"nightjar/snapshot/cloud"
	"nightjar/snapshot/ec2test"
	"nightjar/snapshot/ec2test/disks"
	"nightjar/snapshot/sets"
)

// A volumeNight is a server whose data directory is on a volume of a test server's instance.
type volumeNight struct {
	*dumper
	ec2           *ec2test.Server
	disks         *disks.Disks
	cloud         *cloud.Cloud
	instance      string
	volume, mount string
	under         string // where things are restored
	log           string // volume of the binary log; empty: it is in the data directory
	logs          string // folder of the binary log
	source, fresh *servertest.Server
	tool          string
}

func newVolumeNight(t *testing.T, k servertest.Kind, kind string, apart bool) *volumeNight {
	x := &volumeNight{dumper: &dumper{T: t, home: t.TempDir()}, disks: disks.New(t)}
	x.ec2, x.under, x.mount = x.disks.Server, filepath.Join(x.disks.Dir, "restored"), filepath.Join(x.disks.Dir, "mysql")
	x.env = append(x.ec2.Environ(), "TMPDIR=/tmp")
	x.instance = x.ec2.Region("us-east-1").AddInstance(ec2test.Instance{})
	x.ec2.On(x.instance)
	x.volume, _ = x.disks.Add("us-east-1", x.instance, "/dev/sdf", kind)
	x.disks.Mount(x.volume, x.mount, kind)
	x.logs = filepath.Join(x.mount, "data")
	if apart {
		x.log, _ = x.disks.Add("us-east-1", x.instance, "/dev/sdg", "ext4")
		x.logs = filepath.Join(x.disks.Dir, "logs", "mysql")
		x.disks.Mount(x.log, filepath.Dir(x.logs), "ext4")
	}
	var err error
	x.cloud, err = cloud.Open(t.Context(), cloud.Options{Region: "us-east-1", Endpoint: x.ec2.URL})
	must(t, err)
	x.source, x.fresh = servertest.Start(t, k), servertest.Start(t, k)
	x.fresh.Stop(t)
	x.source.Stop(t)
	data := filepath.Join(x.mount, "data")
	if out, err := exec.Command("cp", "-a", x.source.Datadir, data).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	f, err := os.Open(data)
	must(t, err)
	must(t, unix.Syncfs(int(f.Fd()))) // a server would have done that for its own files
	f.Close()
	x.source.Datadir = data
	if apart {
		if out, err := exec.Command("cp", "-a", "--attributes-only", data, x.logs).CombinedOutput(); err != nil { // a folder of the same owner
			t.Fatalf("%v: %s", err, out)
		}
		must(t, exec.Command("find", x.logs, "-mindepth", "1", "-delete").Run())
	}
	// Writers wait for rows of those whom the lock of all tables holds, and it for them.
	x.source.Restart(t, "--innodb-lock-wait-timeout=1", "--log-bin="+x.logs+"/own-bin", "--log-bin-index="+x.logs+"/own-bin.index", "--sync-binlog=1", "--innodb-flush-log-at-trx-commit=1")
	x.source.Exec(t, "CREATE USER repl@'%' IDENTIFIED BY 'a-secret'", "GRANT REPLICATION SLAVE ON *.* TO repl@'%'")
	x.file("fresh.cnf", "socket=%s\nuser=root\n", x.fresh.Socket)
	x.file("source.cnf", "host=%s\nport=%d\nuser=root\n", x.source.Host, x.source.Port)
	x.file("repl.cnf", "host=%s\nport=%d\nuser=repl\npassword=a-secret\n", x.source.Host, x.source.Port)
	x.tool = serverScript(t, x.source)
	return x
}

func (d *volumeNight) file(name, format string, args ...any) {
	must(d.T, os.WriteFile(filepath.Join(d.home, name), fmt.Appendf(nil, "[client]\n"+format, args...), 0o600))
}

// serverScript is a program that starts a kind's server, wherever its files are.
func serverScript(t *testing.T, s *servertest.Server) string {
	row := s.QueryRow(t, "SELECT @@basedir b, @@plugin_dir p, @@lc_messages_dir m, @@character_sets_dir c")
	program := filepath.Join(s.Dir, "mysqld")
	text := fmt.Sprintf("#!/bin/sh\nexec %s \"$@\" --basedir=%s --plugin-dir=%s --lc-messages-dir=%s --character-sets-dir=%s\n", strings.Join(s.Program("server"), " "), row["b"], row["p"], row["m"], row["c"])
	must(t, os.WriteFile(program, []byte(text), 0o755))
	return program
}

// take takes a set of the instance's volumes, as nightjar ebs take does.
func (x *volumeNight) take(kind, id string, p snapshot.Position, c snapshot.Consistency) {
	x.Helper()
	volumes := []snapshot.Volume{{ID: x.volume, Device: "/dev/sdf", Mount: x.mount, FS: kind, Mode: "rw,noatime"}}
	if x.log != "" {
		volumes = append(volumes, snapshot.Volume{ID: x.log, Device: "/dev/sdg", Mount: filepath.Dir(x.logs), FS: "ext4", Mode: "rw"})
	}
	tags, err := snapshot.Encode(snapshot.Label{
		ID: id, Job: "nightly", Host: "db1", Time: time.Date(2026, 11, 29, 2, 0, 0, 0, time.UTC), Consistency: c, Position: p, Volumes: volumes,
	})
	must(x.T, err)
	_, err = x.cloud.EC2.CreateSnapshots(x.Context(), &ec2.CreateSnapshotsInput{
		InstanceSpecification: &types.InstanceSpecification{InstanceId: aws.String(x.instance), ExcludeBootVolume: aws.Bool(true)},
		TagSpecifications:     []types.TagSpecification{{ResourceType: types.ResourceTypeSnapshot, Tags: sets.Tags(tags)}},
	})
	must(x.T, err)
	_, err = sets.Wait(x.Context(), x.cloud, id, 10*time.Millisecond, nil)
	must(x.T, err)
}

// takeQuiet takes a set while the database stands still, and its file system is frozen.
func (x *volumeNight) takeQuiet(kind, id string) snapshot.Position {
	x.Helper()
	c := x.source.Connect(x.T)
	defer c.Close()
	_, err := c.ExecContext(x.Context(), "FLUSH TABLES WITH READ LOCK")
	must(x.T, err)
	status := "SHOW MASTER STATUS"
	if x.source.Kind == servertest.MySQL97 {
		status = "SHOW BINARY LOG STATUS"
	}
	row := x.source.QueryRow(x.T, status)
	gtids := row["Executed_Gtid_Set"]
	if x.source.Kind.MariaDB() {
		gtids = x.source.QueryRow(x.T, "SELECT @@gtid_binlog_pos g")["g"]
	}
	p := snapshot.Position{File: row["File"], GTIDs: gtids}
	_, err = fmt.Sscan(row["Position"], &p.Offset)
	must(x.T, err)
	const freeze, thaw = 0xc0045877, 0xc0045878 // FIFREEZE and FITHAW of linux/fs.h
	f, err := os.Open(x.mount)
	must(x.T, err)
	defer f.Close()
	must(x.T, unix.IoctlSetInt(int(f.Fd()), freeze, 0))
	func() {
		defer func() { must(x.T, unix.IoctlSetInt(int(f.Fd()), thaw, 0)) }()
		x.take(kind, id, p, snapshot.Application)
	}()
	_, err = c.ExecContext(x.Context(), "UNLOCK TABLES")
	must(x.T, err)
	return p
}

type brought struct {
	Set      string
	Volumes  []struct{ Of, Snapshot, Volume, Device, Path, Mount string }
	Database struct {
		Datadir, Position, InnoDB string
		Agrees, Earlier           bool
		Logs                      string
		Events                    int      `json:"events_disabled"`
		Unclosed                  []string `json:"unclosed_tables"`
	}
	Replica struct {
		Verified    bool
		Equal       int `json:"equal_tables"`
		Differences []any
	}
}

func (x *volumeNight) restore(want int, args ...string) (b brought, said string) {
	x.Helper()
	out, said, code := x.run(append([]string{"ebs", "restore", "--json", "--poll", "20ms", "--tool", x.tool}, args...)...)
	if code != want {
		x.Fatalf("nightjar ebs restore %s: %d, not %d\n%s%s", strings.Join(args, " "), code, want, out, said)
	}
	if code == 0 && !strings.Contains(strings.Join(args, " "), "--undo") {
		if err := json.Unmarshal([]byte(out), &b); err != nil {
			x.Fatalf("%v: %s", err, out)
		}
	}
	return b, said
}

// A set that was taken under writes, without a lock, and one that was taken with lock and freeze, come back on the same host, and become a replica
// of the source, of which no file is opened.
func TestEBSRestore(t *testing.T) {
	needRoot(t)
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": ec2test.AccessKey, "AWS_SECRET_ACCESS_KEY": ec2test.SecretKey, "AWS_SESSION_TOKEN": "", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull} {
		t.Setenv(name, value)
	}
	for _, of := range []struct {
		kind  servertest.Kind
		fs    string
		apart bool // the binary log is on a volume of its own
	}{{servertest.MariaDB1011, "xfs", true}, {servertest.MySQL97, "ext4", false}} {
		t.Run(string(of.kind), func(t *testing.T) {
			t.Parallel()
			x := newVolumeNight(t, of.kind, of.fs, of.apart)
			load := x.source.StartLoad(t, servertest.LoadOptions{Writers: 4, Hot: true, PerSecond: 100})
			x.source.Exec(t, "ALTER TABLE loadtest.journal ENGINE=InnoDB") // no crash leaves MyISAM whole
			x.meet("the writers write", func() bool { return load.Commits() > 50 })
			x.source.Exec(t, "CREATE TABLE loadtest.ticks (n INT)", "CREATE EVENT loadtest.often ON SCHEDULE EVERY 1 SECOND DO INSERT INTO loadtest.ticks VALUES (1)",
				"CREATE TABLE loadtest.open (n INT) ENGINE=MyISAM", "INSERT INTO loadtest.open VALUES (1)")
			x.sync()
			x.take(of.fs, "crash-1", snapshot.Position{}, snapshot.Crash)
			at := x.takeQuiet(of.fs, "quiet-1")

			b, said := x.restore(0, "quiet-1", "--mount-at", filepath.Join(x.under, "quiet"))
			if !b.Database.Agrees || !strings.HasPrefix(b.Database.Position, fmt.Sprintf("%s:%d", at.File, at.Offset)) {
				t.Errorf("recovered %+v, want %+v\n%s", b.Database, at, said)
			}
			if (b.Database.Logs != "") != of.apart || b.Database.Events != 0 || len(b.Database.Unclosed) > 0 {
				t.Errorf("%+v\n%s", b.Database, said)
			}
			again, _ := x.restore(0, "quiet-1", "--mount-at", filepath.Join(x.under, "quiet"))
			if again.Volumes[0].Volume != b.Volumes[0].Volume || !again.Database.Earlier || again.Database.Position != b.Database.Position {
				t.Errorf("again: %+v", again)
			}
			x.inUse(&b)
			x.restore(0, "quiet-1", "--undo")
			if x.disks.Device(b.Volumes[0].Volume) != "" {
				t.Error("the volume is attached after --undo")
			}

			if of.apart { // the data was recovered by an earlier run
				at := []string{"crash-1", "--mount-at", filepath.Join(x.under, "crash"), "--own", "mysql", "--binlog-dir"}
				if _, said = x.restore(1, append(at, "/elsewhere")...); !strings.Contains(said, "find the binary log") || !strings.Contains(said, "the same command goes on") {
					t.Error(said)
				}
				b, said = x.restore(0, append(at, x.logs)...)
				if !slices.Equal(b.Database.Unclosed, []string{"loadtest/open"}) || !strings.Contains(said, "loadtest/open was being written") {
					t.Errorf("%+v\n%s", b.Database, said)
				}
			}
			b = x.follows()
			load.Stop()
			if b.Database.Agrees || b.Database.Events != 1 || !slices.Equal(b.Database.Unclosed, []string{"loadtest/open"}) || b.Replica.Equal < 5 {
				t.Errorf("%+v", b)
			}
		})
	}
}

// inUse has nothing mounted where something is, and nothing undone that somebody uses.
func (x *volumeNight) inUse(b *brought) {
	x.Helper()
	all := len(volumesOf(x.ec2.Region("us-east-1")))
	_, said := x.restore(1, "quiet-1", "--mount-at", filepath.Join(x.under, "quiet"), "--attempt", "another")
	if !strings.Contains(said, "is mounted there") || !strings.Contains(said, "hint: --mount-at") || len(volumesOf(x.ec2.Region("us-east-1"))) != all {
		x.Error(said)
	}
	f, err := os.Open(filepath.Join(b.Volumes[0].Mount, "data", "ibdata1"))
	must(x.T, err)
	_, said = x.restore(1, "quiet-1", "--undo")
	must(x.T, f.Close())
	if !strings.Contains(said, "nothing was detached or deleted") || x.disks.Device(b.Volumes[0].Volume) == "" {
		x.Error(said)
	}
}

// sync has what was written be on the volume.
func (x *volumeNight) sync() {
	x.Helper()
	f, err := os.Open(x.mount)
	must(x.T, err)
	defer f.Close()
	must(x.T, unix.Syncfs(int(f.Fd())))
}

// follows makes a replica of the set crash-1.
func (x *volumeNight) follows() brought {
	x.Helper()
	flag := filepath.Join(x.home, "start")
	dir := filepath.Join(x.under, "crash")
	r := x.begin("ebs", "restore", "crash-1", "--json", "--poll", "20ms", "--tool", x.tool, "--mount-at", dir, "--own", "mysql", "--start-command", "touch "+flag,
		"--defaults-file", filepath.Join(x.home, "fresh.cnf"), "--source-defaults-file", filepath.Join(x.home, "source.cnf"), "--replication-defaults-file", filepath.Join(x.home, "repl.cnf"))
	ended := make(chan struct{})
	var out, said string
	var code int
	go func() { out, said, code = x.end(r); close(ended) }()
	for deadline := time.Now().Add(5 * time.Minute); !there(flag)(); time.Sleep(10 * time.Millisecond) {
		select {
		case <-ended:
			x.Fatalf("%d\n%s%s", code, out, said)
		default:
		}
		if time.Now().After(deadline) {
			x.Fatal("the server is not started")
		}
	}
	x.fresh.Datadir = filepath.Join(dir, x.mount, "data")
	x.fresh.Restart(x.T, "--log-bin=own-bin", "--log-bin-index=own-bin.index")
	<-ended
	var b brought
	if err := json.Unmarshal([]byte(out), &b); err != nil || code != 0 || !b.Replica.Verified || len(b.Replica.Differences) > 0 {
		x.Fatalf("%d, %v\n%s%s", code, err, out, said)
	}
	if strings.Contains(out+said, "a-secret") {
		x.Errorf("the password is in\n%s%s", out, said)
	}
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", x.fresh.Pid()))
	must(x.T, err)
	inside := 0
	for _, fd := range fds {
		to, err := os.Readlink(fd)
		if err == nil && (strings.HasPrefix(to, x.mount+"/") || strings.HasPrefix(to, x.source.Dir+"/")) {
			x.Errorf("the replica has %s open", to)
		}
		if strings.HasPrefix(to, x.fresh.Datadir+"/") {
			inside++
		}
	}
	if inside == 0 {
		x.Error("the replica has no file of its own open: the test sees nothing")
	}
	return b
}

// meet waits until something is so.
func (x *volumeNight) meet(what string, so func() bool) {
	x.Helper()
	for deadline := time.Now().Add(5 * time.Minute); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			x.Fatalf("it does not come to be that %s", what)
		}
	}
}
