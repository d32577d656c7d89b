// Package metrics writes how jobs and the repository stand in the text format of Prometheus, as node_exporter's textfile collector reads it.
//
// The invariant: how many series there are is bounded whatever hosts call their jobs, and what is not known has no series: a zero is a measured one. Everything is a gauge, since
// each file tells of a state; times are Unix timestamps, so that an alarm goes by an age that grows though nobody writes the file any more.
package metrics

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"nightjar/cmd/nightjar/internal/overview"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/job/record"
)

const (
	maxJobs  = 1000 // of which there are series
	maxKeys  = 1000
	maxKinds = 20  // of objects
	maxLabel = 200 // runes
)

// A State is what is told.
type State struct {
	Lines      []overview.Line
	Readable   bool // the repository could be read
	Repository string
	Version    string // of the program
	Sizes      *Sizes // nil: not known
	Keys       []show.KeyJSON
	Archives   map[string]int // by hosts
	Prune      *Prune         // nil: not known
	Pending    int            // records that wait on this machine
	Stopped    int            // replicas that were left stopped by a process that was killed
}

// Prune says what waits to be deleted.
type Prune struct {
	Condemned int       // lists
	Oldest    time.Time // when the oldest was stored; zero: there is none
}

// A Metric is one that may be written.
type Metric struct {
	Name, Help string
	Labels     []string
}

// perJob are the labels of what is told of jobs. Prometheus keeps "job" for what it reads itself.
var perJob = []string{"host", "job_name"}

// perTier are those of what is told of EBS snapshots; a tier is standard or archive.
var perTier = []string{"host", "job_name", "region", "tier"}

// Metrics are all that there are.
var Metrics = []Metric{
	{"nightjar_info", "The program, and the repository that it reads; always 1.", []string{"version", "repository"}},
	{"nightjar_repository_up", "Whether the repository could be read (1) or not (0).", nil},
	{"nightjar_repository_measured_timestamp_seconds", "When the size of the repository was last measured, at most once in 20 hours.", nil},
	{"nightjar_repository_objects", "Objects in the repository.", []string{"kind"}},
	{"nightjar_repository_bytes", "Bytes of the objects in the repository.", []string{"kind"}},
	{"nightjar_archives", "Archives in the repository, without records of runs and drills.", []string{"host"}},
	{"nightjar_prune_condemned_lists", "Lists of what prune is about to delete when the grace period is over.", nil},
	{"nightjar_prune_condemned_oldest_timestamp_seconds", "Since when the oldest of these lists waits.", nil},
	{"nightjar_key_expiry_timestamp_seconds", "When a key that is in use expires; keys that never do have no series.", []string{"use", "fingerprint", "host"}},
	{"nightjar_records_pending", "Records of runs that this machine could not write to the repository yet.", nil},
	{"nightjar_replicas_left_stopped", "Replicas whose SQL thread a process of nightjar on this machine has stopped, and was killed.", nil},
	{"nightjar_jobs_left_out", "Jobs without series, since there are more than 1000.", nil},

	{"nightjar_job_info", "A job; always 1.", []string{"host", "job_name", "kind"}},
	{"nightjar_job_ended", "The job was taken out of its job file, or its host is no longer enrolled; always 1.", perJob},
	{"nightjar_job_last_success_timestamp_seconds", "When the last run ended that succeeded, with problems or without.", perJob},
	{"nightjar_job_last_run_timestamp_seconds", "When the last run ended.", perJob},
	{"nightjar_job_last_run_success", "Whether the last run succeeded, with problems or without (1), or failed (0).", perJob},
	{"nightjar_job_last_run_problems", "Whether the last run succeeded with problems (1) or not (0).", perJob},
	{"nightjar_job_last_run_exit_code", "Exit code of the last run.", perJob},
	{"nightjar_job_last_run_duration_seconds", "How long the last run took.", perJob},
	{"nightjar_job_due_timestamp_seconds", "When the job is due next, by its schedule.", perJob},
	{"nightjar_job_overdue_timestamp_seconds", "When the job is, or was, overdue unless it succeeds again.", perJob},
	{"nightjar_job_running_timestamp_seconds", "Since when the service runs, unless it has ended or was killed since it was heard of last.", perJob},
	{"nightjar_job_records_unreadable", "Records of the job that cannot be read, or do not count.", perJob},
	{"nightjar_job_archive_timestamp_seconds", "When the job's newest archive was stored.", perJob},
	{"nightjar_job_archive_bytes", "Bytes of the files in the newest archive.", perJob},
	{"nightjar_job_archive_files", "Files in the newest archive.", perJob},
	{"nightjar_job_archive_stored_bytes", "Bytes that the newest archive added to the repository.", perJob},
	{"nightjar_job_archive_unread_files", "Files that the newest archive lacks, since they could not be read.", perJob},
	{"nightjar_job_binlog_file_number", "Number in the name of the binary log up to which the newest archive goes.", perJob},
	{"nightjar_job_binlog_offset_bytes", "Offset in that binary log.", perJob},
	{"nightjar_job_binlog_position_timestamp_seconds", "When that position was read, by the server's clock: the server's changes since then are in no archive of the job.", perJob},
	{"nightjar_job_binlog_gtid_info", "GTIDs up to which the newest archive goes, cut after 200 characters; always 1.", []string{"host", "job_name", "gtid"}},
	{"nightjar_job_binlog_read_bytes", "Bytes of binary logs that the last run read: how far the archives were behind.", perJob},
	{"nightjar_job_binlog_behind_bytes", "Bytes of binary logs that the server had written when the run of the newest archive ended, and the archive does not have.", perJob},
	{"nightjar_job_binlog_gaps", "Gaps in the chain of binary logs that the last run found.", perJob},
	{"nightjar_job_lock_seconds", "How long the last run held a lock of the database server.", perJob},
	{"nightjar_job_lock_attempts", "How often the last run tried to get it.", perJob},
	{"nightjar_job_freeze_seconds", "How long the last run had file systems frozen.", perJob},
	{"nightjar_ebs_snapshots", "Completed EBS snapshots of the job's sets, and copies of them, when the last run ended.", perTier},
	{"nightjar_ebs_snapshot_bytes", "Bytes that these snapshots take, each block once, as EBS bills them; where they were counted.", perTier},
	{"nightjar_ebs_snapshot_cost_dollars", "What these bytes cost a month in USD, without requests and traffic.", perTier},
	{"nightjar_ebs_snapshot_at_most_bytes", "Bytes if each of these snapshots was kept as a whole: an upper bound.", perTier},
	{"nightjar_ebs_snapshot_cost_at_most_dollars", "What the upper bound would cost a month in USD.", perTier},
	{"nightjar_job_last_drill_timestamp_seconds", "When the last drill of the job's archives ended.", perJob},
	{"nightjar_job_last_drill_success", "Whether that drill ended well (1) or not (0).", perJob},
	{"nightjar_job_last_proven_timestamp_seconds", "When the last drill ended that proved that the job's archives can be restored.", perJob},
	{"nightjar_job_proven_position_timestamp_seconds", "When the position was read that this drill has proved, by the server's clock.", perJob},
}

