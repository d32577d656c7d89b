package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/timer"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/human"
	"nightjar/internal/quote"
	"nightjar/job"
	"nightjar/job/jobfile"
)

// hidden stands for a secret.
const hidden = "(hidden)"

func showCommand(a *app.App) *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "Show what every command goes by, where each setting comes from, and the jobs",
		Long: `Show what every command goes by, and where each setting comes from: the command line, the environment, the job file with its line, or nightjar itself. Then the jobs,
each with its schedule and its command line. Secrets are hidden.`,
		Args: usage.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runShow(a, c) },
	}
}

// A setting is one that every command goes by.
type setting struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Origin string `json:"origin"` // command line, environment, file or default
	From   string `json:"from,omitempty"`
	Line   int    `json:"line,omitempty"`
}

func (s setting) origin() string {
	switch {
	case s.Line > 0:
		return fmt.Sprintf("%s:%d", s.From, s.Line)
	case s.From != "":
		return s.Origin + ", " + s.From
	}
	return s.Origin
}

type shownJob struct {
	Name        string   `json:"name"`
	Kind        string   `json:"kind"`
	Line        int      `json:"line"`
	Schedule    string   `json:"schedule,omitempty"`
	RandomDelay string   `json:"random_delay,omitempty"`
	Command     []string `json:"command"`
}

func runShow(a *app.App, c *cobra.Command) error {
	var err error
	a.File, err = a.ReadFile()
	var faults *jobfile.Faults
	if errors.As(err, &faults) && !faults.General() {
		a.Warn(fmt.Errorf("%w: what is wrong is left out", err))
	} else if err != nil {
		return app.WithoutFile(err)
	}
	f := a.File
	if f == nil {
		f = &jobfile.File{}
	} else if err := a.UseFile(c, f); err != nil {
		return app.WithoutFile(err)
	}
	settings := settings(a, c.Root().PersistentFlags(), f)
	jobs := []shownJob{}
	for _, j := range f.Jobs() {
		x := shownJob{Name: j.Name, Kind: j.Kind, Line: f.At(j.Kind, j.Name).Line, Command: append([]string{"nightjar"}, job.Command(j)...)}
		if j.Schedule.Given {
			x.Schedule = j.Schedule.Cron.String()
		}
		if j.RandomDelay > 0 {
			x.RandomDelay = human.Age(time.Duration(j.RandomDelay))
		}
		hide(x.Command)
		jobs = append(jobs, x)
	}
	if a.JSON {
		return a.PrintJSON(struct {
			File     string     `json:"file"`
			Settings []setting  `json:"settings"`
			Jobs     []shownJob `json:"jobs"`
		}{f.Path, settings, jobs})
	}
	return a.Print(func(w io.Writer) { showSettings(w, f, settings, jobs, a.Verbose) })
}

// asksFor are keys of commands that print a secret. Each is hidden but for its program: whether what comes after it is a secret itself, as in echo's case, nobody can tell.
var asksFor = []string{"passphrase-command", "password-command"}

// shown returns the value of a key, or what stands for it where it is a secret.
func shown(key, value string) string {
	switch program, _, more := strings.Cut(value, " "); {
	case jobfile.IsSecret(key, value):
		return hidden
	case slices.Contains(asksFor, key) && more:
		return program + " " + hidden
	}
	return value
}

// hide hides the secrets of a job's command line.
func hide(command []string) {
	for i, arg := range command {
		flag, value, ok := strings.Cut(arg, "=")
		switch key, isFlag := strings.CutPrefix(flag, "--"); {
		case arg == "--" && i+1 < len(command) && jobfile.IsSecret("command", command[i+1:]): // of a stream
			for k := i + 2; k < len(command); k++ {
				command[k] = hidden
			}
		case ok && isFlag:
			command[i] = flag + "=" + shown(key, value)
		default:
			command[i] = shown("", arg)
		}
	}
}

