package jobs

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/place"
	"nightjar/cmd/nightjar/internal/timer"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/durable"
	"nightjar/job/jobfile"
)

type scheduleFlags struct {
	systemd, crontab, install, remove bool
}

// ScheduleCommand makes the command nightjar schedule.
func ScheduleCommand(a *app.App) *cobra.Command {
	var o scheduleFlags
	c := &cobra.Command{
		Use:   "schedule",
		Short: "Have cron or systemd run the jobs of the job file",
		Long: `Print, or with --install write, what has cron or systemd say nightjar run --due every ten minutes: a file of /etc/cron.d, for others than root lines of the user's crontab;
or a service and a timer of systemd, and a service for each job that runs on, such as one of binary logs with follow = true.

Without --systemd and --crontab it is systemd where that runs. It needs to be said again only when folders of the job file have changed, or a job that runs on: schedules are read from
the file at each look.`,
		Args: usage.NoArgs,
		RunE: func(*cobra.Command, []string) error { return schedule(a, &o) },
	}
	f := c.Flags()
	f.BoolVar(&o.systemd, "systemd", false, "units of systemd")
	f.BoolVar(&o.crontab, "crontab", false, "lines for cron")
	f.BoolVar(&o.install, "install", false, "put it in its place, and switch it on")
	f.BoolVar(&o.remove, "remove", false, "switch it off, and take it away")
	return c
}

// sayCron says where the lines for cron went, and warns where nothing reads them.
func sayCron(a *app.App, in *installation) error {
	if !in.root {
		a.Note("wrote lines into this user's crontab")
		return nil
	}
	a.Note("wrote %s", in.cron)
	for _, daemon := range []string{"/usr/sbin/cron", "/usr/sbin/crond", "/usr/bin/crond", "/usr/sbin/fcron"} {
		if _, err := os.Stat(daemon); err == nil {
			return nil
		}
	}
	a.Warn(errors.New("no cron is installed here, and nothing starts what was written: install one, as by apt-get install cron"))
	return nil
}

func schedule(a *app.App, o *scheduleFlags) error {
	switch {
	case o.systemd && o.crontab:
		return usage.Errorf("--systemd and --crontab exclude each other")
	case o.install && o.remove:
		return usage.Errorf("--install and --remove exclude each other")
	}
	if !o.systemd && !o.crontab {
		_, err := os.Stat("/run/systemd/system") // as sd_booted does
		o.systemd = err == nil
	}
	env, err := a.Environ()
	if err != nil {
		return err
	}
	in := &installation{env: env, root: a.IsRoot, units: unitFolder(a.IsRoot, a.Getenv), cron: "/etc/cron.d/nightjar", systemd: "systemctl", crontab: "crontab"}
	if o.remove {
		if o.systemd {
			return in.removeUnits()
		}
		return in.removeCron()
	}
	file, err := a.JobFile()
	if err != nil {
		return err
	}
	a.WarnOfZone()
	warnOfOften(a, file)
	if o.install {
		warnOfOwnZone(a)
	}
	t, services, err := timers(a, file)
	if err != nil {
		return err
	}
	switch {
	case o.systemd && o.install:
		if err := makeFolders(a); err != nil {
			return err
		}
		if err := in.installUnits(append(t.Systemd(), services...)); err != nil {
			return err
		}
		sayUnits(a, in)
		return nil
	case o.systemd:
		return a.Print(func(w io.Writer) { timer.Print(w, append(t.Systemd(), services...)) })
	}
	for _, s := range services {
		a.Note("cron keeps no program running: have something else run %s", strings.TrimSuffix(s.Name, ".service"))
	}
	if o.install {
		if err := in.installCron(t); err != nil {
			return err
		}
		return sayCron(a, in)
	}
	return a.Print(func(w io.Writer) { fmt.Fprint(w, t.Crontab()) })
}

// sayUnits says where the units went, and when they run.
func sayUnits(a *app.App, in *installation) {
	if in.root {
		a.Note("wrote units into %s, and switched them on: systemctl list-timers nightjar.timer says when the next look is", in.units)
		return
	}
	a.Note("wrote units into %s, and switched them on: systemctl --user list-timers nightjar.timer says when the next look is", in.units)
	me, err := user.Current()
	if err != nil {
		return
	}
	if _, err := os.Stat(filepath.Join("/var/lib/systemd/linger", me.Username)); errors.Is(err, fs.ErrNotExist) {
		a.Warn(errors.New("they run while this user is logged in only: loginctl enable-linger has them run from the machine's start on"))
	}
}

// warnOfOwnZone warns of a zone that only this shell knows of.
func warnOfOwnZone(a *app.App) {
	if zone := a.Getenv("TZ"); zone != "" {
		a.Warn(fmt.Errorf("cron and systemd do not know of TZ=%s, and run jobs by this machine's own zone: doc/schedule.md says how they are told of another", zone))
	}
}

// makeFolders makes those that a service may write to only if they are there.
func makeFolders(a *app.App) error {
	state, err := a.StateFolder()
	if err != nil {
		return err
	}
	cache, err := a.CacheFolder()
	if err != nil {
		return err
	}
	for _, folder := range []string{state, cache} {
		if err := durable.MkdirAll(folder, 0o700); err != nil {
			return fmt.Errorf("make folder: %w", err)
		}
	}
	return nil
}