// A writer has the gauges by their names.
type writer struct {
	registry *prometheus.Registry
	gauges   map[string]*prometheus.GaugeVec
}

// Text returns the metrics. The same State gives the same bytes.
func Text(s *State) ([]byte, error) {
	w := writer{prometheus.NewPedanticRegistry(), map[string]*prometheus.GaugeVec{}}
	for _, m := range Metrics {
		w.gauges[m.Name] = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: m.Name, Help: m.Help}, m.Labels)
		if err := w.registry.Register(w.gauges[m.Name]); err != nil {
			return nil, fmt.Errorf("write metrics: %w", err)
		}
	}
	w.machine(s)
	w.repository(s)
	for i := range min(len(s.Lines), maxJobs) {
		w.job(&s.Lines[i])
	}
	w.set("nightjar_jobs_left_out", float64(max(len(s.Lines)-maxJobs, 0)))
	families, err := w.registry.Gather()
	var text bytes.Buffer
	for _, f := range families {
		if err == nil {
			_, err = expfmt.MetricFamilyToText(&text, f)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("write metrics: %w", err)
	}
	return text.Bytes(), nil
}

func (w *writer) set(name string, value float64, labels ...string) {
	w.gauges[name].WithLabelValues(labels...).Set(value)
}

// label is a name that others have chosen as the value of a label.
func label(text string) string {
	s := overview.Shown(text)
	if r := []rune(s); len(r) > maxLabel {
		s = string(r[:maxLabel-1]) + "…"
	}
	return s
}

// at sets a time, unless it is not known.
func (w *writer) at(name string, t time.Time, labels ...string) {
	if !t.IsZero() {
		w.set(name, float64(t.UnixMilli())/1000, labels...)
	}
}

func (w *writer) machine(s *State) {
	w.set("nightjar_info", 1, s.Version, s.Repository)
	w.set("nightjar_repository_up", truth(s.Readable))
	w.set("nightjar_records_pending", float64(s.Pending))
	w.set("nightjar_replicas_left_stopped", float64(s.Stopped))
}

var kindName = regexp.MustCompile(`^[a-z]{1,20}$`)

func (w *writer) repository(s *State) {
	if s.Sizes != nil {
		w.at("nightjar_repository_measured_timestamp_seconds", s.Sizes.Measured)
		for kind, sum := range s.Sizes.bounded() {
			w.set("nightjar_repository_objects", float64(sum.Count), kind)
			w.set("nightjar_repository_bytes", float64(sum.Bytes), kind)
		}
	}
	for host, n := range s.Archives {
		w.set("nightjar_archives", float64(n), label(host))
	}
	if s.Prune != nil {
		w.set("nightjar_prune_condemned_lists", float64(s.Prune.Condemned))
		w.at("nightjar_prune_condemned_oldest_timestamp_seconds", s.Prune.Oldest)
	}
	for i := range min(len(s.Keys), maxKeys) {
		if k := &s.Keys[i]; k.Until.IsZero() && !k.Compromised {
			w.at("nightjar_key_expiry_timestamp_seconds", k.Expires, k.Use, string(k.Fingerprint), label(k.Host))
		}
	}
}

