package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/spf13/cobra"

	"nightjar/backup"
	"nightjar/backup/content"
	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/choice"
	"nightjar/cmd/nightjar/internal/ec2flags"
	"nightjar/cmd/nightjar/internal/progress"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/cmd/nightjar/internal/volumes"
	"nightjar/internal/bounded"
	"nightjar/internal/human"
	"nightjar/internal/quote"
	"nightjar/internal/watch"
	"nightjar/repo"
	"nightjar/repo/pack"
	"nightjar/snapshot"
	"nightjar/snapshot/blocks"
	"nightjar/snapshot/cloud"
	"nightjar/snapshot/sets"
)

type archiveFlags struct {
	setJob, gtids string
	cost          float64
	ahead         int
	full          bool
	tags, labels  []string
	job           string
}

// ArchiveCommand makes the command nightjar ebs archive.
func ArchiveCommand(a *app.App, e *ec2flags.Flags) *cobra.Command {
	var r archiveFlags
	c := &cobra.Command{
		Use:   "archive SET|SNAPSHOT|latest",
		Short: "Save the blocks of EBS snapshots in the repository",
		Long: `Save the blocks of EBS snapshots in the repository, by the EBS direct APIs: of a set, of one snapshot, or of the newest whole set. Each
volume is a file of the archive, ` + volumes.Folder + `/VOLUME.img, which restore and cat read; ebs unarchive makes snapshots or devices of it.

Amazon bills each block that is read. Only what has changed since the snapshots of the job's last archive is read, as long as those are
there: they have a tag ` + snapshot.TagArchived + `-…, and ebs prune keeps them. What the calls will cost is said before; if it is more than --max-cost,
nothing is done.`,
		Args: usage.OneArgument("SET, SNAPSHOT or latest"),
		RunE: func(c *cobra.Command, args []string) error { return runArchive(c.Context(), a, e, args[0], &r) },
	}
	f := c.Flags()
	f.StringVar(&r.setJob, "set-job", "", "latest: of the sets of this `JOB` of ebs take alone")
	f.Float64Var(&r.cost, "max-cost", 10, "do nothing if the calls would cost more `DOLLARS`, at the prices of us-east-1")
	f.IntVar(&r.ahead, "parallel", blocks.Ahead, fmt.Sprintf("blocks that are read at the same time, up to %d", blocks.MaxAhead))
	f.BoolVar(&r.full, "full", false, "read everything, whatever the archive before has")
	f.StringVar(&r.gtids, "gtids", "", "the whole GTID set of the position, if it is too long for a tag: `FILE` that has it")
	f.StringArrayVar(&r.tags, "tag", nil, "a `TAG` of the archive; may be repeated")
	f.StringArrayVar(&r.labels, "label", nil, "a label `KEY=VALUE` of the archive; may be repeated")
	f.StringVar(&r.job, "job", "", "name of the job (default: the host, and the job of the set or the volume)")
	f.TextVar(&a.Compression, "compression", pack.Default, "the `LEVEL` to compress at: fastest, default or better")
	bucketFlags(a, c)
	return c
}

// bucketFlags are for the repository's bucket where --region and --endpoint are EC2's.
func bucketFlags(a *app.App, c *cobra.Command) {
	c.Flags().StringVar(&a.Bucket.Region, "bucket-region", "", "region of the repository's bucket (default: the AWS configuration's)")
	c.Flags().StringVar(&a.Bucket.Endpoint, "bucket-endpoint", "", "URL of the repository's S3 server, if it is not Amazon's (AWS_ENDPOINT_URL_S3, or endpoint_url of a profile)")
}

// An archiving is one run.
type archiving struct {
	*app.App
	flags *archiveFlags
	cloud *cloud.Cloud
	store *blocks.Store
	set   snapshot.Set // of one volume without an id, if a snapshot was named
	base  map[string]string
	plans []*blocks.Survey // of the set's snapshots
	files []*volumes.Known // likewise
	read  atomic.Uint64    // bytes of blocks
	all   atomic.Uint64
}

