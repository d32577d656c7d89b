// Package keys adds, rotates and takes away the keys of a repository, and says which it has.
package keys

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/choice"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/setup"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/durable"
	"nightjar/internal/quote"
	"nightjar/repo"
	"nightjar/repo/maintain/keycheck"
)

// Command makes the command nightjar key, and those below it.
func Command(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "key COMMAND", DisableFlagsInUseLine: true,
		Short: "Say and change who may do what: hosts, roles, recovery keys, the repository's own keys",
		Long: `Say and change who may do what. Who may change anything is who holds a recovery key: --key names it. Each change is a new
object keys/NNNNNN, which every host believes by the root key that it remembers, and writes the recovery kit again.

A second host takes two commands, the first on the new host, the second on the machine with a recovery key:

  nightjar key enroll --root FINGERPRINT > web2.crt
  nightjar key add-host web2 --certificate web2.crt --key KEY`,
		Args: usage.NoSubcommand,
		RunE: usage.NameCommand,
	}
	c.AddCommand(listCommand(a), checkCommand(a), enrollCommand(a), addHostCommand(a), removeHostCommand(a), compromisedCommand(a), roleCommand(a), trustCommand(a),
		addRecoveryCommand(a), removeRecoveryCommand(a), rotateCommand(a), rootCommand(a), resealCommand(a), graceCommand(a))
	return c
}

func listCommand(a *app.App) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List hosts, roles, recovery keys and the repository's own keys; needs no secret",
		Args:  usage.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := a.Site(c.Context())
			if err != nil {
				return err
			}
			defer s.Close()
			keys, err := s.Keys(c.Context(), session.ReadNothing)
			if err != nil {
				return err
			}
			if a.JSON {
				return a.PrintJSON(show.KeysJSON(keys, a.Now()))
			}
			return a.Print(func(w io.Writer) { show.Keys(w, keys, a.Now()) })
		},
	}
}

func enrollCommand(a *app.App) *cobra.Command {
	var o setup.EnrollOptions
	var file string
	c := &cobra.Command{
		Use:   "enroll",
		Short: "On a new host: make its key, and print the certificate that key add-host takes",
		Long: `Make this machine's key for a repository that exists, and print its certificate. The machine with a recovery key adds it:
nightjar key add-host NAME --certificate FILE. --root says which repository to believe; the recovery kit and key list name the root key.

Said again, it prints the same certificate again. --renew makes another key, which is used as soon as key rotate host has added it. A key whose
expiry was extended, or that got new subkeys, is named again with --sign-key: until key rotate host has its new certificate, the old one counts.`,
		Args: usage.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			done, err := setup.Enroll(c.Context(), &a.Settings, o)
			if err != nil {
				return err
			}
			if file != "" {
				if err := durable.WriteFile(file, []byte(done.Certificate), 0o644); err != nil {
					return fmt.Errorf("write certificate: %w", err)
				}
			}
			if a.JSON {
				done.Host = quote.Text(done.Host)
				return a.PrintJSON(done)
			}
			switch {
			case done.Newer:
				a.Note("key %s is enrolled as host %s with an older certificate. Where a recovery key is: nightjar key rotate host %s --certificate FILE", done.Key, done.Host, done.Host)
			case done.Over:
				a.Note("key %s is enrolled as host %s, and cannot sign any more. %s", done.Key, done.Host, session.RenewHost(done.Host, done.Key))
			case done.Host != "":
				a.Note("key %s is enrolled as host %s: backups can begin", done.Key, done.Host)
			default:
				a.Note("where a recovery key is: nightjar key add-host NAME --certificate FILE. It should name key %s", done.Key)
			}
			if file != "" {
				return nil
			}
			return a.Print(func(w io.Writer) { fmt.Fprint(w, done.Certificate) })
		},
	}
	f := c.Flags()
	f.StringVar(&file, "certificate", "", "where to write the certificate (default: standard output)")
	f.StringVar(&o.SignKey, "sign-key", "", "the key to use: a file, or a fingerprint in your GnuPG keyring (default: one is made)")
	f.BoolVar(&o.Renew, "renew", false, "make another key, though this host has one that is enrolled")
	return c
}

func checkCommand(a *app.App) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Prove that a recovery key would open the newest archive; reads no contents",
		Long: `Prove that the recovery key that --key names (a file, the recovery kit, or a fingerprint in your GnuPG keyring, smartcards too) opens the
repository's secrets, the newest archive, its folders, and every pack that its files need. Contents are neither read nor opened.
Exit code 11 if it is the wrong key, 12 if something is damaged.`,
		Args: usage.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := a.Open(c.Context(), session.ReadContent)
			if err != nil {
				return err
			}
			defer s.Close()
			proof, err := keycheck.Prove(c.Context(), s.Repository, func(x *repo.Archive) bool { return !choice.IsRecord(x) }, s.PassOver)
			if err != nil {
				return err
			}
			if a.JSON {
				return a.PrintJSON(show.ProofJSON(&proof))
			}
			if a.Quiet {
				return nil
			}
			return a.Print(func(w io.Writer) { show.Proof(w, &proof) })
		},
	}
}