func (w *writer) job(l *overview.Line) {
	host, job := label(l.Host), label(l.Job)
	w.set("nightjar_job_info", 1, host, job, label(l.Kind))
	if l.State == overview.Ended {
		w.set("nightjar_job_ended", 1, host, job)
		return
	}
	w.at("nightjar_job_last_success_timestamp_seconds", l.Success, host, job)
	w.at("nightjar_job_due_timestamp_seconds", l.Due, host, job)
	w.at("nightjar_job_overdue_timestamp_seconds", l.Overdue, host, job)
	w.at("nightjar_job_running_timestamp_seconds", l.Running, host, job)
	w.set("nightjar_job_records_unreadable", float64(l.PassedOver), host, job)
	if r := l.Last; r != nil {
		w.at("nightjar_job_last_run_timestamp_seconds", r.Ended, host, job)
		w.set("nightjar_job_last_run_success", truth(r.Outcome != record.Failed), host, job)
		w.set("nightjar_job_last_run_problems", truth(r.Outcome == record.Problems), host, job)
		w.set("nightjar_job_last_run_exit_code", float64(r.Exit), host, job)
		w.set("nightjar_job_last_run_duration_seconds", r.Duration, host, job)
		w.figures(r.Figures, host, job)
		w.stored(r.Stored, host, job)
	}
	if a := l.Archive; a != nil {
		w.at("nightjar_job_archive_timestamp_seconds", a.Stored, host, job)
		w.set("nightjar_job_archive_bytes", float64(a.Bytes), host, job)
		w.set("nightjar_job_archive_files", float64(a.Files), host, job)
		w.set("nightjar_job_archive_stored_bytes", float64(a.New), host, job)
		w.set("nightjar_job_archive_unread_files", float64(a.Unread), host, job)
	}
	w.position(l.Position, host, job)
	if d := l.Drill; d != nil {
		w.at("nightjar_job_last_drill_timestamp_seconds", d.Ended, host, job)
		w.set("nightjar_job_last_drill_success", truth(d.Outcome == record.Done), host, job)
	}
	if d := l.Proven; d != nil {
		w.at("nightjar_job_last_proven_timestamp_seconds", d.Ended, host, job)
		if d.Position != nil {
			w.at("nightjar_job_proven_position_timestamp_seconds", d.Position.Time, host, job)
		}
	}
}

// measured are figures of a run, and by how much they are divided.
var measured = []struct {
	metric, figure string
	by             float64
}{
	{"nightjar_job_binlog_read_bytes", "binlog_bytes_read", 1},
	{"nightjar_job_binlog_gaps", "binlog_gaps", 1},
	{"nightjar_job_lock_seconds", "lock_milliseconds", 1000},
	{"nightjar_job_lock_attempts", "lock_attempts", 1},
	{"nightjar_job_freeze_seconds", "frozen_milliseconds", 1000},
}

func (w *writer) figures(figures map[string]uint64, host, job string) {
	for _, m := range measured {
		if n, ok := figures[m.figure]; ok {
			w.set(m.metric, float64(n)/m.by, host, job)
		}
	}
}

func (w *writer) stored(all []record.Stored, host, job string) {
	for i := range all {
		s := &all[i]
		labels := []string{host, job, s.Region, s.Tier}
		w.set("nightjar_ebs_snapshots", float64(s.Snapshots), labels...)
		w.set("nightjar_ebs_snapshot_at_most_bytes", float64(s.AtMost), labels...)
		if usd, ok := s.AtMostCost(); ok {
			w.set("nightjar_ebs_snapshot_cost_at_most_dollars", usd, labels...)
		}
		if s.Bytes != nil {
			w.set("nightjar_ebs_snapshot_bytes", float64(*s.Bytes), labels...)
		}
		if usd, ok := s.Cost(); ok {
			w.set("nightjar_ebs_snapshot_cost_dollars", usd, labels...)
		}
	}
}

func (w *writer) position(p *overview.Position, host, job string) {
	if p == nil {
		return
	}
	_, digits, _ := strings.Cut(p.File, ".")
	if n, err := strconv.ParseUint(digits[strings.LastIndexByte(digits, '.')+1:], 10, 63); err == nil {
		w.set("nightjar_job_binlog_file_number", float64(n), host, job)
		w.set("nightjar_job_binlog_offset_bytes", float64(p.Offset), host, job)
	}
	w.at("nightjar_job_binlog_position_timestamp_seconds", p.Time, host, job)
	if p.Behind != nil {
		w.set("nightjar_job_binlog_behind_bytes", float64(*p.Behind), host, job)
	}
	if p.GTIDs != "" {
		w.set("nightjar_job_binlog_gtid_info", 1, host, job, label(p.GTIDs))
	}
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
