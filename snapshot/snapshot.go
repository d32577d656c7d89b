// Package snapshot has the words for EBS snapshots that belong together: sets, what their tags say, and what makes a database stand still
// while they are taken.
//
// A set is known by the tags of its snapshots alone: nothing is kept of it anywhere else, so that any machine with the account's
// permission can list, keep, copy and restore it.
//
// The invariant: a set is never labelled more consistent than it is, and what tags say is hostile until Decode has accepted it.
//
// The package calls no server and knows no clock: see cloud for the calls, and the packages beside it for what is done with sets.
package snapshot

import (
	"context"
	"time"
)

// Consistency says what restored volumes of a set hold.
type Consistency string

// From the weakest to the strongest.
const (
	// Apart: volumes were not taken at one moment. Each is as after a loss of power, and they need not fit together.
	Apart Consistency = "apart"
	// Crash: all volumes as at one moment, as after a loss of power.
	Crash Consistency = "crash"
	// FileSystem: besides, all that had been written to files was on the volumes.
	FileSystem Consistency = "filesystem"
	// Application: besides, the database stood still, at the position that the set has.
	Application Consistency = "application"
)

// A Set is what was taken together: a snapshot of each of some volumes.
type Set struct {
	Label
	Region    string
	Snapshots []Snapshot // in order of the volumes that were taken
}

// A Label is what all snapshots of a set say of it.
type Label struct {
	ID          string // of the set; the same in copies
	Job         string
	Host        string // that the volumes were attached to; the instance's id if it has no name
	Time        time.Time
	Class       string // of retention: what a schedule calls it, such as "nightly"; empty: none
	Consistency Consistency
	Why         string // why it is no better, in a few words; empty: it is what was asked for
	Position    Position
	Volumes     []Volume // all that were asked for, so that a missing snapshot is seen
}

// A Position says where the database stood that a set of consistency Application holds. The zero value: nobody asked one.
type Position struct {
	File    string // of the binary log
	Offset  uint64
	GTIDs   string // the whole set; empty in what tags say if it was too long for one
	GTIDSum string // hex SHA-256 of the GTIDs as they were
	Server  string // its UUID, or its server_id where it has none
}

// A Volume is where a volume of a set was.
type Volume struct {
	ID     string // vol-…
	Device string // as the instance's block device mapping names it: /dev/sdf
	Mount  string // where it was mounted; empty: nowhere, or nobody looked
	FS     string // its file system, such as xfs
	Mode   string // options of the mount that a restore needs, such as "noatime"
	Boot   bool   // it is the instance's root volume
}

// A Snapshot is one snapshot as a region describes it.
type Snapshot struct {
	ID          string
	Region      string
	Volume      string // that it is of, as its set's label says: of a copy EC2 itself does not know
	State       State
	Message     string // EC2's word on a failure
	Progress    int    // in percent
	Started     time.Time
	GiB         int   // size of the volume
	Bytes       int64 // all blocks that hold something; 0: EC2 does not say
	Encrypted   bool
	KMSKey      string // its ARN
	Archived    bool   // it is in the archive tier, and has to be brought back before use
	CopyOf      string // the snapshot that it is a copy of, and
	CopyFrom    string // its region; empty: it is none
	Description string
	Tags        map[string]string
}

// State is what has become of a snapshot.
type State string

// What EC2 calls them.
const (
	Pending     State = "pending"
	Completed   State = "completed"
	Failed      State = "error"
	Recoverable State = "recoverable"
	Recovering  State = "recovering"
)

// A Freezer makes a database stand still.
type Freezer interface {
	// Freeze holds all writers back, has the database write down what it must, and returns where it stands. Writers wait until Thaw, or until
	// most has passed, whatever becomes of this process. If it fails, nothing is held.
	Freeze(ctx context.Context, most time.Duration) (Position, error)
	// Held returns an error if writers were let go already.
	Held(ctx context.Context) error
	// Thaw lets writers go on. A second call does nothing.
	Thaw() error
}
