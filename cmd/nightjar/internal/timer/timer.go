// Package timer writes what has cron and systemd start a command every ten minutes, which then finds out by itself whether there is something to do.
//
// The invariant: the command is started with exactly its arguments, whatever they have in them, line breaks excepted.
package timer

import (
	"fmt"
	"hash/fnv"
	"strings"
	"unicode"
)

// every is how many minutes lie between two starts.
const every = 10

// A Timer is a command that is started every ten minutes.
type Timer struct {
	Name, Class string
	Command     []string // the program, by its absolute path, and its arguments
}

// Unfit reports whether an argument has what no crontab or unit can have.
func Unfit(arg string) bool { return strings.ContainsFunc(arg, unicode.IsControl) }

// minute spreads commands over the ten minutes, so that not all machines of an account call at once.
func (t Timer) minute() int {
	h := fnv.New32a()
	fmt.Fprintf(h, "%q", t.Command)
	return int(h.Sum32() % every)
}

// Crontab returns a line for crontab(5).
func (t Timer) Crontab() string {
	words := make([]string, 0, len(t.Command))
	for _, arg := range t.Command {
		words = append(words, strings.ReplaceAll(shell(arg), "%", `\%`))
	}
	return fmt.Sprintf("%d-59/%d * * * * %s\n", t.minute(), every, strings.Join(words, " "))
}

// shell quotes an argument for sh. A percent sign ends up outside of quotes, where cron's backslash before it does no harm.
func shell(arg string) string {
	if arg != "" && !strings.ContainsFunc(arg, func(r rune) bool { return !plain(r) }) {
		return arg
	}
	return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
}

func plain(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_./:=,@+", r)
}

// Systemd returns a service and a timer, each after a comment that says where it belongs.
func (t Timer) Systemd() string {
	name := t.unit()
	words := make([]string, 0, len(t.Command))
	for _, arg := range t.Command {
		words = append(words, unit(arg))
	}
	return fmt.Sprintf(`# /etc/systemd/system/%[1]s.service
[Unit]
Description=EBS snapshots by nightjar (%[1]s)
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart=%[2]s

# /etc/systemd/system/%[1]s.timer
[Unit]
Description=EBS snapshots by nightjar (%[1]s), every %[3]d minutes

[Timer]
OnCalendar=*:%[4]d/%[3]d
Persistent=true

[Install]
WantedBy=timers.target
`, name, strings.Join(words, " "), every, t.minute())
}

// unit quotes an argument for a unit's command line.
func unit(arg string) string {
	arg = strings.NewReplacer("%", "%%", "$", "$$").Replace(arg)
	if arg != "" && !strings.ContainsFunc(arg, func(r rune) bool { return !plain(r) && r != '%' && r != '$' }) {
		return arg
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(arg) + `"`
}

// unit is the name of the units.
func (t Timer) unit() string {
	name := strings.Trim(t.Name+"-"+t.Class, "-")
	return "nightjar-ebs-" + strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return '_'
	}, name)
}
