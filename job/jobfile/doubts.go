package jobfile

import "slices"

// Doubts returns what is not wrong, and yet hardly meant: archives that nobody gives up, rules that keep nothing, a prune with nothing to do, one job without a schedule
// where others have one.
func (f *File) Doubts() []Fault {
	d := reader{file: f}
	forgets, gives := false, false
	for _, j := range f.Jobs() {
		switch of := j.Of.(type) {
		case *Forget:
			forgets = forgets || of.Job == "" && of.Host == "" && len(of.Kind)+len(of.Tags)+len(of.Labels) == 0
			gives = true
		case *EBS:
			d.emptyKeep(j, of.Keep == (Periods{}), "keep")
			d.emptyKeep(j, of.CopiesKeep == (Periods{}), "copies-keep")
			if of.Keep == (Periods{}) && f.At(j.Kind, j.Name, "keep") == (Position{}) {
				d.fault([]string{j.Kind, j.Name}, j.Name, "it has no keep: no set of snapshots is ever deleted, and all are billed")
			}
			if of.ToRegion != "" && of.CopiesKeep == (Periods{}) && f.At(j.Kind, j.Name, "copies-keep") == (Position{}) {
				d.fault([]string{j.Kind, j.Name, "to-region"}, j.Name, "there is no copies-keep: no copy is ever deleted, and all are billed")
			}
		}
	}
	archives := false
	for _, j := range f.Jobs() {
		if j.Keep == nil {
			continue
		}
		archives = true
		named := f.At(j.Kind, j.Name, "keep") != (Position{})
		d.emptyKeep(j, j.Keep.Empty(), "keep")
		if empty := j.Keep.Empty(); !empty {
			gives = true
		} else if !named && !forgets && !f.forgottenBy(j) {
			d.fault([]string{j.Kind, j.Name}, j.Name, "it has no keep, and no forget job is for it: its archives are kept for ever")
		}
	}
	switch {
	case gives && len(f.Prune) == 0:
		d.fault(nil, "", "archives are given up, and no job of this file prunes: unless another host does, they take up room for ever")
	case !gives && len(f.Prune) > 0 && archives:
		for name := range f.Prune {
			d.fault([]string{"prune", name}, name, "nothing in this file gives archives up: unless another host does, there is nothing to prune")
		}
	}
	d.unscheduled()
	d.faults.Sort()
	return d.faults.All
}

func (r *reader) unscheduled() {
	jobs := r.file.Jobs()
	if !slices.ContainsFunc(jobs, Job.Scheduled) {
		return
	}
	for _, j := range jobs {
		if !j.Scheduled() && !j.Follows() {
			r.fault([]string{j.Kind, j.Name}, j.Name, "it has no schedule: it runs only where somebody says nightjar run "+j.Name)
		}
	}
}

// forgottenBy reports whether a forget job names the job, by itself.
func (f *File) forgottenBy(j Job) bool {
	for _, of := range f.Forget {
		if of.Job == j.Name {
			return true
		}
	}
	return false
}

func (r *reader) emptyKeep(j Job, empty bool, key string) {
	here := []string{j.Kind, j.Name, key}
	if r.file.At(here...) != (Position{}) && empty {
		r.fault(here, j.Name, "no rule in it keeps anything: it is as if it was not there, and nothing is given up")
	}
}
