package freeze

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// As linux/fs.h has them: _IOWR('X', 119, int) and _IOWR('X', 120, int).
const (
	fiFreeze = 0xc0045877
	fiThaw   = 0xc0045878
)

// control makes a system call on an open file, again when a signal has cut it short.
func control(f *os.File, call func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		for {
			if failed = call(int(fd)); failed != unix.EINTR {
				return
			}
		}
	}); err != nil {
		return err
	}
	return failed
}

// freeze has the kernel freeze a file system. EBUSY: somebody else has.
func freeze(f *os.File) error {
	return control(f, func(fd int) error { return unix.IoctlSetInt(fd, fiFreeze, 0) })
}

// thaw has the kernel thaw a file system, and reports whether it was frozen.
func thaw(f *os.File) (was bool, err error) {
	err = errors.New("it was never tried")
	for again := 0; again < 5 && err != nil; again++ {
		if again > 0 {
			<-time.After(50 * time.Millisecond)
		}
		err = control(f, func(fd int) error { return unix.IoctlSetInt(fd, fiThaw, 0) })
		if errors.Is(err, unix.EINVAL) {
			return false, nil
		}
	}
	return err == nil, err
}

func syncFS(f *os.File) error { return control(f, unix.Syncfs) }

// stayInMemory has nothing of this process be paged out, what it gets from now on included, and the kernel not choose it when memory runs out. Of files that are mapped, as the
// program itself and its libraries, all is read now. A page that is first used later is anonymous and needs no disk.
func stayInMemory() error {
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("-1000"), 0) // a container may forbid it
	if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT); err != nil {
		return fmt.Errorf("lock the watchdog in memory, which needs CAP_IPC_LOCK: %w", err)
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return fmt.Errorf("lock the watchdog in memory: %w", err)
	}
	defer maps.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		fields := strings.Fields(lines.Text()) // 00400000-0040b000 r-xp 00000000 08:01 1234 /bin/cat
		if len(fields) < 6 || !strings.HasPrefix(fields[5], "/") || !strings.HasPrefix(fields[1], "r") {
			continue
		}
		from, to, _ := strings.Cut(fields[0], "-")
		begin, err := strconv.ParseUint(from, 16, 64)
		end, wrong := strconv.ParseUint(to, 16, 64)
		if err = errors.Join(err, wrong); err == nil {
			if _, _, number := unix.Syscall(unix.SYS_MLOCK, uintptr(begin), uintptr(end-begin), 0); number != 0 {
				err = number
			}
		}
		if err != nil {
			return fmt.Errorf("lock %s in memory: %w", fields[5], err)
		}
	}
	return nil
}
