package ec2test

import (
	"maps"
	"os"
	"slices"

	"nightjar/snapshot/ec2test/world"
)

// A Region is one of the server's, for a test to furnish and to look at.
type Region struct {
	s *Server
	r *world.Region
}

// Region returns one by its name. It panics if there is none.
func (s *Server) Region(name string) *Region {
	s.world.Lock()
	defer s.world.Unlock()
	r := s.world.Region(name)
	if r == nil {
		panic("ec2test: no region " + name)
	}
	return &Region{s, r}
}

// Update has the test change what the region has, under the lock.
func (r *Region) Update(f func(*world.Region)) {
	r.s.world.Lock()
	defer r.s.world.Unlock()
	f(r.r)
}

// AddInstance adds an instance, and returns its ID.
func (r *Region) AddInstance(i Instance) string {
	r.Update(func(w *world.Region) {
		w.Make(&i.Meta, "i", maps.Clone(i.Tags))
		i.Zone, i.Type, i.State, i.RootDevice = or(i.Zone, w.Zones[0]), or(i.Type, "m7i.large"), or(i.State, "running"), or(i.RootDevice, "/dev/xvda")
		i.Image = or(i.Image, "ami-0123456789abcdef0")
		if i.Launched.IsZero() {
			i.Launched = w.Now()
		}
		i.Settle()
		w.Instances.Add(&i)
	})
	return i.ID
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// AddVolume adds a volume, and returns its ID. It panics if its file cannot be read or made.
func (r *Region) AddVolume(v Volume) string {
	r.Update(func(w *world.Region) {
		w.Make(&v.Meta, "vol", maps.Clone(v.Tags))
		v.Zone, v.Type, v.State = or(v.Zone, w.Zones[0]), or(v.Type, "gp3"), or(v.State, "available")
		v.Lineage = or(v.Lineage, v.ID)
		if v.Backing != "" {
			info, err := os.Stat(v.Backing)
			if err != nil {
				panic(err)
			}
			v.GiB = max(v.GiB, int((info.Size()+world.GiB-1)/world.GiB))
		}
		if v.GiB == 0 {
			v.GiB = 8
		}
		if v.Type == "gp3" && v.IOPS == 0 {
			v.IOPS, v.Throughput = 3000, 125
		}
		if v.Encrypted && v.KMSKey == "" {
			v.KMSKey = w.OwnKey()
		}
		if v.Created.IsZero() {
			v.Created = w.Now()
		}
		v.Settle()
		w.Volumes.Add(&v)
	})
	return v.ID
}

// Attach attaches a volume, without a call. It panics if there is no such volume.
func (r *Region) Attach(volume, instance, device string) {
	r.Update(func(w *world.Region) {
		v, ok := w.Volumes.Get(volume)
		if !ok {
			panic("ec2test: no volume " + volume)
		}
		v.State = "in-use"
		v.Attachment = &world.Attachment{Volume: volume, Instance: instance, Device: device, State: "attached", Backing: v.Backing, Time: w.Now()}
	})
}

// AddKey adds a KMS key, and returns its ARN.
func (r *Region) AddKey(k Key) (arn string) {
	r.Update(func(w *world.Region) {
		if k.ID == "" {
			k.ID = w.UUID()
		}
		w.Keys = append(w.Keys, &k)
		arn = w.ARN("kms", "key/"+k.ID)
	})
	return arn
}

// AddSnapshot adds a snapshot, and returns its ID. File may name a file that has its bytes, which is not changed.
func (r *Region) AddSnapshot(s Snapshot) string {
	r.Update(func(w *world.Region) {
		w.Make(&s.Meta, "snap", maps.Clone(s.Tags))
		s.Owner, s.State = or(s.Owner, Account), or(s.State, "completed")
		s.Volume = or(s.Volume, "vol-ffffffff")
		s.Lineage = or(s.Lineage, s.Volume)
		if s.GiB == 0 {
			s.GiB = 8
		}
		if s.Encrypted && s.KMSKey == "" {
			s.KMSKey = w.OwnKey()
		}
		if s.Started.IsZero() {
			s.Started = w.Now()
		}
		if s.State == "completed" && s.Completed.IsZero() {
			s.Completed = s.Started
		}
		s.Settle()
		w.Snapshots.Add(&s)
	})
	return s.ID
}

// AddImage adds an image, and returns its ID.
func (r *Region) AddImage(i Image) string {
	r.Update(func(w *world.Region) {
		w.Make(&i.Meta, "ami", maps.Clone(i.Tags))
		i.Owner, i.State, i.Root = or(i.Owner, Account), or(i.State, "available"), or(i.Root, "/dev/xvda")
		if i.Created.IsZero() {
			i.Created = w.Now()
		}
		i.Settle()
		w.Images.Add(&i)
	})
	return i.ID
}

// Instance returns an instance as it is, without a call.
func (r *Region) Instance(id string) (i Instance, ok bool) {
	r.Update(func(w *world.Region) { i, ok = get(&w.Instances, id) })
	return i, ok
}

// Volume returns a volume as it is.
func (r *Region) Volume(id string) (v Volume, ok bool) {
	r.Update(func(w *world.Region) {
		if v, ok = get(&w.Volumes, id); ok && v.Attachment != nil {
			a := *v.Attachment
			v.Attachment = &a
		}
	})
	return v, ok
}

// Snapshot returns a snapshot as it is.
func (r *Region) Snapshot(id string) (s Snapshot, ok bool) {
	r.Update(func(w *world.Region) { s, ok = get(&w.Snapshots, id) })
	return s, ok
}

func get[T any, P interface {
	*T
	world.Thing
}](s *world.Store[P], id string) (T, bool) {
	p, ok := s.Get(id)
	if !ok {
		var none T
		return none, false
	}
	return *p, true
}

// Volumes lists the volumes, in the order in which they came.
func (r *Region) Volumes() (volumes []Volume) {
	r.Update(func(w *world.Region) {
		for v := range w.Volumes.All(0) {
			volumes = append(volumes, *v)
		}
	})
	return volumes
}

// Snapshots lists the caller's own snapshots, in the order in which they came.
func (r *Region) Snapshots() (snapshots []Snapshot) {
	r.Update(func(w *world.Region) {
		for s := range w.Snapshots.All(0) {
			if s.Owner == Account {
				snapshots = append(snapshots, *s)
			}
		}
	})
	return snapshots
}

// Bin lists what is in the Recycle Bin.
func (r *Region) Bin() (snapshots []Snapshot) {
	r.Update(func(w *world.Region) {
		for s := range w.Bin.All(0) {
			snapshots = append(snapshots, *s)
		}
	})
	return snapshots
}

// SetState sets the state of an instance, such as stopped.
func (r *Region) SetState(instance, state string) {
	r.Update(func(w *world.Region) {
		if i, ok := w.Instances.Get(instance); ok {
			i.State = state
		}
	})
}

// DisableKey disables a key.
func (r *Region) DisableKey(name string) {
	r.Update(func(w *world.Region) {
		if k := w.FindKey(name); k != nil {
			k.Disabled = true
		}
	})
}

// Keys lists the ARNs of the keys.
func (r *Region) Keys() (arns []string) {
	r.Update(func(w *world.Region) {
		for _, k := range w.Keys {
			arns = append(arns, w.ARN("kms", "key/"+k.ID))
		}
	})
	return slices.Clone(arns)
}
