package datadir

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
)

// An Owner is to whom the files of a data directory are given. The zero value is root.
type Owner struct{ UID, GID int }

// FindOwner returns the owner of a name. Without a name it is who owns the folder, if that is not root; else user mysql. Who is not root can
// give nothing away, so that it is always the one who runs this.
func FindOwner(name, dir string) (Owner, error) {
	me := Owner{os.Geteuid(), os.Getegid()}
	if name == "" && me.UID != 0 {
		return me, nil
	}
	if name == "" {
		if uid, gid, ok := ownerOf(dir); ok && uid != 0 {
			return Owner{uid, gid}, nil
		}
		name = "mysql"
	}
	o, err := lookUp(name)
	if err == nil && me.UID != 0 && o.UID != me.UID {
		err = fmt.Errorf("only root can give files to %s", name)
	}
	if err != nil {
		return o, fmt.Errorf("find the owner of the data directory: %w", err)
	}
	return o, nil
}

// lookUp returns USER or USER:GROUP, by name or number.
func lookUp(name string) (o Owner, err error) {
	account, group, _ := strings.Cut(name, ":")
	if o.UID, err = strconv.Atoi(account); err == nil {
		o.GID = o.UID
	} else {
		u, err := user.Lookup(account)
		if err != nil {
			return o, err
		}
		if o.UID, err = strconv.Atoi(u.Uid); err != nil {
			return o, err
		}
		if o.GID, err = strconv.Atoi(u.Gid); err != nil {
			return o, err
		}
	}
	if group == "" {
		return o, nil
	}
	if o.GID, err = strconv.Atoi(group); err == nil {
		return o, nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return o, err
	}
	o.GID, err = strconv.Atoi(g.Gid)
	return o, err
}

func ownerOf(path string) (uid, gid int, ok bool) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, 0, false
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return int(s.Uid), int(s.Gid), true
}
