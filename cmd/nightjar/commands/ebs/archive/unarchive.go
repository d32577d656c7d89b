package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"

	"nightjar/backup/restore"
	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/choice"
	"nightjar/cmd/nightjar/internal/ec2flags"
	"nightjar/cmd/nightjar/internal/progress"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/cmd/nightjar/internal/thawing"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/cmd/nightjar/internal/volumes"
	"nightjar/internal/human"
	"nightjar/internal/quote"
	"nightjar/repo"
	"nightjar/snapshot"
	"nightjar/snapshot/blocks"
	"nightjar/snapshot/cloud"
	"nightjar/snapshot/image"
	"nightjar/snapshot/sets"
)

// tagFromArchive says of which archive a snapshot was made.
const tagFromArchive = snapshot.Prefix + "from-archive"

type unarchiveFlags struct {
	choice    choice.Choice
	thaw      thawing.Flags
	snapshots bool
	to        string
	force     bool
	parent    string
	encrypted bool
	key       string
	cost      float64
	ahead     int
	wait      bool
}

// UnarchiveCommand makes the command nightjar ebs unarchive.
func UnarchiveCommand(a *app.App, e *ec2flags.Flags) *cobra.Command {
	var u unarchiveFlags
	c := &cobra.Command{
		Use:   "unarchive ARCHIVE[:VOLUME]",
		Short: "Write volumes back out of the repository: to new EBS snapshots, or to a device or a file",
		Long: `Write volumes back out of the repository, where nightjar ebs archive has put them: with --to-snapshots, to new EBS snapshots, of which
nightjar ebs restore makes volumes; with --to, one volume to a device of this machine, or to a new file.

The snapshots are a set of their own, and any region and account will do. The same command again makes no second set: it goes on with what was
not completed. Amazon bills each block that is written; those that hold nothing are not.

A device is zeroed where the volume has nothing. One that is mounted or in use otherwise, or too small, is refused.`,
		Args: usage.OneArgument("ARCHIVE[:VOLUME]"),
		RunE: func(c *cobra.Command, args []string) error { return runUnarchive(c.Context(), a, e, args[0], &u) },
	}
	f := c.Flags()
	f.BoolVar(&u.snapshots, "to-snapshots", false, "make an EBS snapshot of each volume, in --region")
	f.StringVar(&u.to, "to", "", "write the volume to this `DEVICE`, or to this new file")
	f.BoolVar(&u.force, "force", false, "--to: write to a device that is in use, too")
	f.StringVar(&u.parent, "parent", "", "--to-snapshots: write only what differs from this `ARCHIVE`, whose snapshots are still there")
	f.BoolVar(&u.encrypted, "encrypted", false, "--to-snapshots: have Amazon encrypt them, as it may do anyway")
	f.StringVar(&u.key, "kms-key", "", "--to-snapshots: `ARN` of the key for that (default: the account's own)")
	f.Float64Var(&u.cost, "max-cost", 20, "do nothing if the calls would cost more `DOLLARS`, at the prices of us-east-1")
	f.IntVar(&u.ahead, "parallel", blocks.Ahead, fmt.Sprintf("blocks that are written at the same time, up to %d", blocks.MaxAhead))
	f.BoolVar(&u.wait, "wait", true, "--to-snapshots: wait until Amazon has completed them")
	u.choice.Bind(c)
	u.thaw.Bind(c)
	bucketFlags(a, c)
	return c
}

func (u *unarchiveFlags) check() error {
	switch {
	case u.snapshots == (u.to != ""):
		return usage.Errorf("say where to: --to-snapshots, or --to DEVICE or FILE")
	case u.to != "" && (u.parent != "" || u.encrypted || u.key != ""):
		return usage.Errorf("--parent, --encrypted and --kms-key go with --to-snapshots")
	case u.force && u.to == "":
		return usage.Errorf("--force goes with --to")
	case u.parent != "" && (u.encrypted || u.key != ""):
		return usage.Errorf("--parent goes without --encrypted and --kms-key: a snapshot is encrypted as its parent is")
	case u.cost < 0:
		return usage.Errorf("--max-cost %v: it is 0 or more", u.cost)
	case u.ahead < 1 || u.ahead > blocks.MaxAhead:
		return usage.Errorf("--parallel %d: there may be 1 to %d", u.ahead, blocks.MaxAhead)
	}
	return u.thaw.Check()
}

