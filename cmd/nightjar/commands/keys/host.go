package keys

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/setup"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/cmd/nightjar/internal/userkeys"
	"nightjar/crypto"
	"nightjar/internal/human"
	"nightjar/repo/keyring"
	"nightjar/repo/maintain/keycheck"
	"nightjar/repo/maintain/vouch"
)

// hostKeyFlags say which key a host gets.
type hostKeyFlags struct{ certificate, newKey string }

func (k *hostKeyFlags) add(f *pflag.FlagSet) {
	f.StringVar(&k.certificate, "certificate", "", "file with the host's certificate; - for standard input")
	f.StringVar(&k.newKey, "new-key", "", "make a key for the host, and write it to this file")
}

func (k *hostKeyFlags) read(ctx context.Context, a *app.App, host string) (*crypto.Key, error) {
	switch {
	case (k.certificate == "") == (k.newKey == ""):
		return nil, usage.Errorf("name the certificate that key enroll printed on the host, --certificate FILE; or have a key made, --new-key FILE")
	case k.newKey != "":
		return setup.NewHostKey(ctx, &a.Settings, host, k.newKey)
	case k.certificate == "-":
		return userkeys.ReadCertificate(a.In)
	}
	return a.UserKeys().Certificate(ctx, k.certificate)
}

func addHostCommand(a *app.App) *cobra.Command {
	var k hostKeyFlags
	var has []string
	c := &cobra.Command{
		Use:   "add-host NAME",
		Short: "Enroll a host, by the certificate that key enroll printed there",
		Long: `Enroll a host, by the certificate that nightjar key enroll printed there (--certificate FILE), or by a key that is made here (--new-key FILE) and
that the host takes with nightjar key enroll --sign-key FILE. A host that was removed is enrolled again in the same way, with a new key.`,
	}
	k.add(c.Flags())
	c.Flags().StringSliceVar(&has, "role", []string{string(keyring.Backup)}, "what it may do: backup, prune")
	return changesKeys(a, c, 1, func(ctx context.Context, args []string) (keyChange, error) {
		var roles []keyring.Role
		for _, name := range has {
			role, ok := parseRole(name)
			if !ok {
				return keyChange{}, usage.Errorf("role %q: there are backup and prune", name)
			}
			roles = append(roles, role)
		}
		key, err := k.read(ctx, a, args[0])
		if err != nil {
			return keyChange{}, err
		}
		return keyChange{
			edit: func(d *keyring.Draft) error { return d.AddHost(args[0], key, roles...) },
			said: fmt.Sprintf("host %s is enrolled with key %s, roles: %s", args[0], key.Fingerprint(), strings.Join(has, ", ")),
		}, nil
	})
}

func rotateHostCommand(a *app.App) *cobra.Command {
	var k hostKeyFlags
	c := &cobra.Command{
		Use:   "host NAME",
		Short: "Give a host the key whose certificate key enroll --renew printed there, or take the newer certificate of its key",
		Long: `Give a host another key: that whose certificate nightjar key enroll --renew printed there. It uses it from its next run on. What the old key signs
counts for another day, so that a run comes to its end.

A newer certificate of the key that the host has, with a later expiry or other subkeys, takes the place of the old one: gpg --quick-set-expire FINGERPRINT 1y
extends a key, and the same with '*' at its end its subkeys; gpg --export --armor FINGERPRINT prints the certificate.`,
	}
	k.add(c.Flags())
	return changesKeys(a, c, 1, func(ctx context.Context, args []string) (keyChange, error) {
		key, err := k.read(ctx, a, args[0])
		if err != nil {
			return keyChange{}, err
		}
		return keyChange{
			edit: func(d *keyring.Draft) error { return d.RotateHost(args[0], key) },
			said: fmt.Sprintf("host %s has key %s", args[0], key.Fingerprint()),
		}, nil
	})
}

func removeHostCommand(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use:   "remove-host NAME",
		Short: "End a host: what it writes from now on counts no more; its archives stay",
		Long: `End a host: what it writes from now on counts no more; its archives stay, and so does its entry in the keys, by which they are believed.

--purge takes a host that was ended out of the keys for good, when nothing is left that it has signed, and no pack of it: when its archives were forgotten, and
prune has taken away what they needed. Archives that only a copy has cannot be opened there any more. It makes room where thousands of hosts came and went.`,
	}
	var purge bool
	c.Flags().BoolVar(&purge, "purge", false, "take out a host that was ended, and of which nothing is left")
	return changesKeys(a, c, 1, func(ctx context.Context, args []string) (keyChange, error) {
		if purge {
			return keyChange{
				edit: func(d *keyring.Draft) error { return d.ForgetHost(args[0]) },
				said: fmt.Sprintf("host %s is out of the keys; nothing of it was left", args[0]),
			}, remains(ctx, a, args[0])
		}
		return keyChange{
			edit:   func(d *keyring.Draft) error { return d.RemoveHost(args[0]) },
			said:   fmt.Sprintf("host %s is out; its archives stay", args[0]),
			advice: hadMetadata,
		}, nil
	})
}

