package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"nightjar/cmd/nightjar/commands/mysql/replicas"
	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/ec2flags"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/quote"
	"nightjar/snapshot/bring"
	"nightjar/snapshot/cloud"
	"nightjar/snapshot/host"
	"nightjar/snapshot/sets"
)

// restoreHints are looked through in order.
var restoreHints = []struct {
	is   error
	hint string
}{
	{sets.ErrNone, "nightjar ebs list shows the sets of a region: is it the right --region, and --job?"},
	{bring.ErrNotWhole, "nightjar ebs list shows older sets. --partial restores what there is; --volume ID one that is there"},
	{bring.ErrPending, "nightjar ebs wait waits until they are"},
	{bring.ErrArchived, "aws ec2 restore-snapshot-tier --snapshot-id ID --temporary-restore-days 7 brings each back, which takes 24 to 72 hours; then the same command goes on. Another region may have a copy that is not archived"},
	{bring.ErrUsedUp, "--attempt NAME, another one, makes a volume anew; --undo deletes what this attempt has made"},
	{bring.ErrElsewhere, "detach it there first, or make another volume with --attempt NAME"},
	{bring.ErrNotMade, "EBS says no more: it may not use the KMS key, which is disabled, waits to be deleted, or has a policy that leaves the caller out. --kms-key KEY names another one, with --attempt NAME"},
	{bring.ErrInstance, "start it, or name another with --instance; or make volumes only, with --no-attach --zone ZONE"},
	{bring.ErrNoName, "detach volumes that are not needed, or attach to another instance"},
	{bring.ErrMounted, "--mount-at DIR mounts everything under another folder"},
	{bring.ErrPoint, "--mount-at DIR mounts everything under another folder; --over mounts over folders that are not empty"},
	{bring.ErrMember, "put it together by hand: vgchange -ay, mdadm --assemble or cryptsetup open, then mount it. --no-mount ends before"},
	{bring.ErrHostile, "is the set yours? --no-mount attaches only: then mount by hand what you trust"},
	{host.ErrStacked, "put it together and mount it by hand. --no-mount ends before"},
	{host.ErrNoDevice, "does the machine see it (lsblk)? The same command goes on"},
	{bring.ErrLate, "EC2 is slow, or has trouble: the same command goes on. --step-limit says how long it may take"},
}

// adviseRestore adds what to do about an error to it.
func adviseRestore(err error) error {
	var hinted usage.Hinted
	var wrong usage.Error
	if err == nil || errors.As(err, &hinted) || errors.As(err, &wrong) {
		return err
	}
	for _, h := range restoreHints {
		if errors.Is(err, h.is) {
			return usage.Hinted{Err: err, Hint: h.hint}
		}
	}
	hint := ""
	switch code := cloud.Code(err); {
	case code == "VolumeTypeNotAvailableInZone", code == "UnknownVolumeType":
		hint = "name another --type, or another zone"
	case code == "InvalidZone.NotFound":
		hint = "aws ec2 describe-availability-zones names the zones of the region"
	case strings.HasPrefix(code, "InvalidKmsKey"), strings.HasPrefix(code, "KMS"):
		hint = "--kms-key has to be an enabled key of this region, by its ARN or alias"
	case code == "VolumeLimitExceeded", code == "MaxIOPSLimitExceeded":
		hint = "delete volumes that are not needed, or have the account's quota raised"
	}
	if hint == "" {
		return ec2flags.Advise(err)
	}
	return usage.Hinted{Err: err, Hint: hint}
}

// stoppedBringing names what was made, and the commands that go on and that undo it.
func stoppedBringing(a *app.App, r *restoreFlags, arg string, parts []bring.Part, err error) error {
	var left []string
	for _, p := range parts {
		switch {
		case p.At != "":
			left = append(left, fmt.Sprintf("%s (mounted at %s)", p.New, p.At))
		case p.Name != "" && p.New != "":
			left = append(left, fmt.Sprintf("%s (%s)", p.New, p.Name))
		case p.New != "":
			left = append(left, p.New)
		}
	}
	if len(left) == 0 {
		return err
	}
	a.Note("volumes that are there: %s", quote.Display(strings.Join(left, ", ")))
	a.Note("the same command goes on with them; to remove them: nightjar ebs restore %s%s --undo", quote.Display(arg), r.again())
	return err
}

// again returns the flags by which an attempt is known.
func (r *restoreFlags) again() string {
	var s string
	if r.Region != "" {
		s += " --region " + quote.Display(r.Region)
	}
	if r.job != "" {
		s += " --job " + quote.Display(r.job)
	}
	if !r.here && r.o.Instance != "" {
		s += " --instance " + quote.Display(r.o.Instance)
	}
	if r.noAttach {
		s += " --no-attach --zone " + quote.Display(r.o.Zone)
	}
	if r.o.Attempt != "1" {
		s += " --attempt " + quote.Display(r.o.Attempt)
	}
	return s
}

