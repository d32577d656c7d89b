package scan

import "nightjar/repo/tree"

// passPseudo returns what is selected of the directory on top of the stack: of a file system that the kernel makes up, as /proc, only what was asked for itself.
func (s *scanner) passPseudo(path string, n *tree.Node, sel *Selection) *Selection {
	if n.Device == s.here || sel != nil && sel.whole || !sel.everything() {
		return sel
	}
	kind := s.stack.Top().Pseudo()
	if kind == "" {
		return sel
	}
	if s.o.Note != nil && !s.counting {
		s.o.Note(path, "what is in it is left out, since the kernel makes it up ("+kind+"): name it to have it saved")
	}
	s.met(path+"/**", nil, "made up by the kernel ("+kind+")")
	if sel == nil {
		return &Selection{}
	}
	sel.within = false
	return sel
}
