// Package ebs has the commands for EBS snapshots: all but those of package archive do without a repository.
package ebs

import (
	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/commands/ebs/archive"
	"nightjar/cmd/nightjar/commands/ebs/keep"
	"nightjar/cmd/nightjar/commands/ebs/restore"
	"nightjar/cmd/nightjar/commands/ebs/take"
	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/ec2flags"
	"nightjar/cmd/nightjar/internal/usage"
)

// Command makes the command nightjar ebs, and those below it.
func Command(a *app.App) *cobra.Command {
	var e ec2flags.Flags
	c := &cobra.Command{
		Use: "ebs COMMAND", DisableFlagsInUseLine: true,
		Short: "Take EBS snapshots of the volumes of an instance as sets, and see to them",
		Long: `Take EBS snapshots of the volumes of an instance as sets, and see to them. A set is known by the tags of its snapshots alone: no
repository is needed. doc/ebs.md has the policy that the credentials need.`,
		Args: usage.NoSubcommand,
		RunE: usage.NameCommand,
	}
	f := c.PersistentFlags()
	f.StringVar(&e.Region, "region", "", "the `REGION` of EC2 (default: AWS_REGION, the AWS configuration's, or this instance's)")
	f.StringVar(&e.Endpoint, "endpoint", "", "`URL` of a server that is not Amazon's (default: the AWS configuration's)")
	f.StringVar(&e.Profile, "profile", "", "profile of the AWS configuration, for credentials and region (AWS_PROFILE)")
	c.AddCommand(take.TakeCommand(a, &e), take.ThawCommand(a), take.WatchdogCommand(a))
	c.AddCommand(keep.ListCommand(a, &e), keep.WaitCommand(a, &e), keep.CopyCommand(a, &e), keep.PruneCommand(a, &e), keep.CostCommand(a, &e), keep.ScheduleCommand(a, &e))
	c.AddCommand(archive.ArchiveCommand(a, &e), archive.UnarchiveCommand(a, &e), restore.Command(a, &e))
	for _, sub := range c.Commands() {
		run := sub.RunE
		sub.RunE = func(c *cobra.Command, args []string) error { return ec2flags.Advise(run(c, args)) }
	}
	return c
}