func (r *archiveFlags) plan() (*repo.Record, error) {
	if r.cost < 0 {
		return nil, usage.Errorf("--max-cost %v: it is 0 or more", r.cost)
	}
	if r.ahead < 1 || r.ahead > blocks.MaxAhead {
		return nil, usage.Errorf("--parallel %d: there may be 1 to %d", r.ahead, blocks.MaxAhead)
	}
	labels, err := choice.ParseLabels(r.labels)
	for _, own := range volumes.Own {
		if _, there := labels[own]; there && err == nil {
			err = usage.Errorf("label %q is the archive's own", own)
		}
	}
	return &repo.Record{Kind: volumes.Kind, Tags: choice.Texts(r.tags), Labels: labels, Program: "nightjar " + app.Version()}, err
}

func runArchive(ctx context.Context, a *app.App, e *ec2flags.Flags, what string, flags *archiveFlags) error {
	template, err := flags.plan()
	if err != nil {
		return err
	}
	r := &archiving{App: a, flags: flags}
	if r.cloud, err = e.Open(ctx, a); err != nil {
		return err
	}
	if r.set, err = archivable(ctx, r.cloud, what, flags.setJob); err != nil {
		return err
	}
	if err := r.position(); err != nil {
		return err
	}
	s, err := a.Open(ctx, session.Write)
	if err != nil {
		return err
	}
	defer s.Close()
	template.Job = repo.Text(cmp.Or(flags.job, s.Host+":ebs "+cmp.Or(r.set.Job, r.set.Volumes[0].ID)))
	o := backup.Options{Progress: new(watch.Progress), Problem: a.Problem, Now: a.Now}
	if o.Previous, err = s.Previous(ctx, template.Job); err != nil {
		return err
	}
	r.store = blocks.New(r.cloud.Blocks, flags.ahead)
	r.journals(s)
	defer r.close()
	stop := a.Follow(r.meter())
	made, sums, err := backup.Save(ctx, s.Repository, template, o, func(ctx context.Context, run *backup.Run) (repo.Labels, error) {
		if err := r.survey(ctx, run, o.Previous); err != nil {
			return nil, err
		}
		return r.save(ctx, run)
	})
	stop()
	if err != nil {
		return err
	}
	s.Wrote(made)
	r.forget()
	r.mark(ctx, s.Keyring.ID(), made, o.Previous)
	return app.MadeUntold(made, r.report(made, &sums, s.Requests()))
}

// archivable finds what is to be archived, which has to be completed.
func archivable(ctx context.Context, c *cloud.Cloud, what, job string) (s snapshot.Set, err error) {
	var found sets.Set
	switch {
	case what == "latest":
		all, _, err := sets.Read(ctx, c, sets.Query{Job: job})
		if err != nil {
			return s, err
		}
		all = slices.DeleteFunc(all, func(s sets.Set) bool { return !s.Whole() })
		if len(all) == 0 {
			return s, fmt.Errorf("find the latest set in %s: %w that is whole", c.Region, sets.ErrNone)
		}
		found = all[len(all)-1]
	case strings.HasPrefix(what, "snap-"):
		return oneSnapshot(ctx, c, what)
	default:
		if found, err = sets.Find(ctx, c, what); err != nil {
			return s, err
		}
	}
	if !found.Whole() {
		return s, usage.Hinted{Err: fmt.Errorf("archive set %s: it is not whole", quote.Display(found.ID)), Hint: "nightjar ebs list says what is missing, and nightjar ebs wait waits for snapshots that are pending; a snapshot can be archived by its own id"}
	}
	return found.Set, readable(found.Set)
}

// oneSnapshot returns a snapshot as a set of one volume.
func oneSnapshot(ctx context.Context, c *cloud.Cloud, id string) (s snapshot.Set, err error) {
	out, err := c.EC2.DescribeSnapshots(ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: []string{id}})
	if err != nil || len(out.Snapshots) != 1 {
		return s, fmt.Errorf("find %s in %s: %w", quote.Display(id), c.Region, cmp.Or(err, sets.ErrNone))
	}
	x := sets.Described(c.Region, out.Snapshots[0])
	s.Region, s.Snapshots, s.Time = c.Region, []snapshot.Snapshot{x}, x.Started
	label, err := snapshot.Decode(x.Tags)
	if err == nil {
		s.Job, s.Host = label.Job, label.Host
	}
	i := slices.IndexFunc(label.Volumes, func(v snapshot.Volume) bool { return v.ID == x.Volume })
	if s.Volumes = []snapshot.Volume{{ID: x.Volume}}; i >= 0 {
		s.Volumes[0] = label.Volumes[i]
	}
	return s, readable(s)
}

