package keys

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/rekey"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/crypto"
	"nightjar/internal/human"
	"nightjar/internal/quote"
	"nightjar/repo/keyring"
)

// What to do when something was taken away from somebody who has had it.
const (
	hadMetadata = "It has had the metadata key, which opens names and sizes of what is saved from now on, too: nightjar key rotate metadata ends that."
	hadAll      = "Its holder has had all of the repository's keys: nightjar key rotate content, key rotate metadata and key root make new ones."
)

// A keyChange is what a command makes of the keys.
type keyChange struct {
	edit     func(d *keyring.Draft) error
	said     string // what was done
	standing string // what was done, if the keys are as they are to be; empty: nothing, which is an error
	advice   string // what to do next; may be empty
}

// changesKeys makes c a command that stores new keys, with so many arguments.
func changesKeys(a *app.App, c *cobra.Command, arguments int, plan func(ctx context.Context, args []string) (keyChange, error)) *cobra.Command {
	var kitFile string
	c.Flags().StringVar(&kitFile, "kit-file", "", "where to write the recovery kit (default: the kit that is named, or in the state directory)")
	c.Args = func(_ *cobra.Command, args []string) error {
		if len(args) != arguments {
			return usage.Errorf("say key %s", c.Use)
		}
		return nil
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		change, err := plan(c.Context(), args)
		if err != nil {
			return err
		}
		done, err := rekey.Change(c.Context(), &a.Settings, kitFile, change.edit)
		switch {
		case errors.Is(err, keyring.ErrUnchanged) && change.standing != "":
			return reportStanding(a, change)
		case errors.Is(err, keyring.ErrUnchanged):
			return usage.Hinted{Err: err, Hint: "nightjar key list says how things are"}
		case err != nil:
			return err
		}
		return reportKeys(a, done, change)
	}
	return c
}

// reportStanding tells of a change for which the keys were as they are to be.
func reportStanding(a *app.App, change keyChange) error {
	switch {
	case a.JSON:
		return a.PrintJSON(map[string]any{"keys": nil, "done": quote.Text(change.standing)})
	case a.Quiet:
		return nil
	}
	return a.Result(quote.Display(change.standing))
}

func reportKeys(a *app.App, done *rekey.Changed, change keyChange) error {
	name, _ := done.Keys.Object()
	root := done.Keys.Pin().Root
	if a.JSON {
		return a.PrintJSON(map[string]any{
			"keys": name, "root": root, "recovery_kit": quote.Text(done.Kit), "recovery_kit_has_key": done.HasKey, "advice": change.advice,
		})
	}
	if a.Quiet {
		return nil
	}
	return a.Print(func(w io.Writer) {
		fmt.Fprintf(w, "%s: %s\n", name, quote.Display(change.said))
		fmt.Fprintf(w, "root key:     %s\n", root)
		fmt.Fprintf(w, "recovery kit: %s\n", quote.Display(done.Kit))
		if change.advice != "" {
			fmt.Fprintf(w, "\n%s\n", change.advice)
		}
		fmt.Fprintf(w, "\nPut the recovery kit in the place of the one that you keep off this machine.\n")
		if !done.HasKey {
			fmt.Fprintf(w, "It holds no recovery key: keep yours, and the old kit if that holds it.\n")
		}
	})
}

func addRecoveryCommand(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use:   "add-recovery KEY",
		Short: "Add a recovery key, or the renewed certificate of one: a file, or a fingerprint in your GnuPG keyring",
	}
	return changesKeys(a, c, 1, func(ctx context.Context, args []string) (keyChange, error) {
		key, err := a.UserKeys().Certificate(ctx, args[0])
		if err != nil {
			return keyChange{}, err
		}
		return keyChange{
			edit:     func(d *keyring.Draft) error { return d.AddRecovery(key) },
			said:     fmt.Sprintf("recovery key %s opens everything", key.Fingerprint()),
			standing: fmt.Sprintf("recovery key %s opens everything already; the keys stay as they are", key.Fingerprint()),
		}, nil
	})
}

func removeRecoveryCommand(a *app.App) *cobra.Command {
	c := &cobra.Command{Use: "remove-recovery FINGERPRINT", Short: "Take out a recovery key, but never the last"}
	return changesKeys(a, c, 1, func(_ context.Context, args []string) (keyChange, error) {
		f, err := crypto.ParseFingerprint(args[0])
		if err != nil {
			return keyChange{}, usage.Error{Err: err}
		}
		return keyChange{
			edit:   func(d *keyring.Draft) error { return d.RemoveRecovery(f) },
			said:   fmt.Sprintf("recovery key %s is out", f),
			advice: hadAll,
		}, nil
	})
}

func rotateCommand(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "rotate COMMAND", DisableFlagsInUseLine: true,
		Short: "Make a new metadata or content key, or give a host a new key; what is there opens on",
		Args:  usage.NoSubcommand,
		RunE: func(*cobra.Command, []string) error {
			return usage.Errorf("say rotate metadata, rotate content or rotate host NAME")
		},
	}
	for what, edit := range map[string]func(*keyring.Draft) error{"metadata": (*keyring.Draft).RotateMetadata, "content": (*keyring.Draft).RotateContent} {
		own := &cobra.Command{Use: what, Short: "Make a new " + what + " key for new objects; the old one stays in the keys and opens what is there"}
		c.AddCommand(changesKeys(a, own, 0, func(context.Context, []string) (keyChange, error) {
			return keyChange{edit: edit, said: "there is a new " + what + " key; a run that began before ends with the old one"}, nil
		}))
	}
	c.AddCommand(rotateHostCommand(a))
	return c
}

func rootCommand(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use:   "root",
		Short: "Hand over to a new root key",
		Long: `Make a new root key. The old one signs that this is its successor, so hosts that remember the old one follow by themselves; what the old one
signs from then on counts no more.`,
	}
	return changesKeys(a, c, 0, func(context.Context, []string) (keyChange, error) {
		return keyChange{
			edit:   (*keyring.Draft).HandOver,
			said:   "there is a new root key",
			advice: "Hosts follow by themselves, when they run next.",
		}, nil
	})
}

func resealCommand(a *app.App) *cobra.Command {
	c := &cobra.Command{Use: "reseal", Short: "Seal the secrets anew to all that are listed, and write the recovery kit"}
	return changesKeys(a, c, 0, func(context.Context, []string) (keyChange, error) {
		return keyChange{edit: func(*keyring.Draft) error { return nil }, said: "the secrets are sealed anew"}, nil
	})
}

func graceCommand(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use:   "grace DURATION",
		Short: "Set how long what prune condemned is kept, like 7D; a shorter one counts when the longer has passed",
	}
	return changesKeys(a, c, 1, func(_ context.Context, args []string) (keyChange, error) {
		grace, err := human.ParseAge(args[0])
		if err != nil {
			return keyChange{}, usage.Error{Err: err}
		}
		return keyChange{
			edit: func(d *keyring.Draft) error { return d.SetGrace(grace) },
			said: "the grace period is " + args[0],
		}, nil
	})
}
