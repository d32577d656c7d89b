package world

import (
	"strings"
	"time"
)

// ArbitraryVolume is what copies say that they are of.
const ArbitraryVolume = "vol-ffffffff"

// An Instance is a virtual machine.
type Instance struct {
	Meta
	Zone       string // empty: the region's first
	Type       string // empty: m7i.large
	RootDevice string // empty: /dev/xvda
	State      string // empty: running
	Image      string
	Launched   time.Time // zero: now
	Profile    string    // name of its role; empty: none
	MaxVolumes int       // that can be attached; 0: 27
}

// A Volume is an EBS volume.
type Volume struct {
	Meta
	Zone       string // empty: the region's first
	GiB        int    // 0: that of its file, rounded up, or 8
	Type       string // empty: gp3
	IOPS       int
	Throughput int // MiB/s
	InitRate   int // MiB/s
	Encrypted  bool
	KMSKey     string // ARN; empty, of an encrypted one: the account's own
	Snapshot   string // that it was made from
	Backing    string // the file that has its bytes; empty: the server makes one
	Created    time.Time
	State      string // empty: available
	Attachment *Attachment
	Lineage    string // what blocks it shares
	Fails      string // what one that is being created will come to: an error

	described int
}

// An Attachment is of a volume to an instance.
type Attachment struct {
	Volume, Instance, Device string
	State                    string // attaching, attached, detaching, busy
	Backing                  string // the volume's file
	Time                     time.Time
	DeleteOnTermination      bool
	Stuck                    bool // it stays attaching

	described int
}

// A Snapshot is an EBS snapshot.
type Snapshot struct {
	Meta
	Volume      string
	Owner       string   // empty: the caller's account
	Alias       string   // of the owner, such as amazon
	SharedWith  []string // accounts that may make volumes of it
	Public      bool
	Description string
	State       string // empty: completed
	Message     string // of an error
	Fails       string // what a pending one will come to: the message of an error
	GiB         int    // 0: 8
	Started     time.Time
	Completed   time.Time
	Encrypted   bool
	KMSKey      string // ARN
	Copy        bool   // it is being, or was, copied from another
	Duration    int    // minutes of a time-based copy; 0: none
	FullCopy    bool   // of a copy: nothing was there that it could build on
	File        string // its bytes; empty: zeros
	Stored      int64  // bytes that hold something; 0: as the file has it
	Lineage     string // of volumes whose blocks can be compared
	Archived    bool   // it is in the archive tier
	TierStatus  string // of the last move
	TierStart   time.Time
	ArchivedAt  time.Time
	Restored    time.Time // until when an archived one is in the standard tier too; zero: it is not
	Lock        *Lock
	Deleted     time.Time // when it came into the Recycle Bin
	Expires     time.Time // when it leaves the Recycle Bin

	described int
	tiered    int
}

// A Lock keeps a snapshot from being deleted.
type Lock struct {
	Mode    string // governance, compliance
	Created time.Time
	Days    int
	CoolOff int       // hours
	Starts  time.Time // when the days begin
	Expires time.Time
}

// Cooled is when the cooling-off period of a lock in compliance mode ends.
func (l *Lock) Cooled() time.Time { return l.Created.Add(time.Duration(l.CoolOff) * time.Hour) }

// Moving tells whether the snapshot is on its way between tiers.
func (s *Snapshot) Moving() bool { return strings.HasSuffix(s.TierStatus, "-in-progress") }

// An Image is an AMI.
type Image struct {
	Meta
	Name      string
	Owner     string            // empty: the caller's account
	State     string            // empty: available
	Snapshots map[string]string // device → snapshot
	Root      string            // device; empty: /dev/xvda
	Created   time.Time
}

// A Key is of KMS.
type Key struct {
	ID       string // empty: one is made
	Alias    string // alias/…
	Disabled bool
	Pending  bool // it waits to be deleted
}

// An Upload is a snapshot that is written block by block.
type Upload struct {
	Snapshot string
	Token    string
	Request  string
	Timeout  time.Duration
	Last     time.Time
	Blocks   map[int][32]byte
}

// FindKey returns a key by its ID, ARN, alias or alias's ARN; nil: there is none.
func (r *Region) FindKey(name string) *Key {
	for _, k := range r.Keys {
		if name == k.ID || name == r.ARN("kms", "key/"+k.ID) || k.Alias != "" && (name == k.Alias || name == r.ARN("kms", k.Alias)) {
			return k
		}
	}
	return nil
}

// OwnKey is the key of EBS that every region has.
func (r *Region) OwnKey() string {
	if r.FindKey("alias/aws/ebs") == nil {
		r.Keys = append(r.Keys, &Key{ID: r.UUID(), Alias: "alias/aws/ebs"})
	}
	return r.ARN("kms", "key/"+r.FindKey("alias/aws/ebs").ID)
}

// UUID makes one. The lock is held.
func (w *World) UUID() string {
	a, b := w.ids.Uint64(), w.ids.Uint64()
	return uuid(a, b)
}
