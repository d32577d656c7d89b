package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"nightjar/backup/restore"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/place"
	"nightjar/cmd/nightjar/internal/progress"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/crypto"
	"nightjar/internal/quote"
	"nightjar/job/jobfile"
	"nightjar/repo"
)

// app is one run of the program.
type app struct {
	session.Settings
	root                 bool // the user is root
	json, quiet, verbose bool
	config               string   // the job file that is named; none: there is to be none; empty: the usual one
	usual                []string // where it is looked for
	file                 *jobfile.File
	fileFlags            map[string]bool // flags whose values are the file's
	stdin                *os.File
	stdout, stderr       *os.File
	messages             struct {
		sync.Mutex
		to io.Writer // a running progress line's, or nil: stderr
	}
	problems atomic.Uint64
	damaged  atomic.Bool // one of them is a question of integrity
}

// run runs one command line and returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
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
	for name, make := range a.commands() {
		if len(only) == 0 || slices.Contains(only, name) {
			root.AddCommand(make())
		}
	}
	for _, c := range root.Commands() {
		c.SuggestFor = commandsElsewhere[c.Name()]
	}
	return root
}

// commands returns what makes each command below nightjar, by its name.
func (a *app) commands() map[string]func() *cobra.Command {
	fileless := func(make func() *cobra.Command) func() *cobra.Command {
		return func() *cobra.Command { return uses(make(), fileNone) }
	}
	return map[string]func() *cobra.Command{
		"init": a.initCommand, "backup": a.backupCommand, "restore": a.restoreCommand, "list": a.listCommand, "ls": a.lsCommand, "cat": a.catCommand, "find": a.findCommand,
		"stats": a.statsCommand, "check": a.checkCommand, "salvage": a.salvageCommand, "copy": a.copyCommand, "forget": a.forgetCommand, "remove-older-than": a.removeOlderCommand,
		"remove-all-but-n-full": a.removeAllButCommand, "prune": a.pruneCommand, "run": a.runCommand, "schedule": a.scheduleCommand, "index": a.indexCommand, "key": a.keyCommand,
		"cache": a.cacheCommand, "config": a.configCommand, "drill": a.drillCommand, "mysql": a.mysqlCommand, "ebs": a.ebsCommand, "version": fileless(a.versionCommand),
		"completion": fileless(a.completionCommand), "man": fileless(a.manCommand), "status": a.statusCommand, "metrics": a.metricsCommand, "report": a.reportCommand,
	}
}

// say prints one line on standard error, harmless on a terminal whatever text is.
func (a *app) say(kind, text string) {
	text = strings.ReplaceAll(strings.TrimSpace(text), "\n", "; ")
	a.messages.Lock()
	defer a.messages.Unlock()
	to := a.messages.to
	if to == nil {
		to = a.stderr
	}
	fmt.Fprintf(to, "nightjar: %s: %s\n", kind, quote.Display(text))
}

// warn tells of what is wrong but stops nothing.
func (a *app) warn(err error) { a.say("warning", err.Error()) }

// problem tells of what is wrong with one path, and makes the exit code 3. It may be called from any goroutine.
func (a *app) problem(path string, err error) {
	a.problems.Add(1)
	if errors.Is(err, crypto.ErrIntegrity) || errors.Is(err, restore.ErrVerify) {
		a.damaged.Store(true)
	}
	a.say("warning", path+": "+err.Error())
}

// note tells what a person should know, unless they asked for quiet.
func (a *app) note(format string, args ...any) {
	if !a.quiet {
		a.say("note", fmt.Sprintf(format, args...))
	}
}

// chatty says whether results that nobody asked for are printed: to a person, never to cron.
func (a *app) chatty() bool {
	return !a.quiet && (a.verbose || isTerminal(a.stdout))
}

// watched reports whether a person sees progress.
func (a *app) watched() bool { return !a.quiet && !a.json && isTerminal(a.stderr) }

// follow draws a progress line until the function that it returns is called, if somebody watches.
func (a *app) follow(m progress.Meter) (stop func()) {
	if !a.watched() {
		return func() {}
	}
	above, end := progress.Draw(a.stderr, m)
	direct := func(to io.Writer) {
		a.messages.Lock()
		defer a.messages.Unlock()
		a.messages.to = to
	}
	direct(above)
	return func() {
		direct(nil)
		end()
	}
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// print writes to standard output, and fails when that fails.
func (a *app) print(f func(w io.Writer)) error {
	w := bufio.NewWriter(a.stdout)
	f(w)
	return flush(w)
}

func flush(w *bufio.Writer) error {
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write to standard output: %w", err)
	}
	return nil
}

// madeUntold is err, the failure to tell of an archive that was made: whoever reads no more must not take it for no archive.
func madeUntold(made *repo.Archive, err error) error {
	if err == nil {
		return nil
	}
	return outcome.Problems{What: fmt.Sprintf("archive %s was made, but not told of: %v", made.ID, err)}
}

// result prints one line of a result at once: above a running progress line, if both go to the terminal.
func (a *app) result(line string) error {
	a.messages.Lock()
	defer a.messages.Unlock()
	var to io.Writer = a.stdout
	if a.messages.to != nil && isTerminal(a.stdout) {
		to = a.messages.to
	}
	if _, err := fmt.Fprintln(to, line); err != nil {
		return fmt.Errorf("write to standard output: %w", err)
	}
	return nil
}

func encodeJSON(v any) ([]byte, error) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode result: %w", err)
	}
	return b, nil
}

func (a *app) printJSON(v any) error {
	b, err := encodeJSON(v)
	if err != nil {
		return err
	}
	return a.print(func(w io.Writer) { fmt.Fprintf(w, "%s\n", b) })
}
