package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/quote"
	"nightjar/job"
)

func (a *app) configCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Look at the job file, and write one",
		Args:  noSubcommand,
		RunE: func(*cobra.Command, []string) error {
			return usage.Errorf("say which command: nightjar config --help names them")
		},
	}
	c.AddCommand(a.configCheckCommand())
	return uses(c, fileNone)
}

func (a *app) configCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check [FILE]",
		Short: "Tell all that is wrong with the job file",
		Long: `Tell all that is wrong with the job file, each with its line: keys that are unknown, values that cannot be, and what is missing. Nothing is run or asked.

Exit code 2 if something is wrong.`,
		Args: atMostOne,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				a.config = args[0]
			}
			return a.configCheck()
		},
	}
}

func atMostOne(c *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usage.Errorf("give one argument: %s", c.Use)
	}
	return nil
}

func (a *app) configCheck() error {
	var err error
	a.file, err = a.readFile()
	var faults *job.Faults
	if err != nil && !errors.As(err, &faults) {
		return withoutFile(err)
	}
	f, err := a.jobFile()
	if err != nil {
		return err
	}
	if faults == nil {
		a.note("%s is good; it has %d jobs", quote.Display(f.Path), len(f.Jobs()))
		return nil
	}
	err = a.print(func(w io.Writer) {
		for _, x := range faults.All {
			fmt.Fprintf(w, "%s: %s\n", quote.Display(f.Path), quote.Display(x.String()))
		}
	})
	if err != nil {
		return err
	}
	return usage.Errorf("job file %s: faults: %d", f.Path, len(faults.All))
}