// An unarchiving is one run.
type unarchiving struct {
	*app.App
	*choice.Opened
	flags   *unarchiveFlags
	volumes []volumes.Volume
	parents map[string]volumes.Volume // by the volume's id
	other   *repo.Reader              // of the parents
	written atomic.Uint64
	all     uint64 // bytes to write
}

func runUnarchive(ctx context.Context, a *app.App, e *ec2flags.Flags, arg string, flags *unarchiveFlags) error {
	if err := flags.check(); err != nil {
		return err
	}
	if len(flags.choice.Kinds) == 0 {
		flags.choice.Kinds = []string{string(volumes.Kind)}
	}
	s, err := choice.OpenArchive(ctx, a, arg, session.ReadContent, &flags.choice)
	if err != nil {
		return err
	}
	defer s.Close()
	u := &unarchiving{App: a, Opened: s, flags: flags, parents: map[string]volumes.Volume{}}
	all, err := volumes.List(ctx, s.Reader, s.Archive)
	if err != nil {
		return err
	}
	for _, v := range all {
		if v.Match(s.Path) {
			u.volumes = append(u.volumes, v)
		}
	}
	if len(u.volumes) == 0 || flags.to != "" && len(u.volumes) > 1 {
		return usage.Errorf("archive %s has %d volumes of that name: nightjar ls %s:%s shows them. Name one: ARCHIVE:VOLUME", show.ShortID(s.Archive), len(u.volumes), show.ShortID(s.Archive), volumes.Folder)
	}
	need := func(add func(string, int64)) error {
		return restore.Needs(ctx, s.Reader, s.Archive, restore.Options{Path: s.Path}, add)
	}
	if err := thawing.Ask(ctx, a, s.Session, &flags.thaw, need); err != nil {
		return err
	}
	if flags.to != "" {
		return u.toImage(ctx)
	}
	return u.toSnapshots(ctx, e)
}

// pieces are what is to be written of a volume.
func (u *unarchiving) pieces(ctx context.Context, v *volumes.Volume) iter.Seq2[volumes.Piece, error] {
	if p, ok := u.parents[v.ID]; ok {
		return volumes.Changed(ctx, u.Reader, v.Contents, u.other, p.Contents)
	}
	return volumes.Walk(ctx, u.Reader, v.Contents)
}

func (u *unarchiving) meter() progress.Meter {
	return progress.Meter{
		Text:    func() string { return fmt.Sprintf("%s of %s written", human.Size(u.written.Load()), human.Size(u.all)) },
		Current: func() int64 { return int64(u.written.Load()) },
		Total:   func() int64 { return int64(u.all) },
		Bytes:   true,
	}
}

func (u *unarchiving) toImage(ctx context.Context) error {
	v := &u.volumes[0]
	u.all = uint64(v.Contents.Size())
	i, err := image.Open(u.flags.to, v.Contents.Size(), u.flags.force)
	switch {
	case errors.Is(err, image.ErrInUse):
		return usage.Hinted{Err: err, Hint: "nothing was written. Unmount it, or say --force if you know what uses it"}
	case errors.Is(err, image.ErrKind):
		return usage.Hinted{Err: err, Hint: "nothing was written. Name a device, or a file that is not there yet"}
	case err != nil:
		return err
	}
	stop := u.Follow(u.meter())
	err = volumes.Copy(ctx, u.Reader, u.pieces(ctx, v), func(p volumes.Piece, data []byte) error {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		u.written.Add(uint64(p.Length))
		if p.Hole {
			return i.Hole(p.At, p.Length)
		}
		return i.Block(p.At, data)
	})
	err = i.End(err)
	stop()
	if err != nil && i.Device() {
		return usage.Hinted{Err: err, Hint: "what is on the device now is neither what it was nor the volume"}
	}
	if err != nil {
		return err
	}
	if u.JSON {
		return u.PrintJSON(map[string]any{"archive": show.Archive(u.Archive), "volume": v.ID, "path": quote.Text(u.flags.to), "bytes": v.Contents.Size()})
	}
	if !u.Chatty() {
		return nil
	}
	return u.Result(fmt.Sprintf("%s of archive %s is on %s: %s", v.ID, show.ShortID(u.Archive), quote.Display(u.flags.to), human.ExactSize(u.all)))
}

