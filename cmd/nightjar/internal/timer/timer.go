// Package timer writes what has cron and systemd start a command every ten minutes, which then finds out by itself whether there is something to do.
//
// The invariant: the command is started with exactly its arguments, whatever they have in them, line breaks excepted.
package timer

import (
	"fmt"
	"hash/fnv"
	"strings"
	"time"
	"unicode"
)

// Every is the time between two starts.
const Every = every * time.Minute

// every is Every in minutes, as crontabs and units count.
const every = 10

// A Timer is a command that is started every ten minutes.
type Timer struct {
	Unit        string // name of the units; UnitName makes one
	Description string // of the units
	Host        string // name of the machine; empty: any, and systemd spreads them by their ids
	User        string // as whom cron runs it, for a file of /etc/cron.d; empty: for a user's own crontab
	Command     []string
	Service     Service
}

// A Service is what a unit says of how its command is run. The zero value: as any program.
type Service struct {
	Bounded bool       // root's rights are those that backups take; the mounts stay those of the machine
	Sandbox bool       // nothing may be written but where Write says
	Write   []string   // folders that may be written to; those that are not there are passed over
	Low     bool       // whatever else runs on the machine goes before it
	Steady  bool       // the disk does not wait for idle times, since something else waits for the command
	After   [][]string // commands that are run one after another when the service has ended, however
}

// bounds is for a service of root. Every file is read, and owners, flags and devices are given back where a job restores for a test; SYS_ADMIN freezes and mounts, IPC_LOCK and
// SYS_RESOURCE keep the watchdog of a freeze in memory and alive, SETUID and SETGID start servers as their users, KILL ends them.
//
// What is not here breaks jobs. ProtectKernelModules hides /usr/lib/modules, which is then missing in a backup; ProtectClock and PrivateDevices keep devices from being made and
// mounted; RestrictSUIDSGID keeps a drill from restoring set-user-ID programs. The clock, modules and the kernel's log are out of reach without their capabilities. doc/schedule.md has
// all that is left out, and why.
const bounds = `CapabilityBoundingSet=CAP_DAC_READ_SEARCH CAP_DAC_OVERRIDE CAP_CHOWN CAP_FOWNER CAP_FSETID CAP_SETFCAP CAP_LINUX_IMMUTABLE CAP_MKNOD CAP_SETUID CAP_SETGID CAP_KILL CAP_SYS_ADMIN CAP_IPC_LOCK CAP_SYS_RESOURCE
NoNewPrivileges=true
LockPersonality=true
ProtectHostname=true
RestrictNamespaces=true
RestrictRealtime=true
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=~@clock @cpu-emulation @debug @module @obsolete @raw-io @reboot @swap
SystemCallErrorNumber=EPERM
`

// mail is where programs for mail keep what they are to send: hooks send some, and most programs wait for ever where they cannot write.
const mail = "ReadWritePaths=-/var/mail -/var/spool/postfix -/var/spool/exim4 -/var/log/exim4 -/var/spool/nullmailer -/var/spool/dma -/var/spool/mqueue-client -/var/spool/smtpd -/var/log/msmtp\n"

// ending has the command end its children in its own order, and takes its time over what it has begun. A child that the kernel kills for want of memory fails by itself, and the command
// tells of it and goes on with the rest.
const ending = "KillMode=mixed\nOOMPolicy=continue\nTimeoutStopSec=5min\n"

// Unfit reports whether an argument has what no crontab or unit can have.
func Unfit(arg string) bool { return strings.ContainsFunc(arg, unicode.IsControl) }

// minute spreads machines and commands over the ten minutes, so that not all machines of an account call at once; the same on a machine each time.
func (t Timer) minute() int {
	h := fnv.New32a()
	fmt.Fprintf(h, "%q %q", t.Host, t.Command)
	return int(h.Sum32() % every)
}

// Line returns a command as sh reads it.
func Line(command []string) string {
	words := make([]string, 0, len(command))
	for _, arg := range command {
		words = append(words, shell(arg))
	}
	return strings.Join(words, " ")
}

