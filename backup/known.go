package backup

import (
	"errors"

	"nightjar/repo"
	"nightjar/repo/tree"
)

// unchanged reports whether a file is what it was, as far as its inode tells.
func unchanged(n, was *tree.Node) bool {
	return was.Flags&tree.Unsettled == 0 && n.Size == was.Size && n.Mtime == was.Mtime && n.Ctime == was.Ctime && n.Inode == was.Inode
}

// complete reports whether content is still in the repository, as far as it is named here.
func (s *scanner) complete(c tree.Contents) (bool, error) {
	if c.Level > 0 {
		if !s.losses {
			return true, nil // its lists would have to be read: check does that
		}
		return s.completeLists(c)
	}
	for _, item := range c.Items {
		if item.Hole {
			continue
		}
		if ok, err := s.has(item.ID); !ok || err != nil {
			return ok, err
		}
	}
	return true, nil
}

// doubtful reports whether large attributes may be gone: they are rare, and read again then.
func (s *scanner) doubtful(was *tree.Node) bool { return s.losses && was.XattrContents != nil }

// completeLists is complete for content that lists name. Where one cannot be read the file is, again: that heals.
func (s *scanner) completeLists(c tree.Contents) (bool, error) {
	gone := errors.New("gone")
	var failed error
	err := tree.Walk(c, s.fetch, func(item tree.Item) error {
		if item.Hole {
			return nil
		}
		ok, err := s.has(item.ID)
		if err != nil {
			failed = err
		}
		if !ok || err != nil {
			return gone
		}
		return nil
	})
	if errors.Is(err, repo.ErrUnavailable) || s.ctx.Err() != nil {
		failed = errors.Join(err, s.ctx.Err())
	}
	return err == nil, failed
}
