// Package restore makes volumes of a set of snapshots, attaches and mounts them, and brings up the database that is on them.
package restore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/commands/mysql/replicas"
	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/dbflags"
	"nightjar/cmd/nightjar/internal/ec2flags"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/quote"
	"nightjar/internal/tempdir"
	"nightjar/mysqldump/lock"
	"nightjar/snapshot"
	"nightjar/snapshot/bring"
	"nightjar/snapshot/cloud"
	"nightjar/snapshot/host"
	"nightjar/snapshot/sets"
)

type restoreFlags struct {
	*ec2flags.Flags
	job                 string
	o                   bring.Options
	mount               bring.MountOptions
	noAttach, noMount   bool
	noDatabase, undo    bool
	datadir, own        string
	program, index      string
	logs                string // folder of the binary logs, as it was at the source
	options             []string
	iops, through, rate int
	gib                 int
	replica             replicas.Flags
	here                bool // the volumes are attached to this machine
	temp                tempdir.Dir
}

// Command makes the command nightjar ebs restore.
func Command(a *app.App, e *ec2flags.Flags) *cobra.Command {
	r := restoreFlags{Flags: e}
	c := &cobra.Command{
		Use:   "restore SET|SNAPSHOT|latest",
		Short: "Bring a set back: volumes, attached, mounted, and the database on them ready to start or to replicate",
		Long: `Make volumes of a set's snapshots, attach them to this instance, mount them, and make the data directory on them one that a server may be started on: recovered,
at a position that is said, with nothing in it that leads to the files of the server that it comes from.

With --source and --replication the server is started at the end, and made a replica. Without, the command to run next is said.

The same command goes on where it stopped: what is there already is used. --attempt NAME makes another copy of the same set beside the first. --undo unmounts,
detaches and deletes what an attempt has made, and nothing else.

With --region the set's copies in that region are used, and no call is made to another.`,
		Args: usage.OneArgument("SET"),
		RunE: func(c *cobra.Command, args []string) error { return runRestore(c.Context(), a, &r, args[0]) },
	}
	f := c.Flags()
	f.StringVar(&r.job, "job", "", "with latest: the newest complete set of this job")
	f.StringVar(&r.o.Zone, "zone", "", "availability zone of the volumes (default: the instance's)")
	f.StringVar(&r.o.Instance, "instance", "", "`ID` of the instance to attach to (default: this one)")
	f.StringVar(&r.o.Attempt, "attempt", "1", "`NAME` of the attempt: another one makes other volumes")
	f.StringSliceVar(&r.o.Volumes, "volume", nil, "only these volumes of the set, by the `ID` that they had")
	f.BoolVar(&r.o.Boot, "boot", false, "the root volume, too")
	f.BoolVar(&r.o.Partial, "partial", false, "what there is of a set that is not whole")
	f.StringVar(&r.o.Type, "type", "gp3", "type of the volumes")
	f.IntVar(&r.iops, "iops", 0, "IOPS of each volume (default: what the type has)")
	f.IntVar(&r.through, "throughput", 0, "MiB/s of each volume, of gp3 (default: 125)")
	f.IntVar(&r.gib, "size", 0, "size in `GIB`, if that is more than a snapshot's")
	f.IntVar(&r.rate, "initialization-rate", 0, "`MIB` per second, 100 to 300, at which EC2 fetches the blocks, for a price (default: as they are read)")
	f.BoolVar(&r.o.Encrypted, "encrypted", false, "encrypt what was not encrypted")
	f.StringVar(&r.o.KMSKey, "kms-key", "", "`KEY` to encrypt with (default: the snapshot's)")
	f.StringSliceVar(&r.o.Devices, "device", nil, "device `NAME` to attach under, in the volumes' order (default: free ones from /dev/sdf)")
	f.BoolVar(&r.o.Together, "together", false, "attach all volumes, then wait (default: one after the other)")
	f.DurationVar(&r.o.Every, "poll", 3*time.Second, "how often EC2 is asked")
	f.DurationVar(&r.o.Limit, "step-limit", 10*time.Minute, "how long EC2 may take for each step")
	f.BoolVar(&r.noAttach, "no-attach", false, "make the volumes only")
	f.BoolVar(&r.noMount, "no-mount", false, "make and attach the volumes only")
	f.StringVar(&r.mount.Under, "mount-at", "", "mount under this `DIR` instead of / (as needed where the server of the set runs)")
	f.BoolVar(&r.mount.ReadOnly, "read-only", false, "mount read-only, without replaying anything, and prepare no database")
	f.BoolVar(&r.mount.Over, "over", false, "mount over folders that are not empty")
	f.BoolVar(&r.mount.NewUUID, "new-uuid", false, "give each file system another UUID (default: only to an XFS whose twin is mounted)")
	f.BoolVar(&r.noDatabase, "no-database", false, "leave databases on the volumes as they are")
	f.StringVar(&r.datadir, "datadir", "", "`PATH` of the data directory, as it was at the source (default: the one that is found)")
	f.StringVar(&r.own, "own", "", "`USER[:GROUP]` to give the data directory to")
	f.StringVar(&r.program, "tool", "", "`PROGRAM` of the server that recovers the data (default: mariadbd or mysqld)")
	f.StringVar(&r.index, "log-index", "", "name of the `FILE` that lists the binary logs (default: the one that is there)")
	f.StringVar(&r.logs, "binlog-dir", "", "`DIR` of the binary logs, as it was at the source (default: the data directory, or else where they are on the volumes)")
	f.StringSliceVar(&r.options, "innodb-option", nil, "`NAME=VALUE` that the server needs for these files, such as innodb_page_size=8192")
	f.BoolVar(&r.undo, "undo", false, "unmount, detach and delete what the attempt has made")
	replicaFlags(c, &r.replica)
	return c
}