// finishRestore makes the replica, if there is to be one, and reports.
func finishRestore(ctx context.Context, a *app.App, r *restoreFlags, set *sets.Set, parts []bring.Part, d restoredDatabase, e replicas.Ends, follows bool, arg string) error {
	var done replicas.Replicated
	if follows && d.path == "" {
		return errors.New("no data directory was found on the volumes, so that there is no replica: the volumes are mounted")
	}
	if follows {
		var err error
		if done, err = followSource(ctx, a, r, &d, e); err != nil {
			return stoppedBringing(a, r, arg, parts, err)
		}
		e.Source.Position = d.Position
	}
	if a.JSON {
		out := restoreJSON(r, set, parts, d)
		if follows {
			out["replica"] = replicas.ReplicaJSON(e, &r.replica, done)
		}
		if err := a.PrintJSON(out); err != nil {
			return err
		}
	} else if !a.Quiet {
		err := a.Print(func(w io.Writer) {
			printRestore(w, r, set, parts, d)
			if follows {
				replicas.PrintReplica(w, e, &r.replica, done)
			} else if d.path != "" {
				printNext(w, r, arg, d)
			}
		})
		if err != nil {
			return err
		}
	}
	if follows {
		if err := replicas.ReportCompared(a, e.Replica.Address(), done.Verified); err != nil {
			return err
		}
	}
	if !set.Whole() && len(r.o.Volumes) == 0 {
		return outcome.Problems{What: fmt.Sprintf("set %s is not whole: what there is of it was restored", set.ID)}
	}
	return nil
}

func printRestore(w io.Writer, r *restoreFlags, set *sets.Set, parts []bring.Part, d restoredDatabase) {
	for _, p := range parts {
		fmt.Fprintf(w, "%s of %s is %s in %s", p.Snapshot.ID, p.ID, p.New, r.o.Zone)
		if p.Name != "" {
			fmt.Fprintf(w, ", attached to %s as %s", r.o.Instance, p.Name)
		}
		if p.At != "" {
			fmt.Fprintf(w, ", %s mounted at %s", p.Device.Path, quote.Display(p.At))
		} else if !r.noMount && !r.noAttach {
			fmt.Fprintf(w, ", not mounted: tags name no mount")
		}
		fmt.Fprintln(w)
	}
	if d.path == "" {
		return
	}
	fmt.Fprintf(w, "the data directory %s is recovered", quote.Display(d.path))
	switch {
	case d.Position.IsZero():
		fmt.Fprintln(w, "; it has no position in a binary log")
	case d.Agrees:
		fmt.Fprintf(w, ", at %s, as the set's tags say\n", quote.Display(d.Position.String()))
	default:
		fmt.Fprintf(w, ", at %s (recovered: the set's tags name none)\n", quote.Display(d.Position.String()))
	}
	if d.InnoDB != "" {
		fmt.Fprintf(w, "  InnoDB's own last position: %s\n", quote.Display(d.InnoDB))
	}
}

// printNext says what to run next.
func printNext(w io.Writer, r *restoreFlags, arg string, d restoredDatabase) {
	fmt.Fprintf(w, "its server needs: datadir=%s, server_id=%d\n", quote.Display(d.path), serverID(d.Position, d.path))
	if d.logs != "" {
		fmt.Fprintf(w, "its binary log is in %s: log_bin has to be a name there, or another\n", quote.Display(d.logs))
	}
	if d.Position.IsZero() {
		return
	}
	more := ""
	if r.mount.Under != "" {
		more = " --mount-at " + quote.Display(r.mount.Under)
	}
	fmt.Fprintf(w, "to start it and make it a replica: nightjar ebs restore %s%s%s --source ADMIN@SOURCE --replication REPL@SOURCE\n", quote.Display(arg), r.again(), more)
	fmt.Fprintln(w, "to have it in the source's place, start it: it replicates from nobody")
}

func restoreJSON(r *restoreFlags, set *sets.Set, parts []bring.Part, d restoredDatabase) map[string]any {
	var volumes []map[string]any
	for _, p := range parts {
		volumes = append(volumes, map[string]any{
			"of": p.ID, "snapshot": p.Snapshot.ID, "volume": p.New, "made": p.Made, "device": p.Name, "path": p.Device.Path, "mount": p.At,
		})
	}
	out := map[string]any{
		"set": set.ID, "job": set.Job, "region": set.Region, "zone": r.o.Zone, "instance": r.o.Instance, "consistency": set.Consistency, "whole": set.Whole(), "volumes": volumes, "database": nil,
	}
	if d.path != "" {
		out["database"] = map[string]any{
			"datadir": d.path, "position": d.Position.String(), "agrees": d.Agrees, "innodb": d.InnoDB, "server_uuid_was": d.Identity, "earlier": d.Earlier, "notes": app.OrNone(d.Notes),
			"server_id": serverID(d.Position, d.path), "logs": d.logs, "events_disabled": d.Events, "unclosed_tables": app.OrNone(d.Unclosed),
		}
	}
	return out
}
