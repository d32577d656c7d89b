package restore

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"

	"nightjar/repo/tree"
)

// decide says what becomes of an entry of the directory above, by the policy and by what is there.
func (p *planner) decide(above *planLevel, n *tree.Node) (Action, error) {
	if p.o.Overwrite == Refuse || !above.entered {
		return Created, nil
	}
	var there tree.Node
	err := p.stack.Top().Stat(n.Name, &there)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Created, nil
	case err != nil:
		return Kept, err
	case p.o.Overwrite == Never:
		return Kept, nil
	case p.o.Overwrite == IfChanged && there.Type() == n.Type() && there.Mtime == n.Mtime && (!n.IsRegular() || there.Size == n.Size):
		return Kept, nil
	case p.o.Overwrite == IfNewer && (there.Mtime.Sec > n.Mtime.Sec || there.Mtime.Sec == n.Mtime.Sec && there.Mtime.Nsec >= n.Mtime.Nsec):
		return Kept, nil
	case there.IsDir() && !n.IsDir():
		return Kept, errors.New("a directory is there")
	}
	return Replaced, nil
}

// beside returns a name for what is to replace name: a name that no entry of the archive can have, and the same when the restore is tried again.
func beside(archive, name string) string {
	sum := sha256.Sum256([]byte(archive + "/" + name))
	return ".nightjar-" + hex.EncodeToString(sum[:16])
}
