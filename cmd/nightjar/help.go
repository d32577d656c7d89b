package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/help"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/usage"
)

// guide says which flags are shown together.
func guide() help.Guide {
	return help.Guide{
		Groups: []help.Group{
			{Heading: "Repository and keys", Root: true, Flags: []string{"config", "repo", "key", "kit", "root", "passphrase-file", "passphrase-command"}},
			{Heading: "Folders", Root: true, Flags: []string{"cache-dir", "cache-limit", "state-dir", "tempdir"}},
			{Heading: "Output", Root: true, Flags: []string{"json", "quiet", "verbose", "help", "version"}},
			{Heading: "Buckets", Root: true, Flags: []string{
				"profile", "region", "endpoint", "path-style", "storage-class", "object-lock", "object-lock-mode", "sse", "sse-kms-key", "requester-pays", "server-lacks", "as-of",
			}},
			{Heading: "SFTP servers", Root: true, Flags: []string{"sftp-"}},
			{Heading: "Speed", Root: true, Flags: []string{"connections", "limit-"}},
			{Heading: "The copy", Flags: []string{"to-endpoint", "to-limit-", "to-object-", "to-path-style", "to-profile", "to-region", "to-requester-pays", "to-server-lacks", "to-sftp-", "to-sse", "to-sse-", "to-storage-class"}},
			{Heading: "The other copy", Flags: []string{"from-"}},
			{Heading: "The database server", Flags: []string{"server", "user", "password-file", "password-command", "defaults-file", "defaults-group-suffix", "ssl-"}},
			{Heading: "The source", Flags: []string{"source-"}},
			{Heading: "The replica", Flags: []string{"replica-"}},
			{Heading: "The replication account", Flags: []string{"replication-"}},
			{Heading: "Archive storage classes", Flags: []string{"thaw-"}},
		},
		Inherited: "The flags of every command (--repo, --key, --kit, --json, those of buckets, …): nightjar --help",
	}
}

// helpWidth is how many columns help takes at most, and where there is no terminal.
const helpWidth = 100

// widthOf returns how many columns help takes there.
func widthOf(to *os.File) int {
	return min(helpWidth, cmp.Or(app.Columns(to), helpWidth))
}

// explain gives every command its help.
func explain(a *app.App, root *cobra.Command) {
	write := func(c *cobra.Command) error { return guide().Write(c.OutOrStdout(), c, widthOf(a.Out)) }
	root.SetUsageFunc(write)
	root.SetHelpFunc(func(c *cobra.Command, _ []string) { _ = write(c) }) // cobra has no place for an error
	_ = help.Commands(root, func(c *cobra.Command) error {
		if text, ok := examples[strings.TrimPrefix(c.CommandPath(), root.Name()+" ")]; ok && c.Example == "" {
			c.Example = indented(text)
		}
		return nil
	})
}

// indented returns the lines of a text, as they stand in a source file, with an indent.
func indented(text string) string {
	var lines []string
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		lines = append(lines, "  "+strings.TrimSpace(line))
	}
	return strings.Join(lines, "\n")
}

// manSections end the page of the program itself.
var manSections = [][2]string{
	{"EXIT STATUS", `  0    done
  1    failed; nothing was committed
  2    wrong usage
  3    an archive was made, or restored, but with problems
  4    content lies in an archive storage class, and is not there yet
  10   no repository there, or not what it takes to open it
  11   wrong or missing key or passphrase
  12   signature or integrity failure
  130  interrupted`},
	{"ENVIRONMENT", `NIGHTJAR_CONFIG, NIGHTJAR_REPO, NIGHTJAR_STATE_DIR, NIGHTJAR_CACHE_DIR, NIGHTJAR_CACHE_LIMIT and TMPDIR stand for the options of those names. PASSPHRASE protects a recovery key, SIGN_PASSPHRASE,
or else PASSPHRASE, the host key. Credentials of buckets are found as the AWS tools find them.`},
	{"FILES", `  /etc/nightjar/nightjar.toml  the job file
  /var/lib/nightjar            keys of this host, state, recovery kits
  /var/cache/nightjar          a cache: may be deleted at any time
  /usr/share/doc/nightjar      the documentation, of the package

Of a user who is not root: ~/.config/nightjar/nightjar.toml, ~/.local/state/nightjar and ~/.cache/nightjar.`},
}

func manCommand(a *app.App) *cobra.Command {
	return app.Uses(&cobra.Command{
		Use:    "man DIR",
		Short:  "Write the manual pages into a folder",
		Long:   "Write the manual pages into a folder, which is made if it is missing. They are dated by SOURCE_DATE_EPOCH, in seconds since 1970, if it is set.",
		Hidden: true,
		Args:   usage.OneArgument("folder"),
		RunE: func(_ *cobra.Command, args []string) error {
			date := a.Now()
			if text := a.Getenv("SOURCE_DATE_EPOCH"); text != "" {
				seconds, err := strconv.ParseInt(text, 10, 64)
				if err != nil {
					return usage.Errorf("SOURCE_DATE_EPOCH %q: seconds since 1970 wanted", text)
				}
				date = time.Unix(seconds, 0)
			}
			return writeManual(args[0], date)
		},
	}, app.FileNone)
}

// writeManual writes the pages of all commands, as they are for root with nothing in the environment.
func writeManual(dir string, date time.Time) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make folder for manual pages: %w", err)
	}
	state, cache := defaultFolders(true)
	plain := &app.App{Settings: session.Settings{StateDir: state, CacheDir: cache}}
	manual := help.Manual{Guide: guide(), Date: date, Version: app.Version(), More: manSections}
	return help.Commands(commandTree(plain), func(c *cobra.Command) error {
		if c.Flags().Lookup("help") == nil {
			c.InitDefaultHelpFlag()
		}
		var page bytes.Buffer
		err := manual.Write(&page, c)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, help.Name(c)+".1"), page.Bytes(), 0o644)
		}
		if err != nil {
			return fmt.Errorf("write manual page of %s: %w", c.CommandPath(), err)
		}
		return nil
	})
}
