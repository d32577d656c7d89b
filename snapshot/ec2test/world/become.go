package world

import (
	"fmt"
	"time"
)

func uuid(a, b uint64) string {
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>52, b&0xffffffffffff)
}

// Describe counts a Describe call that shows the snapshot, and has it come to what it becomes by itself. It returns how far it is, in percent.
func (r *Region) Describe(s *Snapshot) int {
	progress := r.grow(s)
	if s.Moving() {
		s.tiered++
		if r.Pending == 0 && s.tiered >= 2 || r.Pending > 0 && r.Now().Sub(s.TierStart) >= r.Pending {
			r.tier(s)
		}
	}
	if !s.Restored.IsZero() && s.TierStatus == "temporary-restore-completed" && !r.Now().Before(s.Restored) {
		s.Restored, s.TierStatus = time.Time{}, "archival-completed"
	}
	return progress
}

func (r *Region) tier(s *Snapshot) {
	s.tiered = 0
	switch s.TierStatus {
	case "archival-in-progress":
		s.Archived, s.ArchivedAt, s.TierStatus = true, r.Now(), "archival-completed"
	case "temporary-restore-in-progress":
		s.TierStatus = "temporary-restore-completed"
	case "permanent-restore-in-progress":
		s.Archived, s.Restored, s.TierStatus = false, time.Time{}, "permanent-restore-completed"
	}
}

func (r *Region) grow(s *Snapshot) int {
	if s.State != "pending" || r.Uploads[s.ID] != nil {
		if s.State == "error" || s.State == "pending" {
			return 0
		}
		return 100
	}
	s.described++
	passed := r.Now().Sub(s.Started)
	done := r.Pending == 0 && s.described >= 2 || r.Pending > 0 && passed >= r.Pending
	switch {
	case done && s.Fails != "":
		s.State, s.Message, s.Fails = "error", s.Fails, ""
		return 0
	case done:
		s.State, s.Completed = "completed", r.Now()
		return 100
	case r.Pending == 0:
		return 50
	}
	return int(100 * passed / r.Pending)
}

// Pass has the snapshots come to what time alone makes of them, seen or not.
func (r *Region) Pass() {
	for s := range r.Bin.All(0) {
		if !s.Expires.After(r.Now()) {
			r.Bin.Delete(s.ID)
			r.Remove(s.File)
			break // the list has changed; the next call goes on
		}
	}
}

// DescribeVolume counts a Describe call that shows the volume.
func (r *Region) DescribeVolume(v *Volume) {
	switch v.State {
	case "creating":
		if v.described++; v.described >= 2 {
			v.State = "available"
			if v.Fails != "" {
				v.State = "error"
			}
		}
	case "deleting":
		if v.described++; v.described >= 2 {
			r.Volumes.Delete(v.ID)
		}
	}
	if v.Attachment != nil {
		r.DescribeAttachment(v)
	}
}

// DescribeAttachment counts a Describe call that shows a volume's attachment.
func (r *Region) DescribeAttachment(v *Volume) {
	a := v.Attachment
	switch a.State {
	case "attaching":
		if a.described++; a.described >= 2 && !a.Stuck {
			a.State, a.described = "attached", 0
		}
	case "detaching": // busy stays so until it is asked for again
		if a.described++; a.described >= 2 {
			v.Attachment, v.State = nil, "available"
		}
	}
}

// Progress is what the last Describe call showed, in percent.
func (s *Snapshot) Progress() int {
	switch {
	case s.State == "completed":
		return 100
	case s.State == "pending" && s.described > 0:
		return 50
	}
	return 0
}

// Bytes are those of all blocks that hold something.
func (s *Snapshot) Bytes() int64 {
	if s.Stored == 0 && s.File != "" {
		blocks, err := Blocks(s.File)
		if err == nil {
			s.Stored = int64(len(blocks)) * Block
		}
	}
	return s.Stored
}

// Full notes whether a copy has to be a full one: there is no completed copy of the same volume under the same key that it could build on.
func (r *Region) Full(c *Snapshot) {
	c.FullCopy = true
	for s := range r.Snapshots.All(0) {
		if s.Copy && s.State == "completed" && s.Lineage == c.Lineage && s.KMSKey == c.KMSKey && !s.Archived {
			c.FullCopy = false
		}
	}
}

// Quota is how many snapshots the account may have here.
func (r *Region) Quota() int {
	if r.SnapshotQuota > 0 {
		return r.SnapshotQuota
	}
	return 100_000
}

// Unlocked tells whether a lock has run out.
func (r *Region) Unlocked(l *Lock) bool { return !l.Expires.IsZero() && !r.Now().Before(l.Expires) }