func (u *unarchiving) toSnapshots(ctx context.Context, e *ec2flags.Flags) error {
	c, err := e.Open(ctx, u.App)
	if err != nil {
		return err
	}
	if err := u.findParents(ctx, c); err != nil {
		return err
	}
	var calls blocks.Calls
	for i := range u.volumes {
		for p, err := range u.pieces(ctx, &u.volumes[i]) {
			if err != nil {
				return err
			}
			if _, changed := u.parents[u.volumes[i].ID]; !p.Hole || changed {
				calls.Writes += uint64(p.Length / blocks.Size)
			}
		}
	}
	u.all = calls.Writes * blocks.Size
	says := fmt.Sprintf("%d blocks (%s) are to be written, for %s (prices of us-east-1, looked up in %d)", calls.Writes, human.Size(u.all), blocks.Dollars(calls.Price()), blocks.PriceYear)
	if calls.Price() > u.flags.cost {
		return usage.Hinted{Err: fmt.Errorf("%s, and --max-cost is %s", says, blocks.Dollars(u.flags.cost)), Hint: "nothing was written; allow it with --max-cost"}
	}
	if !u.JSON {
		u.Note("%s", says)
	}
	store := blocks.New(c.Blocks, u.flags.ahead)
	label, tags, err := u.label()
	if err != nil {
		return err
	}
	stop := u.Follow(u.meter())
	made := map[string]string{}
	for i := range u.volumes {
		if made[u.volumes[i].ID], err = u.write(ctx, c, store, &u.volumes[i], label, tags); err != nil {
			break
		}
	}
	if err == nil && u.flags.wait {
		for _, id := range made {
			if err = sets.AwaitCompleted(ctx, c, id); err != nil {
				break
			}
		}
	}
	stop()
	if err != nil {
		return err
	}
	return u.reportSnapshots(c, store, label, made)
}

// findParents finds the snapshots of the archive that only what differs from is written.
func (u *unarchiving) findParents(ctx context.Context, c *cloud.Cloud) error {
	if u.flags.parent == "" {
		return nil
	}
	other, err := choice.Find(ctx, u.App, u.Session, u.flags.parent, "", &choice.Choice{})
	if err != nil {
		return err
	}
	if u.other, err = u.NewReaderFor(ctx, other); err != nil {
		return err
	}
	all, err := volumes.List(ctx, u.other, other)
	if err != nil {
		return err
	}
	for _, v := range all {
		if _, err := oneSnapshot(ctx, c, v.Snapshot); err == nil && v.Region == c.Region {
			u.parents[v.ID] = v
		}
	}
	for _, v := range u.volumes {
		if _, ok := u.parents[v.ID]; !ok {
			u.Warn(fmt.Errorf("archive %s has no snapshot of %s that is still in %s: all of it is written", show.ShortID(other), v.ID, c.Region))
		}
	}
	return nil
}

