package upkeep

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/place"
	"nightjar/cmd/nightjar/internal/setup"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/quote"
)

// InitCommand makes the command nightjar init.
func InitCommand(a *app.App) *cobra.Command {
	var o setup.MakeOptions
	c := &cobra.Command{
		Use:   "init",
		Short: "Make a repository, its keys and its recovery kit",
		Long: `Make a repository in a new or empty directory, of this machine or of an SFTP server, or under a new prefix of a bucket.

Without a key, one is made that plays host and recovery key, so that this machine can also restore. With --encrypt-key
this machine can back up, and only the owner of that key can restore; with --sign-key the host signs with that key.
KEY is a fingerprint in your GnuPG keyring or a file: RSA or curve25519, with self-signatures by SHA-2. PASSPHRASE protects
a recovery key that is made, SIGN_PASSPHRASE (or else PASSPHRASE) the host key.`,
		Args: usage.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if a.Repo == "" {
				return usage.Errorf("no repository is named: set --repo or NIGHTJAR_REPO")
			}
			at, err := place.Parse(a.Repo)
			if err != nil {
				return err
			}
			made, err := setup.Make(c.Context(), &a.Settings, at, o)
			if err != nil {
				return fmt.Errorf("make repository %s: %w", place.Shown(at), err)
			}
			if a.JSON {
				made.Place, made.Host, made.Kit = quote.Text(made.Place), quote.Text(made.Host), quote.Text(made.Kit)
				return a.PrintJSON(made)
			}
			if a.Quiet {
				return nil
			}
			return a.Print(func(w io.Writer) {
				showMade(w, made)
				if a.File != nil && len(a.File.Jobs()) > 0 {
					fmt.Fprintf(w, "\nThe job file has jobs: nightjar config check --connect says whether they are right, nightjar run --all runs them.\n")
				}
			})
		},
	}
	f := c.Flags()
	f.StringArrayVar(&o.EncryptKeys, "encrypt-key", nil, "a recovery `KEY`; may be repeated")
	f.StringVar(&o.SignKey, "sign-key", "", "the host key")
	f.StringVar(&o.Host, "host", "", "name of this host (default: its host name)")
	f.BoolVar(&o.CreateBucket, "create-bucket", false, "make the bucket, closed to the public, if it is missing")
	f.StringVar(&o.KitFile, "kit-file", "", "where to write the recovery kit (default: in the state directory)")
	return c
}

func showMade(w io.Writer, n *setup.Made) {
	fmt.Fprintf(w, "made repository %s in %s\n", n.Repository, quote.Display(n.Place))
	fmt.Fprintf(w, "root key:     %s\n", n.Root)
	fmt.Fprintf(w, "host key:     %s (%s)\n", n.HostKey, quote.Display(n.Host))
	for _, f := range n.Recovery {
		fmt.Fprintf(w, "recovery key: %s\n", f)
	}
	fmt.Fprintf(w, "recovery kit: %s\n", quote.Display(n.Kit))
	fmt.Fprintf(w, "\n%s\n", n.Advice())
}