// showSettings prints settings, and of those that have no value how many there are, but for all.
func showSettings(w io.Writer, f *jobfile.File, settings []setting, jobs []shownJob, all bool) {
	fmt.Fprintf(w, "job file: %s\n\n", quote.Display(cmp.Or(f.Path, "none")))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	without := 0
	for _, s := range settings {
		if s.Value == "" && !all {
			without++
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", s.Key, quote.Display(cmp.Or(s.Value, "-")), quote.Display(s.origin()))
	}
	t.Flush()
	if without > 0 {
		fmt.Fprintf(w, "%s without a value: --verbose names them\n", human.Count(without, "setting"))
	}
	for _, j := range jobs {
		when := cmp.Or(j.Schedule, "only when it is asked for")
		if j.RandomDelay != "" {
			when += ", at most " + j.RandomDelay + " later"
		}
		fmt.Fprintf(w, "\njob %s (%s, line %d): %s\n  %s\n", j.Name, j.Kind, j.Line, when, quote.Display(timer.Line(j.Command)))
	}
}

// settings returns what the tables for all commands say, or else what holds in their stead.
func settings(a *app.App, flags *pflag.FlagSet, f *jobfile.File) (all []setting) {
	v := reflect.ValueOf(f).Elem()
	for i := range v.NumField() {
		table := v.Type().Field(i).Tag.Get("toml")
		if v.Field(i).Kind() != reflect.Struct || table == "" {
			continue
		}
		of := v.Field(i).Type()
		for k := range of.NumField() {
			key, name := of.Field(k).Tag.Get("toml"), of.Field(k).Tag.Get("flag")
			s := setting{Key: table + "." + key}
			flag := flags.Lookup(cmp.Or(name, key))
			if name == "-" || flag == nil || slices.Contains([]string{"log", "metrics", "hooks"}, table) {
				unflagged(a, &s, f, key, v.Field(i).Field(k))
			} else {
				flagged(a, &s, f, flag)
			}
			if s.Value != hidden {
				s.Value = shown(key, s.Value)
			}
			all = append(all, s)
		}
	}
	return all
}

// flagged fills in what a flag stands for.
func flagged(a *app.App, s *setting, f *jobfile.File, flag *pflag.Flag) {
	s.Value = flag.Value.String()
	if many, ok := flag.Value.(pflag.SliceValue); ok {
		s.Value = strings.Join(many.GetSlice(), ", ")
	}
	if style := a.Bucket.PathStyle; flag.Name == "path-style" && style != nil {
		s.Value = fmt.Sprint(*style)
	}
	switch variable := a.Variable(flag.Name); {
	case flag.Changed:
		s.Origin, s.From = "command line", "--"+flag.Name
	case variable != "":
		s.Origin, s.From, s.Value = "environment", variable, a.Getenv(variable)
	case a.FileFlags[flag.Name]:
		s.Origin, s.From, s.Line = "file", f.Path, f.At(strings.Split(s.Key, ".")...).Line
	default:
		s.Origin = "default"
		switch {
		case flag.Name == "tempdir":
			s.Value = "/tmp"
		case s.Value == "0" || s.Value == "false":
			s.Value = ""
		}
	}
}

// unflagged fills in what no flag stands for.
func unflagged(a *app.App, s *setting, f *jobfile.File, key string, value reflect.Value) {
	s.Origin = "default"
	if variable := map[string]string{"passphrase": "PASSPHRASE", "sign-passphrase": "SIGN_PASSPHRASE"}[key]; variable != "" {
		if a.Getenv(variable) != "" {
			s.Origin, s.From, s.Value = "environment", variable, hidden
			return
		}
		if !a.FileFlags[key] {
			return
		}
	}
	if value.IsZero() {
		return
	}
	s.Origin, s.From, s.Line = "file", f.Path, f.At(strings.Split(s.Key, ".")...).Line
	switch list, ok := value.Interface().([]any); {
	case ok && jobfile.IsSecret(key, list):
		s.Value = hidden
	case ok:
		hooks, _ := jobfile.HooksOf(list)
		var words []string
		for _, h := range hooks {
			words = append(words, timer.Line(h.Command))
		}
		s.Value = strings.Join(words, "; ")
	default:
		s.Value = value.String()
	}
}
