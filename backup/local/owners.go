package local

import (
	"os/user"
	"strconv"
	"sync"

	"nightjar/repo/tree"
)

// Owners knows the users and groups of this machine, by id and by name, and remembers what it has looked up: found or not. It may be used by
// several goroutines at once. A nil Owners knows nobody.
type Owners struct {
	users, groups directory
}

// NewOwners returns an Owners that asks the system.
func NewOwners() *Owners {
	return &Owners{
		users: directory{
			nameOf: func(id string) (string, error) {
				u, err := user.LookupId(id)
				if err != nil {
					return "", err
				}
				return u.Username, nil
			},
			idOf: func(name string) (string, error) {
				u, err := user.Lookup(name)
				if err != nil {
					return "", err
				}
				return u.Uid, nil
			},
		},
		groups: directory{
			nameOf: func(id string) (string, error) {
				g, err := user.LookupGroupId(id)
				if err != nil {
					return "", err
				}
				return g.Name, nil
			},
			idOf: func(name string) (string, error) {
				g, err := user.LookupGroup(name)
				if err != nil {
					return "", err
				}
				return g.Gid, nil
			},
		},
	}
}

func (o *Owners) owner(uid, gid uint32) tree.Owner {
	owner := tree.Owner{UID: uid, GID: gid}
	if o != nil {
		owner.User, owner.Group = o.users.name(uid), o.groups.name(gid)
	}
	return owner
}

// ids returns the ids here of the owner's names, and the owner's own ids where the name is empty or unknown here.
func (o *Owners) ids(owner tree.Owner) (uid, gid uint32) {
	if o == nil {
		return owner.UID, owner.GID
	}
	return o.users.id(owner.User, owner.UID), o.groups.id(owner.Group, owner.GID)
}

// maxRemembered bounds each table of a directory. One that is full is begun anew.
const maxRemembered = 10_000

// A directory is that of the users, or that of the groups.
type directory struct {
	nameOf func(id string) (string, error)
	idOf   func(name string) (string, error)

	mu    sync.RWMutex
	names map[uint32]string
	ids   map[string]int64 // -1: there is none
}

// name returns "" for an unknown id. A directory service that fails makes the id unknown: a backup goes on without the name.
func (d *directory) name(id uint32) string {
	d.mu.RLock()
	name, ok := d.names[id]
	d.mu.RUnlock()
	if ok {
		return name
	}
	name, err := d.nameOf(strconv.FormatUint(uint64(id), 10))
	if err != nil || len(name) > tree.MaxOwner {
		name = ""
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.names == nil || len(d.names) >= maxRemembered {
		d.names = make(map[uint32]string)
	}
	d.names[id] = name
	return name
}

func (d *directory) id(name string, otherwise uint32) uint32 {
	if id, ok := d.find(name); ok {
		return id
	}
	return otherwise
}

// find reports whether there is an account of that name.
func (d *directory) find(name string) (uint32, bool) {
	if name == "" {
		return 0, false
	}
	d.mu.RLock()
	id, ok := d.ids[name]
	d.mu.RUnlock()
	if !ok {
		id = d.lookUp(name)
	}
	return uint32(id), id >= 0
}

func (d *directory) lookUp(name string) int64 {
	id := int64(-1)
	if text, err := d.idOf(name); err == nil {
		if v, err := strconv.ParseUint(text, 10, 32); err == nil {
			id = int64(v)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ids == nil || len(d.ids) >= maxRemembered {
		d.ids = make(map[string]int64)
	}
	d.ids[name] = id
	return id
}
