package restore

import (
	"nightjar/backup/local"
	"nightjar/repo/tree"
)

// A flagged is a file that is there, and yet to get what chattr had set of it.
type flagged struct {
	dir  *handle
	node *tree.Node
	path string
	id   local.FileID
}

// maxLate is how many files of several names may wait for the end of a restore. What is more gets its flags at once, and further names become files of their own.
const maxLate = 100

// flag notes a file that has its name. Nobody can link to one that is immutable, so one that may have further names waits for the end.
func (r *restorer) flag(dir *handle, n *tree.Node, path string, id local.FileID) {
	if !r.applier.HasFlags(n) {
		return
	}
	x := flagged{dir.use(), n, path, id}
	r.shared.mu.Lock()
	defer r.shared.mu.Unlock()
	if n.IsHardLinked() && len(r.shared.late) < maxLate {
		r.shared.late = append(r.shared.late, x)
	} else {
		r.shared.flagged = append(r.shared.flagged, x)
	}
}

// flagKept is flag for what keeps its content.
func (p *planner) flagKept(n *tree.Node, path string, id local.FileID) error {
	if !p.applier.HasFlags(n) {
		return nil
	}
	dir, err := p.handle()
	if err == nil {
		p.flag(dir, n, path, id)
	}
	return err
}

// protect sets what chattr had set of files.
func (r *restorer) protect(files *[]flagged) {
	r.shared.mu.Lock()
	all := *files
	*files = nil
	r.shared.mu.Unlock()
	for _, x := range all {
		if err := r.applier.Protect(x.dir.Dir, x.node.Name, x.id, x.node); err != nil {
			r.problem(x.path, err)
		}
		x.dir.release()
	}
}
