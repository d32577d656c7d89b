package main

import (
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nightjar/backup/browse"
	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/choice"
	"nightjar/cmd/nightjar/internal/completion"
	"nightjar/cmd/nightjar/internal/dumpfiles"
	"nightjar/cmd/nightjar/internal/help"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/cmd/nightjar/internal/volumes"
	"nightjar/internal/human"
	"nightjar/internal/quote"
	"nightjar/repo"
	"nightjar/repo/record"
	"nightjar/repo/tree"
)

// completionTime is how long whoever presses the key waits at most.
var completionTime = 2 * time.Second

// mostOffered bounds what is offered: nobody reads more.
const mostOffered = 2000

func completionCommand(a *app.App) *cobra.Command {
	shells := completion.Shells
	return app.Uses(&cobra.Command{
		Use:   "completion SHELL",
		Short: "Print what has a shell complete command lines: bash, zsh or fish",
		Long: `Print what has a shell complete command lines: bash (with the package bash-completion), zsh or fish. It completes commands, flags, their values, and archives and paths in
them: of a repository that this machine knows, for two seconds at most, and without asking for a passphrase.`,
		ValidArgs: shells,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 || !slices.Contains(shells, args[0]) {
				return usage.Errorf("say one shell: %s", strings.Join(shells, ", "))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if _, err := io.WriteString(a.Out, completion.Script(args[0])); err != nil {
				return fmt.Errorf("write to standard output: %w", err)
			}
			return nil
		},
	}, app.FileNone)
}

// flagValues are those that flags take, by their names without to- or from-.
var flagValues = map[string][]string{
	"accounts":         {"leave", "replace", "skip"}, // of mysql dump it is a switch, which takes none
	"broken":           {"fail", "skip"},
	"compression":      {"fastest", "default", "better"},
	"events":           {"keep", "disable", "skip"},
	"existing":         {"refuse", "if-changed", "missing", "replace"},
	"for":              {"dump", "hot", "binlog", "replica"},
	"kind":             {string(record.Files), string(record.Stream), dumpfiles.Kind, dumpfiles.Hot, dumpfiles.Binlog, string(volumes.Kind)},
	"lock":             {"auto", "none"},
	"object-lock-mode": {"governance", "compliance"},
	"overwrite":        {"never", "always", "if-changed", "if-newer"},
	"require":          {"crash", "filesystem", "application"},
	"role":             {"backup", "prune"},
	"server-lacks":     {"conditions", "checksums", "nothing"},
	"sse":              {"AES256", "aws:kms", "aws:kms:dsse"},
	"ssl-mode":         {"DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"},
	"storage-class":    {"content=", "metadata=", "index=", "archive=", "other="},
	"thaw-tier":        {"bulk", "standard", "expedited"},
}

// folderFlags and FileFlags take what is on this machine; no other flag does.
var (
	folderFlags = []string{"cache-dir", "state-dir", "tempdir", "target", "datadir", "binlog-dir", "clone-dir", "mount-at", "scratch", "source"}
	fileFlags   = []string{"config", "key", "kit", "kit-file", "repo", "to", "from", "copy-to", "certificate", "new-key", "sign-key", "encrypt-key", "exclude-from", "gtids", "tool", "mysqld"}
)

// completeArchives are the commands whose first argument is an archive, and whether a path in it may follow.
var completeArchives = map[string]bool{
	"restore": true, "ls": true, "cat": true, "forget": false, "drill": false, "mysql restore": false, "mysql replica": false, "mysql binlog show": false, "ebs unarchive": false,
}

// completeJobs are the commands whose arguments are jobs.
var completeJobs = []string{"run"}