func compromisedCommand(a *app.App) *cobra.Command {
	var before string
	var none bool
	c := &cobra.Command{
		Use:   "compromised NAME|FINGERPRINT",
		Short: "Mark a host's keys, or one of them, as stolen: what it signed counts no more, but for archives from before",
		Long: `Mark a host's keys, or one of them, as stolen: nothing that they signed counts any more, whenever that was, but for the archives from before the theft.

--keep-before says when that was at the earliest: archives that the store had by then, and that are complete, are looked through and vouched for with the recovery
key before the mark is set. Later ones can be told apart from the thief's by nobody. --keep-none keeps none. The mark stays for ever; --keep-before may be said again later, with
another time, while prune has not begun to take away what those archives need.`,
	}
	c.Flags().StringVar(&before, "keep-before", "", "keep the archives from up to then: 2006-01-02, \"2006-01-02 15:04\", or an age like 3D or 12h")
	c.Flags().BoolVar(&none, "keep-none", false, "keep no archive of it")
	return changesKeys(a, c, 1, func(ctx context.Context, args []string) (keyChange, error) {
		change := keyChange{
			edit:   func(d *keyring.Draft) error { return d.MarkCompromised(args[0]) },
			said:   fmt.Sprintf("%s is marked compromised: nothing that it signed counts any more, its archives among it", args[0]),
			advice: hadMetadata,
		}
		if (before == "") != none {
			return change, usage.Errorf("say which archives are from before the theft: --keep-before \"2006-01-02 15:04\" keeps those that were stored by then, --keep-none keeps none")
		}
		if none {
			return change, nil
		}
		now := a.Now()
		at, err := human.ParseTime(before, now)
		if err == nil && at.After(now) {
			err = fmt.Errorf("%s is yet to come", before)
		}
		if err != nil {
			return change, usage.Error{Err: fmt.Errorf("--keep-before: %w", err)}
		}
		kept, err := vouchFor(ctx, a, vouch.Options{Who: args[0], Before: at})
		if err != nil {
			return change, err
		}
		change.said = fmt.Sprintf("%s is marked compromised: of what it signed only archives from up to %s count: %d", args[0], human.Time(at), kept.Archives)
		change.standing = fmt.Sprintf("%s is marked compromised already; of its archives from up to %s count: %d", args[0], human.Time(at), kept.Archives)
		return change, nil
	})
}

// remains returns an error if anything is left of a host.
func remains(ctx context.Context, a *app.App, host string) error {
	s, err := a.Open(ctx, session.ReadContent)
	if err != nil {
		return err
	}
	defer s.Close()
	return keycheck.Remains(ctx, s.Repository, host)
}

// vouchFor has archives of a host count on when it is marked.
func vouchFor(ctx context.Context, a *app.App, o vouch.Options) (vouch.Summary, error) {
	s, err := a.Open(ctx, session.ReadContent)
	if err != nil {
		return vouch.Summary{}, err
	}
	defer s.Close()
	o.Left = func(id string, err error) {
		a.Warn(fmt.Errorf("archive %.8s will not count: %w", id, err))
	}
	return vouch.Archives(ctx, s.Repository, o)
}

func roleCommand(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use:   "role NAME +ROLE|-ROLE",
		Short: "Give a host a role, backup or prune, or take it away; what it has written counts on",
	}
	changesKeys(a, c, 2, func(_ context.Context, args []string) (keyChange, error) {
		role, ok := parseRole(strings.TrimLeft(args[1], "+-"))
		gives := strings.HasPrefix(args[1], "+")
		if !ok || !gives && !strings.HasPrefix(args[1], "-") {
			return keyChange{}, usage.Errorf("%q: say +backup, -backup, +prune or -prune", args[1])
		}
		said := fmt.Sprintf("host %s has the role %s", args[0], role)
		if !gives {
			said += " no more; what it has written counts on"
		}
		return keyChange{edit: func(d *keyring.Draft) error { return d.SetRole(args[0], role, gives) }, said: said}, nil
	})
	takesDashedArguments(c, "-backup", "-prune")
	return c
}

// takesDashedArguments has a command take some words as arguments that look like flags.
func takesDashedArguments(c *cobra.Command, words ...string) {
	check, run := c.Args, c.RunE
	c.DisableFlagParsing, c.Args = true, nil
	c.RunE = func(c *cobra.Command, raw []string) error {
		var dashed, flags []string
		for _, arg := range raw {
			if slices.Contains(words, arg) {
				dashed = append(dashed, arg)
			} else {
				flags = append(flags, arg)
			}
		}
		c.InheritedFlags() // joins those of the commands above to this one's
		if err := c.Flags().Parse(flags); err != nil {
			return usage.Error{Err: err}
		}
		if help, err := c.Flags().GetBool("help"); help || err != nil {
			return c.Help()
		}
		if err := c.Root().PersistentPreRunE(c, nil); err != nil {
			return err
		}
		args := append(c.Flags().Args(), dashed...)
		if err := check(c, args); err != nil {
			return err
		}
		return run(c, args)
	}
}

func parseRole(name string) (keyring.Role, bool) {
	r := keyring.Role(name)
	return r, r == keyring.Backup || r == keyring.Prune
}
