package child

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// hasTerminal reports whether this process has a terminal that can stop its children, ask them to end, or be asked by them.
func hasTerminal() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	tty.Close()
	return true
}

// end has the program end, with all that it started: by TERM, and by KILL when the grace is over.
func (p *Process) end() {
	known := map[int]process{}
	told := map[int]bool{}
	for _, step := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{{syscall.SIGTERM, p.grace}, {syscall.SIGKILL, killed}} {
		sent := false // however late it is by then
		for until := time.Now().Add(step.wait); ; time.Sleep(look) {
			left := p.family(known)
			if len(left) == 0 {
				return
			}
			if sent && time.Now().After(until) {
				break
			}
			sent = true
			for _, pid := range left {
				if step.signal == syscall.SIGTERM && told[pid] {
					continue
				}
				told[pid] = true
				_ = syscall.Kill(pid, step.signal) // it may have ended, or belong to somebody else
				if step.signal == syscall.SIGTERM {
					_ = syscall.Kill(pid, syscall.SIGCONT) // one that is stopped cannot obey
				}
			}
		}
	}
}

// family returns what lives of the program and of all that it started: its descendants, those who were seen to be before their parents ended, and those in its
// process group. In a group that it shares, whoever came later and has lost its parents is taken to be one too. Whoever left for a session of its own
// before its parents ended, as daemons do, is none.
func (p *Process) family(known map[int]process) (left []int) {
	root := p.cmd.Process.Pid
	all := processes()
	self, ok := all[os.Getpid()]
	if !ok { // no /proc of ours: what is known is the group
		if p.group == 0 || syscall.Kill(-p.group, 0) != nil {
			return nil
		}
		return []int{-p.group}
	}
	if p.keeper != nil {
		delete(all, p.keeper.cmd.Process.Pid)
	}
	select {
	case <-p.exited: // its number may be another's
	default:
		if r, ok := all[root]; ok {
			known[root] = r
		}
	}
	is := func(x process) bool {
		if parent, ok := known[x.parent]; ok && all[x.parent].start == parent.start {
			return true
		}
		if p.group != 0 {
			return x.group == p.group && x.session == self.session
		}
		return x.group == self.group && x.start >= p.begun && all[x.parent].session != self.session
	}
	for more := true; more; {
		more = false
		for pid, x := range all {
			if _, done := known[pid]; !done && pid != self.pid && is(x) {
				known[pid] = x
				more = true
			}
		}
	}
	for pid, x := range known {
		if now, ok := all[pid]; ok && now.start == x.start && now.state != 'Z' && now.state != 'X' {
			left = append(left, pid)
		}
	}
	return left
}

// A process is what the kernel says of one.
type process struct {
	pid, parent, group, session int
	state                       byte
	start                       uint64 // in hundredths of a second since the machine started
}

// now returns the time as process.start has it.
func now() uint64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return math.MaxUint64 // no other process will count as begun later
	}
	return uint64(t.Nano()) / 1e7
}

// processes returns all that there are, by their numbers; none if /proc is missing or another namespace's.
func processes() map[int]process {
	all := map[int]process{}
	if self, err := os.Readlink("/proc/self"); err != nil || self != strconv.Itoa(os.Getpid()) {
		return all
	}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		if x, ok := parse(stat); ok {
			all[x.pid] = x
		}
	}
	return all
}

// parse reads a stat file of /proc. The name in it, in parentheses, may hold anything.
func parse(stat []byte) (x process, ok bool) {
	number, _, _ := bytes.Cut(stat, []byte(" "))
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(f) < 20 {
		return x, false
	}
	x.state = f[0][0]
	var errs [5]error
	x.pid, errs[0] = strconv.Atoi(string(number))
	x.parent, errs[1] = strconv.Atoi(f[1])
	x.group, errs[2] = strconv.Atoi(f[2])
	x.session, errs[3] = strconv.Atoi(f[3])
	x.start, errs[4] = strconv.ParseUint(f[19], 10, 64)
	return x, errors.Join(errs[:]...) == nil
}