// replicaFlags gives a command the flags by which what it has restored becomes a replica.
func replicaFlags(c *cobra.Command, m *replicas.Flags) {
	m.Server.Bind(c)
	m.Source.BindOther(c, "source")
	m.Replication.BindReplication(c)
	f := c.Flags()
	f.BoolVar(&m.Point.NoGTID, "no-gtid", false, "replica: follow file and offset, not GTIDs")
	f.BoolVar(&m.Point.Writable, "writable", false, "replica: leave read_only as it is")
	f.DurationVar(&m.Wait, "wait", 6*time.Hour, "replica: how long it may take to catch up")
	f.BoolVar(&m.NoVerify, "no-verify", false, "replica: do not compare it with its source at the end")
	m.Options.Threads, m.Lock.Attempt, m.Lock.Wait = 4, lock.DefaultAttempt, lock.DefaultWait
	dbflags.MaxLock(f, &m.Lock.Max)
	m.Start.Bind(c)
	f.Lookup("start-command").Usage = "replica: `COMMAND` that starts the server and ends (default: systemctl start of the unit that is there)"
	f.Lookup("start-wait").Usage = "replica: how long the server may take until it answers"
}

// checkRestore checks what can be known of a command line alone.
func checkRestore(a *app.App, r *restoreFlags) (err error) {
	for name, n := range map[string]int{"iops": r.iops, "throughput": r.through, "size": r.gib, "initialization-rate": r.rate} {
		if n < 0 || n > 1<<30 {
			return usage.Errorf("--%s %d: it is out of bounds", name, n)
		}
	}
	r.o.IOPS, r.o.Throughput, r.o.GiB, r.o.InitRate = int32(r.iops), int32(r.through), int32(r.gib), int32(r.rate)
	for _, name := range r.o.Devices {
		if err := bring.CheckDevice(name); err != nil {
			return usage.Error{Err: fmt.Errorf("--device: %w", err)}
		}
	}
	if u := r.mount.Under; u != "" && (!filepath.IsAbs(u) || filepath.Clean(u) == "/") {
		return usage.Errorf("--mount-at %s: it has to be an absolute path of a folder", u)
	}
	if r.datadir != "" && !filepath.IsAbs(r.datadir) {
		return usage.Errorf("--datadir %s: it has to be the absolute path that it had at the source", r.datadir)
	}
	if r.logs != "" && !filepath.IsAbs(r.logs) {
		return usage.Errorf("--binlog-dir %s: it has to be the absolute path that it had at the source", r.logs)
	}
	if len(r.o.Attempt) == 0 || len(r.o.Attempt) > 64 {
		return usage.Errorf("--attempt: a name has 1 to 64 characters")
	}
	for _, o := range r.options {
		name, _, ok := strings.Cut(o, "=")
		if !ok || !strings.HasPrefix(name, "innodb") && name != "lower_case_table_names" || strings.ContainsAny(o, "/\\ ") {
			return usage.Errorf("--innodb-option %s: it has to be NAME=VALUE of InnoDB, without paths", o)
		}
	}
	if r.noAttach && r.o.Zone == "" {
		return usage.Errorf("--no-attach: name the --zone of the volumes")
	}
	r.temp, err = tempdir.New(cmp.Or(a.TempDir, "/tmp"))
	r.mount.Temp, r.mount.Told = r.temp, func(s string) { a.Note("%s", s) }
	r.o.Told, r.o.Now = r.mount.Told, a.Now
	return err
}

