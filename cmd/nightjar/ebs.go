package main

import (
	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/usage"
)

func (a *app) ebsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "ebs",
		Short: "Take, keep, copy and bring back EBS snapshots of volumes that belong together",
		Args:  noSubcommand,
		RunE: func(*cobra.Command, []string) error {
			return usage.Errorf("say which command: nightjar ebs --help names them")
		},
	}
	c.AddCommand(a.ebsThawCommand(), a.ebsWatchdogCommand())
	a.addEBSKeeping(c)
	return c
}
