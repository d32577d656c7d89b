package main

import (
	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/usage"
)

func (a *app) mysqlCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "mysql",
		Short: "Back up servers of MySQL and MariaDB, and make replicas of them",
		Args:  noSubcommand,
		RunE: func(*cobra.Command, []string) error {
			return usage.Errorf("say which command: nightjar mysql --help names them")
		},
	}
	c.AddCommand(a.mysqlDumpCommand(), a.mysqlHotCommand(), a.mysqlBinlogCommand(), a.mysqlRestoreCommand(), a.mysqlReplicaCommand(), a.mysqlVerifyCommand(), a.mysqlPromoteCommand(), a.mysqlCheckCommand())
	return c
}