// complete tells the shell's completion what commands and flags take.
func complete(a *app.App, root *cobra.Command) {
	_ = help.Commands(root, func(c *cobra.Command) error {
		name := strings.TrimPrefix(c.CommandPath(), root.Name()+" ")
		if paths, ok := completeArchives[name]; ok {
			c.ValidArgsFunction = func(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
				if len(args) > 0 && c.Name() != "forget" {
					return nil, cobra.ShellCompDirectiveNoFileComp
				}
				return offerArchives(a, c, word, paths)
			}
		} else if slices.Contains(completeJobs, name) {
			c.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
				return offerJobs(a, args)
			}
		} else if c.ValidArgs == nil && !slices.Contains([]string{"backup", "key add-recovery", "config check"}, name) {
			c.ValidArgsFunction = cobra.NoFileCompletions
		}
		complete := func(f *pflag.Flag) { _ = c.RegisterFlagCompletionFunc(f.Name, flagCompletion(a, f)) } // fails if it is there already
		c.PersistentFlags().VisitAll(complete)
		c.LocalNonPersistentFlags().VisitAll(complete)
		return nil
	})
}

// flagCompletion returns what completes a flag's value.
func flagCompletion(a *app.App, f *pflag.Flag) cobra.CompletionFunc {
	_, bare, other := strings.Cut(f.Name, "-")
	name := f.Name
	if other && (strings.HasPrefix(name, "to-") || strings.HasPrefix(name, "from-")) {
		name = bare
	}
	within := func(names []string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return n == name || strings.HasSuffix(name, "-"+n) })
	}
	switch values, fixed := flagValues[name]; {
	case fixed:
		directive := cobra.ShellCompDirectiveNoFileComp
		if strings.HasSuffix(values[0], "=") {
			directive |= cobra.ShellCompDirectiveNoSpace
		}
		return cobra.FixedCompletions(values, directive)
	case strings.HasSuffix(name, "ssl-mode"):
		return cobra.FixedCompletions(flagValues["ssl-mode"], cobra.ShellCompDirectiveNoFileComp)
	case name == "archive", name == "parent", name == "binlog":
		return func(c *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
			return offerArchives(a, c, word, false)
		}
	case name == "job":
		return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			return offerJobs(a, args)
		}
	case within(folderFlags):
		return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		}
	case within(fileFlags), strings.HasSuffix(name, "-file"), strings.HasPrefix(name, "ssl-"), strings.Contains(name, "-ssl-"), strings.HasPrefix(name, "sftp-"):
		return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault
		}
	}
	return cobra.NoFileCompletions
}

// jobNames returns the names of the jobs of the job file.
func jobNames(a *app.App) (names []string) {
	f, _ := a.ReadFile() // of a file with faults it is what could be read
	if f == nil {
		return nil
	}
	for _, j := range f.Jobs() {
		names = append(names, j.Name)
	}
	return names
}

// offerJobs completes arguments that are names of jobs.
func offerJobs(a *app.App, args []string) ([]string, cobra.ShellCompDirective) {
	left := slices.DeleteFunc(jobNames(a), func(name string) bool { return slices.Contains(args, name) })
	return left, cobra.ShellCompDirectiveNoFileComp
}

// offerArchives returns the archives, or the paths in one, that a word may become; nothing where it would take a question, a key that is named, or too long.
func offerArchives(a *app.App, c *cobra.Command, word string, paths bool) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(c.Context(), completionTime)
	defer cancel()
	if a.Prepare(c) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	silent := &app.App{Settings: a.Settings, Quiet: true, IsRoot: a.IsRoot, In: a.In, Out: a.Out, Err: a.Err}
	silent.Warn = func(error) {}
	silent.Unattended, silent.Key, silent.PassphraseFile, silent.PassphraseCommand = true, "", "", ""
	type offer struct {
		words     []string
		directive cobra.ShellCompDirective
	}
	done := make(chan offer, 1)
	go func() {
		name, at, inside := strings.Cut(word, ":")
		if inside && paths {
			found, directive := pathsIn(ctx, silent, c, name, at), cobra.ShellCompDirectiveNoFileComp
			if len(found) != 1 || strings.HasSuffix(found[0], "/") {
				directive |= cobra.ShellCompDirectiveNoSpace
			}
			done <- offer{found, directive}
			return
		}
		done <- offer{archivesLike(ctx, silent, c, word), cobra.ShellCompDirectiveNoFileComp}
	}()
	select {
	case o := <-done:
		return o.words, o.directive
	case <-ctx.Done(): // something does not heed its context
		return []string{choice.Latest}, cobra.ShellCompDirectiveNoFileComp
	}
}

