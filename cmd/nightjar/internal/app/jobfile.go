package app

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/place"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/job"
	"nightjar/job/jobfile"
)

// What commands want of the job file, as an annotation. Without one they go by what is said for all commands, whatever is wrong with the jobs.
const (
	fileUse   = "job-file"
	FileNone  = "none"  // it is not even looked for
	fileWhole = "whole" // all of it has to be right
)

// Uses says what a command, and all below it, want of the job file.
func Uses(c *cobra.Command, what string) *cobra.Command {
	if c.Annotations == nil {
		c.Annotations = map[string]string{}
	}
	c.Annotations[fileUse] = what
	return c
}

func useOf(c *cobra.Command) string {
	for ; c != nil; c = c.Parent() {
		if use := c.Annotations[fileUse]; use != "" || c.Name() == "help" || c.Name() == "completion" || strings.HasPrefix(c.Name(), "__") {
			return cmp.Or(use, FileNone)
		}
	}
	return ""
}

// Prepare does what comes before every command: it looks at flags, and has the job file say what neither they nor the environment do.
func (a *App) Prepare(c *cobra.Command) error {
	if c.DisableFlagParsing && !c.Flags().Parsed() {
		return nil // it comes again
	}
	if err := usage.NoneEmpty(c); err != nil {
		return err
	}
	use := useOf(c)
	if use == FileNone {
		return nil
	}
	var err error
	a.File, err = a.ReadFile()
	var faults *jobfile.Faults
	switch {
	case err == nil:
	case errors.As(err, &faults) && !faults.General() && use != fileWhole:
		a.Warn(fmt.Errorf("job file %s: some of its jobs cannot be run: nightjar config check says why", faults.Path))
	default:
		return WithoutFile(err)
	}
	if a.File == nil {
		return nil
	}
	return WithoutFile(a.UseFile(c, a.File))
}

// JobFile returns the job file, for a command that wants it whole and cannot do without.
func (a *App) JobFile() (*jobfile.File, error) {
	if a.File != nil {
		return a.File, nil
	}
	return nil, usage.Hinted{Err: usage.Errorf("there is no job file"), Hint: "nightjar config init writes one, " + a.UsualFiles[0] + "; --config FILE names another"}
}

// ReadFile finds and reads the job file. It is nil if there is none; the error is that of jobfile.Read.
func (a *App) ReadFile() (*jobfile.File, error) {
	switch a.Config {
	case "none":
		return nil, nil
	case "":
	default:
		return jobfile.Read(a.Config)
	}
	for _, path := range a.UsualFiles {
		f, err := jobfile.Read(path)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) && !a.IsRoot {
			continue
		}
		return f, err
	}
	return nil, nil
}

// WithoutFile has an error about the job file say how one goes on: it must not stand in the way of a restore.
func WithoutFile(err error) error {
	if err == nil {
		return nil
	}
	const without = "--config none goes on without it: then flags and variables have to say all, as --repo and --state-dir"
	hint := "mend it: nightjar config check tells all that is wrong. Or " + without
	var access *jobfile.AccessError
	switch {
	case errors.As(err, &access):
		hint = access.Mend + ". Or " + without
	case errors.Is(err, fs.ErrNotExist):
		hint = "name the file that there is with --config or NIGHTJAR_CONFIG. Or " + without
	case errors.Is(err, fs.ErrPermission):
		hint = "run as a user who may read it. Or " + without
	}
	return usage.Hinted{Err: usage.Error{Err: err}, Hint: hint}
}

// UseFile sets what the job file says for all commands, and neither the command line nor the environment does. Where these name another repository, the file's repository and keys
// do not count.
func (a *App) UseFile(c *cobra.Command, f *jobfile.File) error {
	a.FileFlags = map[string]bool{}
	flags := c.Root().PersistentFlags()
	said := func(name string) bool {
		flag := flags.Lookup(name)
		return flag == nil || flag.Changed || a.Variable(name) != ""
	}
	use := func(settings any, leave ...string) error {
		var args []string
		for _, arg := range job.Flags(settings) {
			args = append(args, strings.TrimPrefix(arg, "--"))
		}
		for _, arg := range args {
			name, value, ok := strings.Cut(arg, "=")
			if !ok {
				value = "true"
			}
			if said(name) || slices.Contains(leave, name) {
				continue
			}
			if err := flags.Lookup(name).Value.Set(value); err != nil {
				return fmt.Errorf("read job file %s: --%s: %w", f.Path, name, err)
			}
			a.FileFlags[name] = true
		}
		return nil
	}
	if err := use(&f.Folders); err != nil {
		return err
	}
	if !said("repo") || a.Repo == f.Repository.URL || f.Repository.URL == "" && !isHere(a.Repo) {
		if err := use(&f.Repository); err != nil {
			return err
		}
		if err := use(&jobfile.Keys{Key: f.Keys.Key}); err != nil {
			return err
		}
		if !said("kit") && !said("root") {
			if err := use(&jobfile.Keys{Kit: f.Keys.Kit, Root: f.Keys.Root}); err != nil {
				return err
			}
		}
	}
	var limits []string
	if isHere(a.Repo) { // which takes none
		limits = []string{"limit-upload", "limit-download"}
	}
	if err := use(&f.Limits, limits...); err != nil {
		return err
	}
	if !said("passphrase-file") && !said("passphrase-command") && a.Passphrase == "" {
		a.Passphrase = f.Keys.Passphrase
		a.FileFlags["passphrase"] = a.Passphrase != ""
		if err := use(&jobfile.Keys{PassphraseFile: f.Keys.PassphraseFile, PassphraseCommand: f.Keys.PassphraseCommand}); err != nil {
			return err
		}
	}
	if a.SignPassphrase == "" {
		a.SignPassphrase = f.Keys.SignPassphrase
		a.FileFlags["sign-passphrase"] = a.SignPassphrase != ""
	}
	return nil
}

// isHere reports whether a repository is in a folder of this machine, as the embedded one is.
func isHere(url string) bool {
	at, err := place.Parse(url)
	return url == "" || err == nil && place.Folder(at) != ""
}
