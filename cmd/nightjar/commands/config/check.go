package config

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/commands/upkeep"
	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/place"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/quote"
	"nightjar/job"
	"nightjar/job/jobfile"
)

func checkCommand(a *app.App, tree func(a *app.App, only ...string) *cobra.Command) *cobra.Command {
	connect := false
	c := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Tell all that is wrong with the job file",
		Long: `Tell all that is wrong with the job file, each with its line: keys that are unknown, values that cannot be, what is missing, and what the command of a job would
refuse. Warn of what is hardly meant: paths that are not there, archives that nobody gives up. Nothing is run, and nothing is asked but with --connect: the repository, the places of
copies, and each database server, of which is told what nightjar mysql check finds; and whether jobs of EBS have a region, and credentials that EC2 takes.

Exit code 2 if something is wrong; with --connect that of what went wrong there.`,
		Args: usage.AtMostOne,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				a.Config = args[0]
			}
			return runCheck(a, c, tree, connect)
		},
	}
	c.Flags().BoolVar(&connect, "connect", false, "open the repository and the places of copies, and check the database servers, too")
	return c
}

// A checkedFile is all that is to be said of a job file.
type checkedFile struct {
	File     string      `json:"file"`
	Jobs     int         `json:"jobs"`
	Faults   []faultJSON `json:"faults"`
	Warnings []faultJSON `json:"warnings"`
}

type faultJSON struct {
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Key    string `json:"key,omitempty"`
	Job    string `json:"job,omitempty"`
	What   string `json:"what"`
	text   string
}

func told(faults []jobfile.Fault) []faultJSON {
	all := []faultJSON{}
	for _, f := range faults {
		all = append(all, faultJSON{f.Line, f.Column, f.Key, f.Job, f.What, f.String()})
	}
	return all
}

func runCheck(a *app.App, c *cobra.Command, tree func(a *app.App, only ...string) *cobra.Command, connect bool) error {
	a.WarnOfZone()
	var err error
	a.File, err = a.ReadFile()
	var faults *jobfile.Faults
	if err != nil && !errors.As(err, &faults) {
		return app.WithoutFile(err)
	}
	f, err := a.JobFile()
	if err != nil {
		return err
	}
	if faults == nil {
		faults = &jobfile.Faults{Path: f.Path}
	}
	if !faults.General() {
		if err := a.UseFile(c, f); err != nil {
			return app.WithoutFile(err)
		}
		faults.All = append(faults.All, LookAtJobs(c.Context(), a, tree, f, faults.All)...)
	}
	faults.Sort()
	var doubts []jobfile.Fault
	if len(faults.All) == 0 {
		doubts = append(f.Doubts(), missingPaths(a, f)...)
	}
	var found []jobfile.Fault // on servers
	if connect && len(faults.All) == 0 {
		var warnings []jobfile.Fault
		if found, warnings, err = askServers(c.Context(), a, f); err != nil {
			return err
		}
		faults.All, doubts = append(faults.All, found...), append(doubts, warnings...)
		faults.Sort()
	}
	v := checkedFile{f.Path, len(f.Jobs()), told(faults.All), told(doubts)}
	if err := printChecked(a, &v); err != nil {
		return err
	}
	switch {
	case len(v.Faults) > len(found):
		return usage.Hinted{Err: usage.Errorf("job file %s: faults: %d", f.Path, len(v.Faults)), Hint: "doc/job-file.md has all keys with examples"}
	case connect:
		return errors.Join(connectAll(c.Context(), a, f), serversWrong(found))
	}
	return nil
}

func printChecked(a *app.App, v *checkedFile) error {
	if a.JSON {
		return a.PrintJSON(v)
	}
	err := a.Print(func(w io.Writer) {
		for _, x := range v.Faults {
			fmt.Fprintf(w, "%s: %s\n", quote.Display(v.File), quote.Display(x.text))
		}
	})
	for _, x := range v.Warnings {
		a.Warn(fmt.Errorf("%s: %s", v.File, x.text))
	}
	if len(v.Faults) == 0 {
		a.Note("%s is good; jobs: %d", quote.Display(v.File), v.Jobs)
	}
	return err
}

// LookAtJobs has each job's command look at its command line, and tells what it would refuse. Jobs that are known to be wrong are left out.
func LookAtJobs(ctx context.Context, a *app.App, tree func(a *app.App, only ...string) *cobra.Command, f *jobfile.File, known []jobfile.Fault) (found []jobfile.Fault) {
	if err := LookAt(ctx, a, tree, f, []string{"list"}); err != nil {
		key := f.KeyOf(flagIn(err, nil))
		return []jobfile.Fault{{Position: f.At(key...), Key: strings.Join(key, "."), What: err.Error()}}
	}
	wrong := map[string]bool{}
	for _, x := range known {
		wrong[x.Job] = true
	}
	for _, j := range f.Jobs() {
		if wrong[j.Name] {
			continue
		}
		lines := [][]string{job.Command(j)}
		if i := slices.Index(lines[0], "--"); j.Kind == "ebs" && i >= 0 { // of another command, which it hands over
			lines = append(lines, append([]string{"ebs", "take"}, lines[0][i+1:]...))
		}
		if j.Keep != nil && len(job.Flags(j.Keep)) > 0 {
			lines = append(lines, append([]string{"forget"}, job.Flags(j.Keep)...))
		}
		for _, line := range lines {
			found = append(found, lookAtLine(ctx, a, tree, f, j, line)...)
		}
	}
	return found
}

