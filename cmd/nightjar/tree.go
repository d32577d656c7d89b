package main

import (
	"cmp"
	"context"
	"slices"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/place"
	"nightjar/cmd/nightjar/internal/usage"
)

// run runs one command line and returns the exit code.
func run(ctx context.Context, a *app, args []string) int {
	root := a.command()
	root.SetArgs(args)
	help := &helpWriter{to: a.stdout}
	root.SetOut(help)
	root.SetErr(a.stderr)
	ran, err := root.ExecuteContextC(ctx)
	if err = cmp.Or(err, help.err); err == nil {
		return outcome.Done
	}
	if readerGone(err) && (err == help.err || slices.Contains(printers, ran.Name())) {
		return outcome.Unread
	}
	code := outcome.Code(ctx, err)
	if err.Error() == "" { // all was told
		return code
	}
	switch code {
	case outcome.Interrupted:
		a.say("error", "interrupted")
		return code
	case outcome.WithProblems:
		a.say("warning", err.Error())
	default:
		a.say("error", err.Error())
	}
	if hint := outcome.Hint(err, ran.CommandPath()); hint != "" {
		a.say("hint", hint)
	}
	return code
}

// command returns all commands, with their help and what completes them in a shell. cobra never forgets the latter's flags, nor what their values are in.
func (a *app) command() *cobra.Command {
	root := a.bareCommand()
	a.explain(root)
	a.complete(root)
	return root
}

// bareCommand is command for a caller who only wants command lines to be read, and that of many: of some commands, or of all.
func (a *app) bareCommand(only ...string) *cobra.Command {
	root := &cobra.Command{
		Use:           "nightjar",
		Short:         "Encrypted, signed, incremental backups",
		SilenceErrors: true, SilenceUsage: true,
		Args:              noSubcommand,
		PersistentPreRunE: func(c *cobra.Command, _ []string) error { return a.prepare(c) },
		RunE: func(c *cobra.Command, _ []string) error {
			return usage.Errorf("no command given")
		},
	}
	root.SetFlagErrorFunc(wrongFlag)
	f := root.PersistentFlags()
	f.StringVar(&a.config, "config", a.config, "the job `FILE`, or none (NIGHTJAR_CONFIG; default: "+systemFile+", for others than root also ~/.config/nightjar/nightjar.toml)")
	f.StringVar(&a.Repo, "repo", a.Repo, "the repository: "+place.Forms()+" (NIGHTJAR_REPO)")
	f.StringVar(&a.CacheDir, "cache-dir", a.CacheDir, "folder that may be deleted at any time (NIGHTJAR_CACHE_DIR)")
	f.StringVar(&a.StateDir, "state-dir", a.StateDir, "folder of the host key and what is remembered of repositories (NIGHTJAR_STATE_DIR)")
	f.StringVar(&a.TempDir, "tempdir", a.TempDir, "folder for scratch files (TMPDIR)")
	f.StringVar(&a.Key, "key", "", "a recovery key: a file, the recovery kit, or a fingerprint in your GnuPG keyring")
	f.StringVar(&a.Kit, "kit", "", "the recovery kit: says which repository to believe")
	f.StringVar(&a.Root, "root", "", "fingerprint of the root key to believe")
	f.StringVar(&a.PassphraseFile, "passphrase-file", "", "file whose first line is the passphrase")
	f.StringVar(&a.PassphraseCommand, "passphrase-command", "", "shell command that prints the passphrase")
	f.BoolVar(&a.json, "json", false, "print results as JSON")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "say nothing unless something is wrong")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "say more, and print statistics without a terminal too")
	f.IntVar(&a.Connections, "connections", 0, "objects sent or read at the same time (default: 4)")
	a.Bucket.Flags(root)
	for name, make := range commands() {
		if len(only) == 0 || slices.Contains(only, name) {
			root.AddCommand(make(a))
		}
	}
	for _, c := range root.Commands() {
		c.SuggestFor = commandsElsewhere[c.Name()]
	}
	return root
}

// commands returns what makes each command below nightjar, by its name.
func commands() map[string]func(*app) *cobra.Command {
	return map[string]func(*app) *cobra.Command{
		"backup": (*app).backupCommand, "restore": (*app).restoreCommand, "list": (*app).listCommand, "ls": (*app).lsCommand, "cat": (*app).catCommand,
		"find": (*app).findCommand, "stats": (*app).statsCommand, "salvage": (*app).salvageCommand,

		"init": (*app).initCommand, "check": (*app).checkCommand, "copy": (*app).copyCommand, "forget": (*app).forgetCommand, "remove-older-than": (*app).removeOlderCommand,
		"remove-all-but-n-full": (*app).removeAllButCommand, "prune": (*app).pruneCommand, "index": (*app).indexCommand, "cache": (*app).cacheCommand,

		"run": (*app).runCommand, "schedule": (*app).scheduleCommand,
		"status": (*app).statusCommand, "metrics": (*app).metricsCommand, "report": (*app).reportCommand,
		"key": (*app).keyCommand, "drill": (*app).drillCommand, "mysql": (*app).mysqlCommand, "ebs": (*app).ebsCommand,
		"config":  func(a *app) *cobra.Command { return a.configCommand((*app).bareCommand) },
		"version": (*app).versionCommand, "completion": (*app).completionCommand, "man": (*app).manCommand,
	}
}

// commandsElsewhere is what other backup tools call our commands.
var commandsElsewhere = map[string][]string{
	"backup":  {"full", "incremental", "incr", "create"},
	"cache":   {"cleanup"},
	"cat":     {"dump"},
	"check":   {"verify", "repair"},
	"copy":    {"sync", "mirror"},
	"forget":  {"delete"},
	"index":   {"rebuild-index"},
	"list":    {"snapshots", "archives", "collection-status"},
	"ls":      {"list-current-files"},
	"prune":   {"compact", "gc"},
	"restore": {"extract", "fetch"},
	"stats":   {"info"},
}