// Crontab returns a line for crontab(5).
func (t Timer) Crontab() string {
	words := make([]string, 0, len(t.Command))
	for _, arg := range t.Command {
		words = append(words, strings.ReplaceAll(shell(arg), "%", `\%`))
	}
	if t.User != "" {
		words = append([]string{t.User}, words...)
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

// A File is a file that systemd reads.
type File struct{ Name, Text string }

// Systemd returns a service and a timer.
func (t Timer) Systemd() []File {
	head := fmt.Sprintf("Description=%s\n", unitText(t.Description))
	return []File{{t.Unit + ".service", fmt.Sprintf(`[Unit]
%sDocumentation=man:nightjar(1)
Wants=network-online.target
After=network-online.target remote-fs.target mariadb.service mysql.service

[Service]
Type=oneshot
ExecStart=%s
# Done, with problems that the command has told by itself, or stopped.
SuccessExitStatus=3 130
%s`, head, command(t.Command), t.Service)}, {t.Unit + ".timer", fmt.Sprintf(`[Unit]
Description=%s, every %d minutes

[Timer]
%sPersistent=true

[Install]
WantedBy=timers.target
`, unitText(t.Description), every, t.calendar())}}
}

// calendar returns when systemd starts the service.
func (t Timer) calendar() string {
	if t.Host == "" {
		return fmt.Sprintf("OnCalendar=*:0/%d\nRandomizedDelaySec=%dmin\nFixedRandomDelay=true\n", every, every-1)
	}
	return fmt.Sprintf("OnCalendar=*:%d/%d\n", t.minute(), every)
}

// Forever returns a service that runs on, and is started again when it fails.
func Forever(name, description string, words []string, s Service) File {
	wanted := "default.target"
	if s.Bounded {
		wanted = "multi-user.target" // which no user's systemd knows
	}
	return File{name + ".service", fmt.Sprintf(`[Unit]
Description=%s
Documentation=man:nightjar(1)
Wants=network-online.target
After=network-online.target remote-fs.target mariadb.service mysql.service

[Service]
ExecStart=%s
Restart=on-failure
RestartSec=30s
SuccessExitStatus=130
%s
[Install]
WantedBy=%s
`, unitText(description), command(words), s, wanted)}
}

// String returns the lines of a unit.
func (s Service) String() string {
	var b strings.Builder
	for _, after := range s.After {
		fmt.Fprintf(&b, "ExecStopPost=%s\n", command(after))
	}
	b.WriteString(ending)
	if s.Low {
		b.WriteString("Nice=10\nOOMScoreAdjust=1000\n")
		if s.Steady {
			b.WriteString("IOSchedulingClass=best-effort\nIOSchedulingPriority=7\n")
		} else {
			b.WriteString("IOSchedulingClass=idle\n")
		}
	}
	if s.Bounded {
		b.WriteString("# Else HOME is not set, where programs look for option files.\nUser=root\n" + bounds)
	}
	if s.Sandbox {
		b.WriteString("ProtectSystem=strict\nProtectHome=read-only\nProtectKernelTunables=true\nProtectControlGroups=true\n" + mail)
		for _, folder := range s.Write {
			fmt.Fprintf(&b, "ReadWritePaths=%s\n", quoted(strings.ReplaceAll("-"+folder, "%", "%%"))) // where a dollar sign is one
		}
	}
	return b.String()
}

func command(words []string) string {
	quoted := make([]string, 0, len(words))
	for _, arg := range words {
		quoted = append(quoted, unit(arg))
	}
	return strings.Join(quoted, " ")
}

// unitText writes a text of a unit, such as its description.
func unitText(s string) string { return strings.ReplaceAll(s, "%", "%%") }

// unit quotes an argument for a unit's command line.
func unit(arg string) string { return quoted(strings.NewReplacer("%", "%%", "$", "$$").Replace(arg)) }

// quoted quotes a word of a unit.
func quoted(word string) string {
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !plain(r) && r != '%' && r != '$' }) {
		return word
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`
}

// UnitName returns a name of units that is made of several parts.
func UnitName(parts ...string) string {
	name := strings.Trim(strings.Join(parts, "-"), "-")
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '-' || r == '.' {
			return r
		}
		return '_'
	}, name)
}