// warnOfOften warns of jobs that are due more often than anybody looks for what is due.
func warnOfOften(a *app.App, file *jobfile.File) {
	for _, j := range file.Jobs() {
		if !j.Scheduled() {
			continue
		}
		first := j.Schedule.Cron.Next(a.Now())
		if again := j.Schedule.Cron.Next(first); !first.IsZero() && !again.IsZero() && again.Sub(first) < timer.Every {
			a.Warn(fmt.Errorf("job %s: schedule %q: what is due is looked for every %d minutes, and the job runs no more often", j.Name, j.Schedule.Cron, int(timer.Every.Minutes())))
		}
	}
}

// timers returns what starts nightjar run --due, and services of jobs that run on.
func timers(a *app.App, file *jobfile.File) (t timer.Timer, services []timer.File, err error) {
	program, err := os.Executable()
	if err != nil {
		return t, nil, fmt.Errorf("find this program: %w", err)
	}
	service := timer.Service{Bounded: a.IsRoot, Sandbox: a.IsRoot, Low: true}
	if service.Write, err = writes(a, file); err != nil {
		return t, nil, err
	}
	state, err := a.StateFolder()
	if err != nil {
		return t, nil, err
	}
	for _, e := range file.EBS {
		service.Sandbox = false // volumes are known by the mounts of this machine, of which a sandbox has others
		if e.Freeze || e.Lock || e.MySQL {
			service.Steady, service.After = true, [][]string{{program, "--config=none", "ebs", "thaw", "--state-dir=" + state}}
		}
	}
	nightjar := append([]string{program, "--config=" + file.Path}, folderArgs(a)...)
	t = DueTimer(append(slices.Clone(nightjar), "run", "--due"), service)
	t.Host = a.HostName
	if a.IsRoot {
		t.User = "root"
	}
	words := append(slices.Clone(t.Command), service.Write...)
	service.After = nil
	for _, j := range file.Jobs() {
		if !j.Follows() {
			continue
		}
		command := append(slices.Clone(nightjar), "run", "--", j.Name)
		name := timer.UnitName("nightjar-job", j.Name)
		services = append(services, timer.Forever(name, "nightjar: "+strings.TrimPrefix(name, "nightjar-"), command, service))
		words = append(words, command...)
	}
	for _, w := range words {
		if timer.Unfit(w) {
			return t, nil, usage.Errorf("%q: cron and systemd take no line breaks in what they run", w)
		}
	}
	return t, services, nil
}

// DueTimer is what starts nightjar run --due, by whatever command.
func DueTimer(command []string, service timer.Service) timer.Timer {
	return timer.Timer{Unit: "nightjar", Description: "Backups by nightjar", Command: command, Service: service}
}

// folderArgs returns flags for folders that the file does not name: neither cron nor systemd has the variables of whoever installs.
func folderArgs(a *app.App) (args []string) {
	for _, f := range []struct{ name, value string }{{"state-dir", a.StateDir}, {"cache-dir", a.CacheDir}} {
		if path, err := filepath.Abs(f.value); err == nil && f.value != "" && !a.FileFlags[f.name] {
			args = append(args, "--"+f.name+"="+path)
		}
	}
	if a.Repo != "" && !a.FileFlags["repo"] && a.File != nil && a.Repo != a.File.Repository.URL {
		a.Warn(errors.New("cron and systemd do not know of --repo and NIGHTJAR_REPO: name the repository in the job file"))
	}
	return args
}

// writes returns the folders that jobs write to, those that are named in the file included.
func writes(a *app.App, file *jobfile.File) ([]string, error) {
	state, err := a.StateFolder()
	if err != nil {
		return nil, err
	}
	all := []string{state, cmp.Or(a.TempDir, "/tmp"), cmp.Or(a.Getenv("GNUPGHOME"), filepath.Join(a.Getenv("HOME"), ".gnupg"))}
	if cache, err := a.CacheFolder(); err == nil {
		all = append(all, cache)
	}
	folder := func(url string) {
		if at, err := place.Parse(url); url != "" && err == nil && place.Folder(at) != "" {
			all = append(all, place.Folder(at))
		}
	}
	beside := func(path string) {
		if filepath.IsAbs(path) {
			all = append(all, filepath.Dir(path))
		}
	}
	folder(a.Repo)
	beside(file.Metrics.Textfile)
	beside(file.Log.To)
	for _, c := range file.Copy {
		folder(c.To)
	}
	for _, h := range file.MySQLHot {
		all = append(all, h.CloneDir)
	}
	for _, d := range file.Drill {
		all = append(all, d.Scratch)
	}
	for _, r := range file.Report {
		beside(r.Output)
	}
	all = slices.DeleteFunc(all, func(p string) bool { return !filepath.IsAbs(p) })
	slices.Sort(all)
	return slices.Compact(all), nil
}

// unitFolder is where systemd looks for units that an administrator, or a user, has made.
func unitFolder(root bool, getenv func(string) string) string {
	if root {
		return "/etc/systemd/system"
	}
	return filepath.Join(cmp.Or(getenv("XDG_CONFIG_HOME"), filepath.Join(getenv("HOME"), ".config")), "systemd", "user")
}

// errOthers says that a file is not of nightjar schedule.
var errOthers = errors.New("somebody else has written it")
