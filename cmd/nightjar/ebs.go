package main

import (
	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/usage"
)

func (a *app) ebsCommand() *cobra.Command {
	var e ebsFlags
	c := &cobra.Command{
		Use:   "ebs",
		Short: "Take EBS snapshots of the volumes of an instance as sets, and see to them",
		Long: `Take EBS snapshots of the volumes of an instance as sets, and see to them. A set is known by the tags of its snapshots alone: no
repository is needed. doc/ebs.md has the policy that the credentials need.`,
		Args: noSubcommand,
		RunE: func(*cobra.Command, []string) error {
			return usage.Errorf("say which command: nightjar ebs --help names them")
		},
	}
	f := c.PersistentFlags()
	f.StringVar(&e.Region, "region", "", "the `REGION` of EC2 (default: AWS_REGION, the AWS configuration's, or this instance's)")
	f.StringVar(&e.Endpoint, "endpoint", "", "`URL` of a server that is not Amazon's (default: the AWS configuration's)")
	f.StringVar(&e.Profile, "profile", "", "profile of the AWS configuration, for credentials and region (AWS_PROFILE)")
	c.AddCommand(a.ebsTakeCommand(&e), a.ebsThawCommand(), a.ebsWatchdogCommand())
	c.AddCommand(a.ebsListCommand(&e), a.ebsWaitCommand(&e), a.ebsCopyCommand(&e), a.ebsPruneCommand(&e), a.ebsCostCommand(&e), a.ebsScheduleCommand(&e))
	c.AddCommand(a.ebsArchiveCommand(&e), a.ebsUnarchiveCommand(&e), a.ebsRestoreCommand(&e))
	for _, sub := range c.Commands() {
		run := sub.RunE
		sub.RunE = func(c *cobra.Command, args []string) error { return adviseEBS(run(c, args)) }
	}
	return c
}
