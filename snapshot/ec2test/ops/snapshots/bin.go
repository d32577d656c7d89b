package snapshots

import (
	"nightjar/snapshot/ec2test/ops/call"
	"nightjar/snapshot/ec2test/query"
	"nightjar/snapshot/ec2test/world"
)

type listBinIn struct {
	call.Dry
	call.Paging
	IDs []string `q:"SnapshotId"`
}

type binOut struct {
	ID          string     `xml:"snapshotId"`
	Volume      string     `xml:"volumeId"`
	Description string     `xml:"description"`
	Entered     query.Time `xml:"recycleBinEnterTime"`
	Leaves      query.Time `xml:"recycleBinExitTime"`
}

type listBinOut struct {
	Snapshots []binOut `xml:"snapshotSet>item"`
	Next      string   `xml:"nextToken,omitempty"`
}

func listSnapshotsInRecycleBin(r *call.Request, in listBinIn) (any, error) {
	if err := call.CheckIDs("snap", in.IDs); err != nil {
		return nil, err
	}
	pg, err := in.Page("snapshotId", nil, len(in.IDs), 5, false)
	if err != nil {
		return nil, err
	}
	if err := r.May(); err != nil {
		return nil, err
	}
	for _, id := range in.IDs {
		if _, ok := r.Bin.Get(id); !ok {
			return nil, call.NotFound(id)
		}
	}
	out := listBinOut{}
	out.Next = call.Paged(r, pg, r.Bin.Of(in.IDs, pg.After), func(s *world.Snapshot) uint64 { return s.Ordinal }, func(*world.Snapshot) bool { return true }, func(s *world.Snapshot) {
		out.Snapshots = append(out.Snapshots, binOut{s.ID, s.Volume, s.Description, query.Time{Time: s.Deleted}, query.Time{Time: s.Expires}})
	})
	return out, nil
}

type restoreBinIn struct {
	call.Dry
	ID string `q:"SnapshotId,required"`
}

type restoreBinOut struct {
	ID          string     `xml:"snapshotId"`
	Volume      string     `xml:"volumeId"`
	State       string     `xml:"status"`
	Started     query.Time `xml:"startTime"`
	Progress    string     `xml:"progress"`
	Owner       string     `xml:"ownerId"`
	Description string     `xml:"description"`
	GiB         int        `xml:"volumeSize"`
	Encrypted   bool       `xml:"encrypted"`
}

func restoreSnapshotFromRecycleBin(r *call.Request, in restoreBinIn) (any, error) {
	if err := call.CheckID("snap", in.ID); err != nil {
		return nil, err
	}
	if err := r.May(); err != nil {
		return nil, err
	}
	s, ok := r.Bin.Get(in.ID)
	if !ok {
		return nil, call.NotFound(in.ID)
	}
	r.Bin.Delete(s.ID)
	r.Snapshots.Add(s)
	return restoreBinOut{s.ID, s.Volume, s.State, query.Time{Time: s.Started}, "100%", s.Owner, s.Description, s.GiB, s.Encrypted}, nil
}

type blockStateIn struct{ call.Dry }

type blockStateOut struct {
	State   string `xml:"state"`
	Managed string `xml:"managedBy"`
}

func getSnapshotBlockPublicAccessState(r *call.Request, _ blockStateIn) (any, error) {
	if err := r.May(); err != nil {
		return nil, err
	}
	state := r.Block[r.Name]
	if state == "" {
		state = "unblocked"
	}
	return blockStateOut{state, "account"}, nil
}
