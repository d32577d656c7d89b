package main

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/commands/config"
	"nightjar/cmd/nightjar/commands/drill"
	"nightjar/cmd/nightjar/commands/ebs"
	"nightjar/cmd/nightjar/commands/files"
	"nightjar/cmd/nightjar/commands/jobs"
	"nightjar/cmd/nightjar/commands/keys"
	"nightjar/cmd/nightjar/commands/monitor"
	"nightjar/cmd/nightjar/commands/mysql"
	"nightjar/cmd/nightjar/commands/upkeep"
	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/help"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/place"
	"nightjar/cmd/nightjar/internal/usage"
)

// run runs one command line and returns the exit code.
func run(ctx context.Context, a *app.App, args []string) int {
	root := commandTree(a)
	root.SetArgs(args)
	out := &helpWriter{to: a.Out}
	root.SetOut(out)
	root.SetErr(a.Err)
	ran, err := root.ExecuteContextC(ctx)
	if err = cmp.Or(err, out.err); err == nil {
		return outcome.Done
	}
	if readerGone(err) && (err == out.err || onlyPrints(ran)) {
		return outcome.Unread
	}
	if errors.Is(err, usage.ErrNoCommand) {
		_ = help.WriteCommands(a.Err, ran, widthOf(a.Err)) // nobody is left to be told
		return outcome.Usage
	}
	code := outcome.Code(ctx, err)
	if err.Error() == "" { // all was told
		return code
	}
	switch code {
	case outcome.Interrupted:
		a.Say("error", "interrupted")
		return code
	case outcome.WithProblems:
		a.Say("warning", err.Error())
	default:
		a.Say("error", err.Error())
	}
	hint := outcome.Hint(err, ran.CommandPath())
	if unprinted(err) {
		hint = "where standard output goes takes no more. What the command had done by then stays done"
	}
	if hint != "" {
		a.Say("hint", hint)
	}
	return code
}

// commandTree returns all commands, with their help and what completes them in a shell. cobra never forgets the latter's flags, nor what their values are in.
func commandTree(a *app.App) *cobra.Command {
	root := bareCommand(a)
	versionFlag(root)
	explain(a, root)
	complete(a, root)
	return root
}

// bareCommand is commandTree for a caller who only wants command lines to be read, and that of many: of some commands, or of all.
func bareCommand(a *app.App, only ...string) *cobra.Command {
	root := &cobra.Command{
		Use: "nightjar COMMAND", DisableFlagsInUseLine: true,
		Short:         "Encrypted, signed, incremental backups",
		SilenceErrors: true, SilenceUsage: true,
		Args:              usage.NoSubcommand,
		PersistentPreRunE: func(c *cobra.Command, _ []string) error { return a.Prepare(c) },
		RunE:              usage.NameCommand,
	}
	root.SetFlagErrorFunc(usage.WrongFlag)
	f := root.PersistentFlags()
	f.StringVar(&a.Config, "config", a.Config, "the job `FILE`, or none (NIGHTJAR_CONFIG; default: "+systemFile+", for others than root also ~/.config/nightjar/nightjar.toml)")
	f.StringVar(&a.Repo, "repo", a.Repo, "the repository: "+place.Forms()+" (NIGHTJAR_REPO)")
	f.StringVar(&a.CacheDir, "cache-dir", a.CacheDir, "folder that may be deleted at any time (NIGHTJAR_CACHE_DIR)")
	f.StringVar(&a.StateDir, "state-dir", a.StateDir, "folder of the host key and what is remembered of repositories (NIGHTJAR_STATE_DIR)")
	f.StringVar(&a.TempDir, "tempdir", a.TempDir, "folder for scratch files (TMPDIR)")
	f.StringVar(&a.Key, "key", "", "a recovery key: a file, the recovery kit, or a fingerprint in your GnuPG keyring")
	f.StringVar(&a.Kit, "kit", "", "the recovery kit: says which repository to believe")
	f.StringVar(&a.Root, "root", "", "fingerprint of the root key to believe")
	f.StringVar(&a.PassphraseFile, "passphrase-file", "", "file whose first line is the passphrase")
	f.StringVar(&a.PassphraseCommand, "passphrase-command", "", "shell command that prints the passphrase")
	f.BoolVar(&a.JSON, "json", false, "print results as JSON")
	f.BoolVarP(&a.Quiet, "quiet", "q", false, "say nothing unless something is wrong")
	f.BoolVarP(&a.Verbose, "verbose", "v", false, "say more, and print statistics without a terminal too")
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
func commands() map[string]func(*app.App) *cobra.Command {
	return map[string]func(*app.App) *cobra.Command{
		"backup": files.BackupCommand, "restore": files.RestoreCommand, "list": files.ListCommand, "ls": files.LsCommand, "cat": files.CatCommand,
		"find": files.FindCommand, "stats": files.StatsCommand, "salvage": files.SalvageCommand,

		"init": upkeep.InitCommand, "check": upkeep.CheckCommand, "copy": upkeep.CopyCommand, "forget": upkeep.ForgetCommand, "remove-older-than": upkeep.RemoveOlderCommand,
		"remove-all-but-n-full": upkeep.RemoveAllButCommand, "prune": upkeep.PruneCommand, "index": upkeep.IndexCommand, "cache": upkeep.CacheCommand,

		"run": jobs.RunCommand, "schedule": jobs.ScheduleCommand,
		"status": monitor.StatusCommand, "metrics": monitor.MetricsCommand, "report": monitor.ReportCommand,
		"key": keys.Command, "drill": drill.Command, "mysql": mysql.Command, "ebs": ebs.Command,
		"config":  func(a *app.App) *cobra.Command { return config.Command(a, bareCommand) },
		"version": versionCommand, "completion": completionCommand, "man": manCommand,
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