// lookAtLine tells all that a command refuses of one line: what was told is left out of the line, so that it comes to the next.
func lookAtLine(ctx context.Context, a *app.App, tree func(a *app.App, only ...string) *cobra.Command, f *jobfile.File, j jobfile.Job, line []string) (found []jobfile.Fault) {
	for {
		err := LookAt(ctx, a, tree, f, line)
		if err == nil {
			return found
		}
		flag := flagIn(err, line)
		key := j.KeyOf(flag)
		if key == nil {
			key = []string{j.Kind, j.Name}
		}
		found = append(found, jobfile.Fault{Position: f.At(key...), Key: strings.Join(key, "."), Job: j.Name, What: err.Error()})
		if flag == "" {
			return found
		}
		rest := slices.DeleteFunc(slices.Clone(line), func(arg string) bool { return arg == "--"+flag || strings.HasPrefix(arg, "--"+flag+"=") })
		if len(rest) == len(line) {
			return found
		}
		line = rest
	}
}

var flagName = regexp.MustCompile(`--([a-z][a-z0-9-]*[a-z0-9])`)

// flagIn returns the flag that an error speaks of; of several, the first that is in a line.
func flagIn(err error, line []string) string {
	all := flagName.FindAllStringSubmatch(err.Error(), -1)
	for _, m := range all {
		if slices.ContainsFunc(line, func(arg string) bool { return arg == m[0] || strings.HasPrefix(arg, m[0]+"=") }) {
			return m[1]
		}
	}
	if len(all) > 0 {
		return all[0][1]
	}
	if strings.HasPrefix(err.Error(), "label ") {
		return "label"
	}
	return ""
}

// LookAt has a command do what it does before anything is opened, with what the file says for all commands.
func LookAt(ctx context.Context, a *app.App, tree func(a *app.App, only ...string) *cobra.Command, f *jobfile.File, args []string) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	b := &app.App{Settings: a.Settings, IsRoot: a.IsRoot, In: null, Out: null, Err: null, Quiet: true}
	b.CheckOnly, b.Warn, b.Stderr = true, func(error) {}, io.Discard
	root := tree(b, args[0])
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		if err := b.UseFile(c, f); err != nil {
			return err
		}
		return usage.NoneEmpty(c)
	}
	root.SetArgs(args)
	root.SetOut(null)
	root.SetErr(null)
	if err := root.ExecuteContext(ctx); err != nil && !errors.Is(err, session.ErrChecked) {
		return err
	}
	return nil
}

// missingPaths tells of what the file names on this machine and is not there.
func missingPaths(a *app.App, f *jobfile.File) (doubts []jobfile.Fault) {
	look := func(path, what string, key ...string) {
		if path == "" || !filepath.IsAbs(path) {
			return
		}
		if _, err := os.Lstat(path); err != nil {
			x := jobfile.Fault{Position: f.At(key...), Key: strings.Join(key, "."), What: fmt.Sprintf("%s %s: %v", what, path, errors.Unwrap(err))}
			if len(key) > 2 {
				x.Job = key[1]
			}
			doubts = append(doubts, x)
		}
	}
	if a.Repo == "" {
		doubts = append(doubts, jobfile.Fault{What: "no repository is named: url in [repository] does that"})
	} else if at, err := place.Parse(a.Repo); err == nil && a.FileFlags["repo"] {
		look(place.Folder(at), "the repository", "repository", "url")
	}
	look(f.Folders.Temp, "folder", "folders", "temp")
	look(f.Keys.PassphraseFile, "file", "keys", "passphrase-file")
	look(f.Keys.Kit, "file", "keys", "kit")
	look(filepath.Dir(f.Metrics.Textfile), "folder", "metrics", "textfile")
	for name, j := range f.Files {
		for _, p := range j.Paths {
			look(p, "path", "files", name, "paths")
		}
	}
	for name, j := range f.MySQLHot {
		look(j.CloneDir, "folder", "mysql-hot", name, "clone-dir")
		look(j.Datadir, "folder", "mysql-hot", name, "datadir")
	}
	for name, j := range f.Binlog {
		look(j.FromDir, "folder", "binlog", name, "from-dir")
	}
	for name, j := range f.Drill {
		look(j.Scratch, "folder", "drill", name, "scratch")
	}
	for _, j := range f.Jobs() {
		for key, list := range map[string][]any{"before": j.Hooks.Before, "after": j.Hooks.After, "failure": j.Hooks.Failure} {
			hooks, _ := jobfile.HooksOf(list)
			for _, h := range hooks {
				if len(h.Command) > 0 {
					look(h.Command[0], "program", j.Kind, j.Name, "hooks", key)
				}
			}
		}
	}
	slices.SortStableFunc(doubts, func(x, y jobfile.Fault) int { return x.Line - y.Line })
	return doubts
}

// connectAll opens the repository, and the places of copies.
func connectAll(ctx context.Context, a *app.App, f *jobfile.File) error {
	s, err := a.Open(ctx, session.ReadIfAble)
	if err != nil {
		return err
	}
	s.Close()
	var failed error
	for _, j := range f.Jobs() {
		if j.Kind != "copy" {
			continue
		}
		if err := tryCopy(ctx, a, job.Command(j)); err != nil && !f.Copy[j.Name].Create {
			failed = errors.Join(failed, fmt.Errorf("job %s: %w", j.Name, err))
		}
	}
	if failed == nil {
		a.Note("the repository and the places of copies answer")
	}
	return failed
}

// tryCopy opens the place that a command line of nightjar copy names.
func tryCopy(ctx context.Context, a *app.App, line []string) error {
	var f upkeep.CopyFlags
	c := new(cobra.Command)
	f.Bind(c)
	if err := c.ParseFlags(line[1:]); err != nil {
		return err
	}
	d, err := a.OpenCopy(ctx, f.To, f.Bucket, false)
	if err != nil {
		return err
	}
	d.Close()
	return nil
}