// label returns what the tags of the new snapshots say: the archived set's, with an id of its own.
func (u *unarchiving) label() (l snapshot.Label, tags map[string]string, err error) {
	tags = map[string]string{tagFromArchive: u.Archive.ID[:16]}
	text := u.Archive.Labels[volumes.LabelTags]
	if text == "" || len(u.volumes) != len(volumes.Snapshots(u.Archive.Labels)) {
		return l, tags, nil // single snapshots
	}
	of := map[string]string{}
	if err := json.Unmarshal([]byte(text), &of); err != nil {
		return l, nil, fmt.Errorf("read label %s of archive %s: %w", volumes.LabelTags, show.ShortID(u.Archive), err)
	}
	if l, err = snapshot.Decode(of); err != nil {
		return l, nil, fmt.Errorf("read label %s of archive %s: %w", volumes.LabelTags, show.ShortID(u.Archive), err)
	}
	l.ID = strings.TrimRight(l.ID[:min(len(l.ID), 50)], ".-") + "-a" + u.Archive.ID[:8]
	if of, err = snapshot.Encode(l); err != nil {
		return l, nil, err
	}
	for key, value := range of {
		tags[key] = value
	}
	return l, tags, nil
}

// write makes the snapshot of a volume, unless that is there already.
func (u *unarchiving) write(ctx context.Context, c *cloud.Cloud, store *blocks.Store, v *volumes.Volume, l snapshot.Label, set map[string]string) (string, error) {
	t := blocks.Target{
		GiB: v.GiB, Encrypted: u.flags.encrypted, KMSKey: u.flags.key, Tags: map[string]string{snapshot.TagVolume: v.ID},
		Completed: func(ctx context.Context, id string) (bool, error) { return sets.IsCompleted(ctx, c, id) },
	}
	for key, value := range set {
		t.Tags[key] = value
	}
	if t.Description = fmt.Sprintf("nightjar: %s of %s, out of archive %.16s", v.ID, v.Snapshot, u.Archive.ID); l.ID != "" {
		t.Description = l.Description()
	}
	parent, ok := u.parents[v.ID]
	if ok {
		t.Parent = parent.Snapshot
	}
	for again := 0; ; again++ {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %s %s %v %s %d", u.Archive.ID, v.Path, c.Region, t.Parent, t.Encrypted, t.KMSKey, again))
		t.Token = hex.EncodeToString(sum[:])
		w, err := store.Write(ctx, t, func(ctx context.Context, put blocks.Put) error { return u.put(ctx, v, ok, put) })
		if errors.Is(err, blocks.ErrGivenUp) && again < 10 {
			continue // what was begun before came to nothing
		}
		return w.ID, err
	}
}

func (u *unarchiving) put(ctx context.Context, v *volumes.Volume, changed bool, put blocks.Put) error {
	zeros := make([]byte, blocks.Size)
	return volumes.Copy(ctx, u.Reader, u.pieces(ctx, v), func(p volumes.Piece, data []byte) error {
		if p.Hole && !changed {
			return nil
		}
		if p.At%blocks.Size != 0 || p.Length%blocks.Size != 0 || !p.Hole && p.Length != blocks.Size {
			return fmt.Errorf("%s is not cut into blocks at %d", v.Path, p.At)
		}
		for at := p.At; at < p.At+p.Length; at += blocks.Size {
			if p.Hole {
				data = zeros
			}
			if err := put(int32(at/blocks.Size), data); err != nil {
				return err
			}
			u.written.Add(blocks.Size)
		}
		return nil
	})
}

func (u *unarchiving) reportSnapshots(c *cloud.Cloud, store *blocks.Store, l snapshot.Label, made map[string]string) error {
	calls := store.Calls()
	if u.JSON {
		return u.PrintJSON(map[string]any{
			"archive": show.Archive(u.Archive), "region": c.Region, "set": l.ID, "snapshots": made, "blocks_written": calls.Writes, "price_usd": calls.Price(), "calls": c.Calls(),
		})
	}
	if u.Quiet {
		return nil
	}
	return u.Print(func(w io.Writer) {
		if l.ID != "" {
			fmt.Fprintf(w, "set %s in %s\n", quote.Display(l.ID), c.Region)
		}
		for _, v := range u.volumes {
			fmt.Fprintf(w, "%s  %s\n", v.ID, quote.Display(made[v.ID]))
		}
		if u.Chatty() {
			show.Block(w, [][2]string{{"blocks written", fmt.Sprintf("%d (%s)", calls.Writes, human.Size(calls.Writes*blocks.Size))}, {"price of the calls", blocks.Dollars(calls.Price())}})
		}
	})
}
