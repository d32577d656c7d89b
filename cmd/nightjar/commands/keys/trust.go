package keys

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/repo/keyring"
)

func trustCommand(a *app.App) *cobra.Command {
	var all, none bool
	c := &cobra.Command{
		Use:   "trust HOST OTHER...|--all|--none",
		Short: "Say on which other hosts a host builds: what they have stored it does not store again",
		Long: `Say on whose chunks a host builds besides its own, from now on: those of the hosts that are named (OTHER...), of all hosts, enrolled later or not (--all), or of no
other (--none, as at first). What they have stored it does not store again.

It lends something in both directions: HOST's archives need what OTHER has stored, so a lie of OTHER's may cost HOST files; and an archive of HOST's may be made of
OTHER's content, which a thief of HOST could have the operator restore there. What ends counts for another day, so that a run comes to its end; what was built until then can be
read ever after.`,
	}
	changesKeys(a, c, 0, func(_ context.Context, args []string) (keyChange, error) {
		host, others := args[0], args[1:]
		said := fmt.Sprintf("host %s builds on its own chunks and those of %s", host, strings.Join(others, ", "))
		switch {
		case all:
			said = fmt.Sprintf("host %s builds on the chunks of all hosts", host)
		case none:
			said = fmt.Sprintf("host %s builds on its own chunks alone, a day from now at the latest; what it built can be read on", host)
		}
		return keyChange{edit: func(d *keyring.Draft) error { return d.SetTrust(host, all, others...) }, said: said}, nil
	})
	c.Flags().BoolVar(&all, "all", false, "on all hosts")
	c.Flags().BoolVar(&none, "none", false, "on no other host")
	c.Args = func(_ *cobra.Command, args []string) error {
		ways := 0
		for _, is := range []bool{all, none, len(args) > 1} {
			if is {
				ways++
			}
		}
		if len(args) == 0 || ways != 1 {
			return usage.Errorf("say key trust HOST, and the hosts that it builds on, or --all, or --none")
		}
		return nil
	}
	return c
}
