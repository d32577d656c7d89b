package usage

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// flagsElsewhere is what other backup tools call our flags.
var flagsElsewhere = map[string][]string{
	"at":                 {"time", "restore-time"},
	"cache-dir":          {"archive-dir"},
	"connections":        {"jobs"},
	"exclude-caches":     {"exclude-if-present"},
	"exclude-from":       {"exclude-file", "exclude-filelist"},
	"passphrase-command": {"password-command"},
	"passphrase-file":    {"password-file"},
	"path-style":         {"s3-unencrypted-connection"},
	"sample":             {"read-data-subset"},
	"endpoint":           {"s3-endpoint-url"},
	"region":             {"s3-region-name"},
	"repo":               {"repository"},
}

// unknownCommand says which command may have been meant.
func unknownCommand(c *cobra.Command, name string) error {
	err := Errorf("unknown command %q", strings.TrimPrefix(c.CommandPath()+" "+name, c.Root().Name()+" "))
	return suggest(err, c, "", alike(c, name))
}

// NoneEmpty refuses a flag that was given nothing, as by a shell's variable that is not set: it would count as not given.
func NoneEmpty(c *cobra.Command) (err error) {
	c.Flags().Visit(func(f *pflag.Flag) {
		if f.NoOptDefVal != "" { // it needs no value
			return
		}
		values := []string{f.Value.String()}
		if all, ok := f.Value.(pflag.SliceValue); ok {
			values = all.GetSlice()
		}
		if slices.Contains(values, "") && err == nil {
			err = Errorf("--%s: it is empty", f.Name)
		}
	})
	return err
}

// WrongFlag says which flag may have been meant.
func WrongFlag(c *cobra.Command, err error) error {
	wrong := Error{Err: err}
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) || unknown.GetSpecifiedShortnames() != "" {
		return wrong
	}
	flags := new(cobra.Command)
	c.Flags().VisitAll(func(f *pflag.Flag) {
		flags.AddCommand(&cobra.Command{Use: f.Name, SuggestFor: flagsElsewhere[f.Name], Run: func(*cobra.Command, []string) {}})
	})
	return suggest(wrong, c, "--", alike(flags, unknown.GetSpecifiedName()))
}

// alike returns the commands below c whose names are much like the name, or that other tools call so.
func alike(c *cobra.Command, name string) []string {
	c.SuggestionsMinimumDistance = min(2, len(name)/3)
	return c.SuggestionsFor(name)
}

func suggest(err error, c *cobra.Command, prefix string, names []string) error {
	if len(names) == 0 {
		return err
	}
	for i := range names {
		names[i] = prefix + names[i]
	}
	return Hinted{Err: err, Hint: fmt.Sprintf("is %s meant? %s --help says what there is", strings.Join(names, " or "), c.CommandPath())}
}

// NoArgs refuses arguments.
func NoArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return Errorf("%q is too much", args[0])
	}
	return nil
}

// ErrNoCommand says that none of the commands below one was named: the help names them.
var ErrNoCommand = Errorf("no command given")

// NameCommand is the RunE of a command that only has others below it.
func NameCommand(*cobra.Command, []string) error { return ErrNoCommand }

// NoSubcommand refuses the name of a command that is not there, and says which may be meant.
func NoSubcommand(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return unknownCommand(c, args[0])
	}
	return nil
}

// OneArgument refuses all but one argument, of that name.
func OneArgument(name string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return Errorf("say exactly one %s", name)
		}
		return nil
	}
}

// AtMostOne refuses several arguments.
func AtMostOne(c *cobra.Command, args []string) error {
	if len(args) > 1 {
		return Errorf("give one argument: %s", c.Use)
	}
	return nil
}
