package bring

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrHostile says that tags, or a snapshot, ask for what a restore does not do.
var ErrHostile = errors.New("that is refused")

// mountFlags are options of mounts that are taken from tags. Those that would allow more than the zero value does, as suid and dev, are passed over.
var mountFlags = map[string]uintptr{
	"ro": unix.MS_RDONLY, "noatime": unix.MS_NOATIME, "nodiratime": unix.MS_NODIRATIME, "relatime": unix.MS_RELATIME, "strictatime": unix.MS_STRICTATIME,
	"lazytime": unix.MS_LAZYTIME, "noexec": unix.MS_NOEXEC, "nosuid": unix.MS_NOSUID, "nodev": unix.MS_NODEV, "sync": unix.MS_SYNCHRONOUS, "dirsync": unix.MS_DIRSYNC,
}

// passed are options that say what is so anyway, or what is decided here.
var passed = []string{"rw", "defaults", "suid", "dev", "exec", "auto", "noauto", "nofail", "user", "nouser", "async", "atime", "diratime", "nouuid", "_netdev", "seclabel"}

// mountData are options of file systems that are taken from tags.
var mountData = map[string]*regexp.Regexp{
	"ext4": regexp.MustCompile(`^(discard|nodiscard|barrier|nobarrier|delalloc|nodelalloc|auto_da_alloc|noauto_da_alloc|acl|noacl|user_xattr|data=(ordered|writeback|journal)|errors=(remount-ro|continue)|commit=[0-9]{1,4}|stripe=[0-9]{1,6}|barrier=[01]|(no)?dioread_(no)?lock|quota|noquota)$`),
	"xfs":  regexp.MustCompile(`^(discard|nodiscard|attr2|inode32|inode64|largeio|nolargeio|swalloc|noquota|noalign|wsync|logbufs=[2-8]|logbsize=[0-9]{1,3}k|allocsize=[0-9]{1,7}[km]?|sunit=[0-9]{1,6}|swidth=[0-9]{1,6})$`),
}

// mountOptions reads options of a mount as tags have them, for mount(2). Programs and devices on the file system are never let be more than files.
func mountOptions(kind, mode string, readOnly bool) (flags uintptr, data string, err error) {
	flags = unix.MS_NOSUID | unix.MS_NODEV
	var rest []string
	for o := range strings.SplitSeq(mode, ",") {
		f, known := mountFlags[o]
		switch {
		case o == "" || slices.Contains(passed, o):
		case known:
			flags |= f
		case mountData[kind] != nil && mountData[kind].MatchString(o):
			rest = append(rest, o)
		default:
			return 0, "", fmt.Errorf("%w: option %.80q of a mount of %s", ErrHostile, o, kind)
		}
	}
	if readOnly {
		flags |= unix.MS_RDONLY
	}
	return flags, strings.Join(rest, ","), nil
}
