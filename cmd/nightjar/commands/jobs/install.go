package jobs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"nightjar/cmd/nightjar/internal/timer"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/child"
	"nightjar/internal/durable"
	"nightjar/internal/quote"
)

// An installation is where schedules are put.
type installation struct {
	env     []string // of crontab and systemctl
	root    bool
	units   string // folder
	cron    string // file
	systemd string // the program systemctl
	crontab string // the program
}

// cronPath is where programs are looked for that jobs start: cron's own has no sbin.
const cronPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"

func (in *installation) installCron(t timer.Timer) error {
	if !in.root {
		return in.editCrontab(made + t.Crontab() + crontabEnd)
	}
	if _, err := ours(in.cron); err != nil {
		return fmt.Errorf("write schedule: %w", err)
	}
	if err := durable.WriteFile(in.cron, []byte(made+cronPath+t.Crontab()), 0o644); err != nil {
		return fmt.Errorf("write schedule: %w", err)
	}
	return nil
}

func (in *installation) removeCron() error {
	if !in.root {
		return in.editCrontab("")
	}
	if there, err := ours(in.cron); err != nil || !there {
		return err
	}
	return os.Remove(in.cron)
}

// crontabEnd ends what is ours in a user's crontab.
const crontabEnd = "# End of nightjar schedule.\n"

// editCrontab puts lines in the place of ours in the user's crontab.
func (in *installation) editCrontab(lines string) error {
	ctx := context.Background()
	const most = 1 << 20
	before, err := child.Output(ctx, child.Command{Args: []string{in.crontab, "-l"}, Env: in.env}, most)
	if err != nil && !strings.Contains(err.Error(), "no crontab for") { // in no locale it says that otherwise
		return err
	}
	after := string(before)
	if i := strings.Index(after, made); i >= 0 {
		if n := strings.Index(after[i:], crontabEnd); n >= 0 {
			after = after[:i] + after[i+n+len(crontabEnd):]
		}
	}
	if after != "" && !strings.HasSuffix(after, "\n") {
		after += "\n"
	}
	_, err = child.Output(ctx, child.Command{Args: []string{in.crontab, "-"}, Env: in.env, Stdin: strings.NewReader(after + lines)}, most)
	return err
}

// installUnits writes units in the place of all that were there, and switches them on.
func (in *installation) installUnits(units []timer.File) error {
	if err := durable.MkdirAll(in.units, 0o755); err != nil {
		return fmt.Errorf("write schedule: %w", err)
	}
	wanted := map[string]bool{}
	for _, u := range units {
		wanted[u.Name] = true
		if _, err := ours(filepath.Join(in.units, u.Name)); err != nil {
			return fmt.Errorf("write schedule: %w", err)
		}
	}
	if err := in.take(func(name string) bool { return !wanted[name] }); err != nil {
		return err
	}
	var on []string
	for _, u := range units {
		if err := durable.WriteFile(filepath.Join(in.units, u.Name), []byte(made+u.Text), 0o644); err != nil {
			return fmt.Errorf("write schedule: %w", err)
		}
		if u.Name != "nightjar.service" {
			on = append(on, u.Name)
		}
	}
	if err := in.systemctl("daemon-reload"); err != nil {
		return err
	}
	if err := in.systemctl(append([]string{"enable"}, on...)...); err != nil {
		return err
	}
	return in.systemctl(append([]string{"restart"}, on...)...) // also jobs that run on, by their old units
}

func (in *installation) removeUnits() error {
	if err := in.take(func(string) bool { return true }); err != nil {
		return err
	}
	return in.systemctl("daemon-reload")
}

// take switches off and removes our units of some names.
func (in *installation) take(of func(name string) bool) error {
	for _, pattern := range []string{"nightjar.timer", "nightjar.service", "nightjar-job-*.service"} {
		found, _ := filepath.Glob(filepath.Join(in.units, pattern))
		for _, path := range found {
			name := filepath.Base(path)
			if !of(name) {
				continue
			}
			if _, err := ours(path); err != nil {
				return err
			}
			if name != "nightjar.service" { // what it runs may come to its end
				if err := in.systemctl("disable", "--now", name); err != nil {
					return err
				}
			}
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	return nil
}

func (in *installation) systemctl(args ...string) error {
	command := []string{in.systemd}
	if !in.root {
		command = append(command, "--user")
	}
	_, err := child.Output(context.Background(), child.Command{Args: append(command, args...), Env: in.env}, 1<<16)
	if err != nil && !in.root && strings.Contains(err.Error(), "connect to bus") { // in no locale it says that otherwise
		err = usage.Hinted{Err: err, Hint: "this user's own systemd does not run: log in as this user (su has no session), or have root say loginctl enable-linger USER, and set XDG_RUNTIME_DIR=/run/user/UID. With --crontab it is cron"}
	}
	return err
}

// made is in the first line of all that is installed.
const made = "# Made by nightjar schedule --install; --remove takes it away.\n"

// ours reports whether a file is there, and fails if it is not ours.
func ours(path string) (bool, error) {
	content, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case !strings.HasPrefix(string(content), made):
		return true, usage.Hinted{Err: fmt.Errorf("%s: %w", quote.Display(path), errOthers), Hint: "nothing was changed. Move it away, if nobody needs it"}
	}
	return true, nil
}