func runRestore(ctx context.Context, a *app.App, r *restoreFlags, arg string) error {
	if err := checkRestore(a, r); err != nil {
		return err
	}
	e, follows, err := restoreEnds(ctx, a, r)
	if err != nil {
		return err
	}
	c, err := restoreTarget(ctx, a, r)
	if err != nil {
		return adviseRestore(err)
	}
	set, err := chooseSet(ctx, a, c, r, arg)
	if err != nil {
		return adviseRestore(err)
	}
	if r.undo {
		return undoRestore(ctx, a, c, r, set)
	}
	parts, err := bring.Choose(&set, r.o)
	if err != nil {
		return adviseRestore(err)
	}
	a.Note("restoring set %s of %s, %s, consistency: %s, from %s", set.ID, quote.Display(cmp.Or(set.Host, "an unknown host")), set.Time.UTC().Format("2006-01-02 15:04:05 UTC"), set.Consistency, c.Region)
	if err := bringParts(ctx, c, r, set.ID, parts); err != nil {
		return stoppedBringing(a, r, arg, parts, adviseRestore(err))
	}
	d, err := restoreDatabase(ctx, a, r, &set, parts, follows)
	if err != nil {
		return stoppedBringing(a, r, arg, parts, err)
	}
	return finishRestore(ctx, a, r, &set, parts, d, e, follows, arg)
}

// restoreTarget finds out where to restore: the region, the instance, and the zone.
func restoreTarget(ctx context.Context, a *app.App, r *restoreFlags) (*cloud.Cloud, error) {
	c, err := r.Open(ctx, a)
	if err != nil || r.noAttach {
		return c, err
	}
	self, err := host.Self(ctx)
	switch {
	case r.o.Instance == "" && err != nil:
		return nil, usage.Hinted{Err: fmt.Errorf("find out which instance this is: %w", err),
			Hint: "nothing was changed. Name one with --instance, or make volumes only, with --no-attach --zone ZONE"}
	case r.o.Instance == "" && self.Region != c.Region:
		return nil, usage.Hinted{Err: fmt.Errorf("this instance is in %s, and the set is to be restored in %s", self.Region, c.Region),
			Hint: "nothing was changed. Run this on an instance there, or name one with --instance, or make volumes only, with --no-attach --zone ZONE"}
	case r.o.Instance == "":
		r.o.Instance = self.ID
	}
	r.here = err == nil && self.ID == r.o.Instance
	if !r.here {
		r.noMount = true
	}
	t, err := bring.Find(ctx, c, r.o.Instance)
	if err != nil && !r.undo {
		return nil, err
	}
	if r.o.Zone != "" && r.o.Zone != t.Zone && !r.undo {
		return nil, usage.Hinted{Err: fmt.Errorf("instance %s is in zone %s, and a volume in %s cannot be attached to it", r.o.Instance, t.Zone, r.o.Zone),
			Hint: "nothing was changed. Leave out --zone, or make volumes only, with --no-attach"}
	}
	r.o.Zone = t.Zone
	return c, nil
}