// readable returns why EBS would not let a snapshot be read.
func readable(s snapshot.Set) error {
	for _, x := range s.Snapshots {
		switch {
		case x.State != snapshot.Completed:
			return usage.Hinted{Err: fmt.Errorf("archive %s: it is %s, not completed", x.ID, quote.Display(string(x.State))), Hint: "EBS lets only completed snapshots be read: nightjar ebs wait"}
		case x.Archived:
			return usage.Hinted{Err: fmt.Errorf("archive %s: it is in Amazon's archive tier", x.ID), Hint: "bring it back first: aws ec2 restore-snapshot-tier"}
		}
	}
	return nil
}

// position completes the position with a GTID set that no tag has room for.
func (r *archiving) position() error {
	p := &r.set.Position
	if r.flags.gtids == "" {
		if p.GTIDs == "" && p.GTIDSum != "" {
			r.Warn(errors.New("the GTID set of the position is too long for a tag, and the archive will have its SHA-256 alone: name the file that has it with --gtids"))
		}
		return nil
	}
	text, err := bounded.ReadFile(r.flags.gtids, 1<<20)
	if err != nil {
		return usage.Errorf("--gtids: %w", err)
	}
	gtids := strings.TrimRight(string(text), "\r\n")
	if snapshot.SumGTIDs(gtids) != p.GTIDSum {
		return usage.Errorf("--gtids %s: it is not the GTID set whose SHA-256 the snapshots' tag has", r.flags.gtids)
	}
	p.GTIDs = gtids
	return nil
}

// survey counts what is to be read, says what that costs, and refuses it if it is too much.
func (r *archiving) survey(ctx context.Context, run *backup.Run, previous *repo.Archive) error {
	r.base = map[string]string{}
	if previous != nil && previous.Kind == volumes.Kind && !r.flags.full && string(previous.Labels[volumes.LabelRegion]) == r.cloud.Region {
		r.base = volumes.Snapshots(previous.Labels)
	}
	var calls blocks.Calls
	again := 0
	for i, x := range r.set.Snapshots {
		v, err := r.store.Survey(ctx, x.ID, r.base[volumes.Of(&r.set, i).ID], r.files[i].In(run))
		if err = cmp.Or(r.files[i].Err(), err); err != nil {
			return err
		}
		if v.Lost != nil {
			r.Warn(fmt.Errorf("the snapshot of the archive before is of no use, so all of %s is read: %w", volumes.Of(&r.set, i).ID, v.Lost))
		}
		r.plans, calls, again = append(r.plans, v), calls.Plus(v.Calls()), again+v.Again
	}
	r.all.Store(calls.Reads * blocks.Size)
	run.IndexEach(max(indexLeast, int(calls.Reads)/indexParts))
	price := calls.Plus(r.store.Calls()).Price()
	says := fmt.Sprintf("%d blocks (%s) are to be read, for %s (prices of us-east-1, looked up in %d)", calls.Reads, human.Size(r.all.Load()), blocks.Dollars(price), blocks.PriceYear)
	if again > 0 {
		says += fmt.Sprintf("; %d more were read by a run that broke off", again)
	}
	if price > r.flags.cost {
		return usage.Hinted{Err: fmt.Errorf("%s, and --max-cost is %s", says, blocks.Dollars(r.flags.cost)), Hint: "nothing was read. A first archive reads all that a volume ever held: allow it with --max-cost, once"}
	}
	if !r.JSON {
		r.Note("%s", says)
	}
	return nil
}

// meter says how far the reading is.
func (r *archiving) meter() progress.Meter {
	return progress.Meter{
		Text: func() string {
			return fmt.Sprintf("%s of %s read", human.Size(r.read.Load()), human.Size(r.all.Load()))
		},
		Current: func() int64 { return int64(r.read.Load()) },
		Total:   func() int64 { return int64(r.all.Load()) },
		Bytes:   true,
	}
}

// What is read is indexed whenever it is a part of all, or so many blocks: of a run that is killed no more is lost, besides what is on its way.
const (
	indexParts = 40
	indexLeast = 32 // as many as are in one pack, if they cannot be compressed
)