// chosenBy returns what the flags of a command line so far choose among archives.
func chosenBy(c *cobra.Command) *choice.Choice {
	var chosen choice.Choice
	for name, to := range map[string]*string{"host": &chosen.Host, "job": &chosen.Job, "at": &chosen.UpTo} {
		if f := c.Flags().Lookup(name); f != nil {
			*to = f.Value.String()
		}
	}
	if f := c.Flags().Lookup("kind"); f != nil {
		if all, ok := f.Value.(pflag.SliceValue); ok {
			chosen.Kinds = all.GetSlice()
		}
	}
	return &chosen
}

// archivesLike returns the archives whose ids begin so, the newest first, each with what it is.
func archivesLike(ctx context.Context, a *app.App, c *cobra.Command, prefix string) (words []string) {
	if strings.HasPrefix(choice.Latest, prefix) && c.Name() != "forget" {
		words = append(words, cobra.CompletionWithDesc(choice.Latest, "the newest"))
	}
	s, err := a.Open(ctx, session.ReadMetadata)
	if err != nil {
		return words
	}
	defer s.Close()
	for _, x := range offered(ctx, a, s, chosenBy(c)) {
		if strings.HasPrefix(x.ID, prefix) && len(words) < mostOffered {
			about := fmt.Sprintf("%s %s %s", human.Time(x.Time), quote.Display(x.Host), show.Source(&x))
			words = append(words, cobra.CompletionWithDesc(show.ShortID(&x), about))
		}
	}
	return words
}

// offered returns the archives that are chosen, the newest first: where they cannot all be read in time, those that this machine has read before.
func offered(ctx context.Context, a *app.App, s *session.Session, chosen *choice.Choice) []repo.Archive {
	if chosen.Check(a.Now()) != nil {
		return nil
	}
	roll, err := s.Repository.Roll(ctx)
	if err != nil {
		return nil
	}
	all, err := roll.Archives(ctx, chosen.Host, func(string, error) {})
	if err != nil {
		for x := range roll.Remembered(chosen.Host) {
			if all = append(all, *x); len(all) == mostOffered {
				break
			}
		}
	}
	all = chosen.Select(all)
	if len(chosen.Kinds) == 0 { // records of runs and drills, of which there are more, hold nothing
		all = choice.Only(all, func(x *repo.Archive) bool { return !choice.IsRecord(x) })
	}
	slices.SortStableFunc(all, func(x, y repo.Archive) int { return y.Time.Compare(x.Time) })
	return all
}

// pathsIn returns what lies in an archive and begins so; of latest also what any archive is of. Names that a terminal cannot show as they are are left out.
func pathsIn(ctx context.Context, a *app.App, c *cobra.Command, name, at string) (words []string) {
	s, err := a.Open(ctx, session.ReadMetadata)
	if err != nil {
		return nil
	}
	defer s.Close()
	at = "/" + strings.TrimPrefix(at, "/")
	dir, _ := path.Split(at)
	add := func(found string) {
		if strings.HasPrefix(found, at) && found != at && quote.Display(found) == found && len(words) < mostOffered {
			words = append(words, name+":"+found)
		}
	}
	all := offered(ctx, a, s, chosenBy(c))
	if name == choice.Latest {
		for i := range all {
			for _, p := range all[i].Paths {
				add(strings.TrimSuffix(string(p), "/") + "/")
			}
		}
		all = choice.Only(all, func(x *repo.Archive) bool { return x.Kind == record.Files && choice.Saves(x, dir) })
		all = all[:min(1, len(all))]
	} else {
		all = choice.Only(all, func(x *repo.Archive) bool { return strings.HasPrefix(x.ID, name) })
	}
	if len(all) == 1 {
		if reader, err := s.NewReaderFor(ctx, &all[0]); err == nil {
			_ = browse.List(ctx, reader, &all[0], dir, false, func(found string, n *tree.Node) error {
				if n.IsDir() {
					found += "/"
				}
				add(found)
				return ctx.Err()
			})
		}
	}
	slices.Sort(words)
	return slices.Compact(words)
}