// chooseSet finds the set that is meant.
func chooseSet(ctx context.Context, a *app.App, c *cloud.Cloud, r *restoreFlags, arg string) (sets.Set, error) {
	switch {
	case arg == "latest":
		return latestSet(ctx, a, c, r.job)
	case strings.HasPrefix(arg, "snap-"):
		all, _, err := sets.Read(ctx, c, sets.Query{Job: r.job})
		if err != nil {
			return sets.Set{}, err
		}
		for _, s := range all {
			i := slices.IndexFunc(s.Snapshots, func(x snapshot.Snapshot) bool { return x.ID == arg })
			if i >= 0 {
				r.o.Volumes = []string{s.Snapshots[i].Volume}
				return s, nil
			}
		}
		return sets.Set{}, fmt.Errorf("find snapshot %.80s in %s: %w", arg, c.Region, sets.ErrNone)
	}
	return sets.Find(ctx, c, arg)
}

// latestSet returns the newest set of a job that is whole, and says what it passes over.
func latestSet(ctx context.Context, a *app.App, c *cloud.Cloud, job string) (sets.Set, error) {
	all, _, err := sets.Read(ctx, c, sets.Query{Job: job})
	if err != nil {
		return sets.Set{}, err
	}
	jobs := map[string]bool{}
	for _, s := range all {
		jobs[s.Job] = true
	}
	if len(jobs) > 1 {
		return sets.Set{}, usage.Errorf("latest: %s has sets of %d jobs: name one with --job", c.Region, len(jobs))
	}
	for _, s := range slices.Backward(all) {
		if s.Whole() {
			a.Note("the newest complete set is %s", s.ID)
			return s, nil
		}
		a.Note("set %s is passed over: it is not complete", s.ID)
	}
	return sets.Set{}, fmt.Errorf("find the newest complete set in %s: %w", c.Region, sets.ErrNone)
}

// bringParts makes, attaches and mounts.
func bringParts(ctx context.Context, c *cloud.Cloud, r *restoreFlags, set string, parts []bring.Part) error {
	if !r.noMount && !r.noAttach {
		before, err := bring.Made(ctx, c, set, r.o)
		if err == nil && len(before) == 0 {
			err = bring.Vacant(parts, r.mount)
		}
		if err != nil {
			return err
		}
	}
	if err := bring.Volumes(ctx, c, set, parts, r.o); err != nil || r.noAttach {
		return err
	}
	t, err := bring.Find(ctx, c, r.o.Instance)
	if err != nil {
		return err
	}
	if err := bring.Attach(ctx, c, t, parts, r.o); err != nil || !r.here {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, r.o.Limit)
	defer cancel()
	if err := bring.Devices(limited, r.mount.Machine, parts); err != nil || r.noMount {
		return err
	}
	return bring.Mount(ctx, parts, r.mount)
}

// undoRestore takes away what an attempt has made.
func undoRestore(ctx context.Context, a *app.App, c *cloud.Cloud, r *restoreFlags, set sets.Set) error {
	parts, err := bring.Made(ctx, c, set.ID, r.o)
	if err != nil {
		return adviseRestore(err)
	}
	if len(parts) == 0 {
		return a.Result(fmt.Sprintf("attempt %s has no volumes of set %s", quote.Display(r.o.Attempt), set.ID))
	}
	if r.here {
		for i := range parts {
			if parts[i].Device, err = r.mount.Machine.DeviceOf(parts[i].New, parts[i].Name); err != nil && !errors.Is(err, host.ErrNoDevice) {
				return err
			}
		}
		if err := bring.Unmount(parts, r.mount); err != nil {
			return usage.Hinted{Err: err, Hint: "nothing was detached or deleted. Stop what uses it, such as a server; then say --undo again"}
		}
	}
	n := len(parts)
	if err := bring.Undo(ctx, c, parts, r.o); err != nil {
		return adviseRestore(err)
	}
	return a.Result(fmt.Sprintf("deleted volumes: %d", n))
}