// journals opens those of the set's snapshots. Without them, a run that breaks off is paid for again.
func (r *archiving) journals(s *session.Session) {
	for _, x := range r.set.Snapshots {
		var j *volumes.Journal
		if s.Journals != "" {
			var err error
			if j, err = volumes.OpenJournal(s.Journals, r.cloud.Region, x.ID); err != nil {
				r.Warn(fmt.Errorf("if this breaks off, its blocks have to be read again: %w", err))
			}
		}
		r.files = append(r.files, volumes.NewKnown(j, s.Repository.Namer()))
	}
}

// forget deletes journals that are needed no more: the next archive takes over what this one has.
func (r *archiving) forget() {
	for _, f := range r.files {
		if err := f.Journal.Remove(); err != nil {
			r.Warn(err)
		}
	}
}

func (r *archiving) close() {
	for _, f := range r.files {
		_ = f.Journal.Close()
	}
}

func (r *archiving) save(ctx context.Context, run *backup.Run) (repo.Labels, error) {
	for i, x := range r.set.Snapshots {
		at := volumes.Of(&r.set, i)
		v := volumes.Volume{
			ID: at.ID, Snapshot: x.ID, Region: r.cloud.Region, GiB: r.plans[i].GiB, Device: at.Device, Mount: at.Mount, FS: at.FS, Encrypted: x.Encrypted, KMSKey: x.KMSKey,
		}
		file, err := run.Create(volumes.Path(at.ID), content.Hint{Mtime: r.set.Time})
		if err != nil {
			return nil, err
		}
		if err = v.Note(file); err == nil {
			err = r.store.Save(ctx, r.plans[i], r.files[i].Into(file, func(n int) { r.read.Add(uint64(n)) }))
		}
		if err == nil {
			err = file.Close()
		}
		if err != nil {
			file.Abort()
			return nil, err
		}
	}
	return volumes.Labels(&r.set)
}

// mark tags the snapshots that the next archive needs, and takes the mark of those that it does not need any more.
func (r *archiving) mark(ctx context.Context, repository string, made, previous *repo.Archive) {
	var ids []string
	var err error
	key := snapshot.ArchivedKey(repository, string(made.Job))
	for i := range r.set.Snapshots {
		x := &r.set.Snapshots[i]
		ids, err = append(ids, x.ID), errors.Join(err, x.MayArchive(key))
	}
	if err == nil {
		err = sets.SetTags(ctx, r.cloud, map[string]string{key: made.ID[:16]}, ids...)
	}
	if err != nil {
		r.Warn(fmt.Errorf("the archive was made, but its snapshots could not be marked for ebs prune to keep: %w", err))
		return // those of before stay marked
	}
	for _, id := range r.base {
		if slices.Contains(ids, id) {
			continue
		}
		_, err := r.cloud.EC2.DeleteTags(ctx, &ec2.DeleteTagsInput{Resources: []string{id}, Tags: []types.Tag{
			{Key: &key, Value: aws.String(previous.ID[:16])}, {Key: aws.String(snapshot.TagArchived), Value: aws.String(previous.ID[:16])},
		}})
		if code := cloud.Code(err); err != nil && code != "InvalidSnapshot.NotFound" {
			r.Warn(fmt.Errorf("take the mark of the archive before off %s: %w", id, err))
		}
	}
}

func (r *archiving) report(made *repo.Archive, sums *backup.Statistics, requests map[string]uint64) error {
	calls := r.store.Calls()
	if r.JSON {
		list := []map[string]any{}
		for i, v := range r.plans {
			list = append(list, map[string]any{"volume": volumes.Of(&r.set, i).ID, "snapshot": v.Snapshot, "base": v.Base, "bytes": v.Bytes(), "blocks_read": v.Blocks, "blocks_cleared": v.Cleared})
		}
		return r.PrintJSON(map[string]any{
			"archive": show.Archive(made), "statistics": sums.Map(), "requests": show.Requests(requests),
			"ebs": map[string]any{"region": r.cloud.Region, "volumes": list, "lists": calls.Lists, "blocks_read": calls.Reads, "price_usd": calls.Price(), "calls": r.cloud.Calls()},
		})
	}
	if !r.Chatty() {
		return nil
	}
	return r.Print(func(w io.Writer) {
		show.Backup(w, made, sums, r.Problems.Load(), requests)
		show.Block(w, [][2]string{
			{"blocks read", fmt.Sprintf("%d (%s)", calls.Reads, human.Size(calls.Reads*blocks.Size))},
			{"lists read", fmt.Sprint(calls.Lists)},
			{"price of the calls", blocks.Dollars(calls.Price())},
		})
	})
}
