package check

import (
	"context"
	"errors"
	"slices"
	"strings"

	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/lists"
)

// errThere says that a store takes back what it said.
var errThere = errors.New("it was missing or damaged, and was not when it was looked at again")

// Again looks a second time, with fresh listings, for what was found missing or damaged, and reads it again. What is whole then is Unread: it is not known which was true. The error says
// that there is such, or what could not be looked at.
func (s *Survey) Again(ctx context.Context, r *repo.Repository) error {
	if len(s.Bad)+len(s.Gone) == 0 && !slices.ContainsFunc(s.Findings, Finding.lossy) {
		return nil
	}
	o := s.c.o
	o.ReadData, o.Progress, o.Again = false, nil, map[index.ObjectID]bool{}
	for id := range s.Bad {
		o.Again[id] = true
	}
	second, err := NewSurvey(ctx, r, o)
	if err != nil {
		return err
	}
	all, err := second.Objects(ctx)
	if err != nil {
		return err
	}
	rd, err := r.NewReader(ctx)
	if err != nil {
		return err
	}
	if err := second.Walk(ctx, rd, all); err != nil {
		return err
	}
	s.doubt(second)
	return errors.Join(second.Unread(), s.Unread())
}

// lossy reports whether a finding says of an object that it is gone.
func (f Finding) lossy() bool { return f.Object != "" && (f.What == Missing || f.What == Damaged) }

// doubt makes Unread what a second survey did not find.
func (s *Survey) doubt(second *Survey) {
	found := map[string]bool{}
	for _, f := range second.Findings {
		found[f.Object] = found[f.Object] || f.lossy() || f.What == Lost
	}
	for i := range s.Findings {
		if f := &s.Findings[i]; f.lossy() && !found[f.Object] {
			f.What, f.Err = Unread, errThere
		}
	}
	for id, g := range s.Gone {
		if second.Gone[id] == nil && !g.Made && len(g.Pieces) > 0 {
			s.Findings = append(s.Findings, Finding{What: Unread, Path: g.Pieces[0].Path, Err: errThere})
		}
	}
}

// Share returns how much of the repository is gone, from 0 to 1: of its packs, by number or by size, or of its archives. A single archive is none to speak of.
func (s *Survey) Share(archives []repo.Archive) float64 {
	packs, size, bad := 0.0, 0.0, 0
	for id, b := range s.Bad {
		if s.c.r.Lists().Pack(id)&lists.Condemned == 0 {
			bad++
			packs += b.share()
			size += b.share() * float64(b.Pack.Size)
		}
	}
	share := 0.0
	if bad > 0 {
		share = max(packs/float64(max(s.c.sum.Packs, bad)), size/max(float64(s.c.sum.Bytes), size))
	}
	tops := map[string][]string{}
	for i := range archives {
		for _, p := range archives[i].Paths {
			tops[archives[i].ID] = append(tops[archives[i].ID], string(p))
		}
	}
	gone := map[string]bool{}
	for _, f := range s.Findings {
		id, isArchive := strings.CutPrefix(f.Object, "archive/")
		switch {
		case isArchive && f.What == Missing:
			gone[id] = true
		case f.Archive != "" && f.What == Damaged && (f.Path == "/" || slices.ContainsFunc(tops[f.Archive], func(p string) bool { return p == f.Path || strings.HasPrefix(p, f.Path+"/") })):
			gone[f.Archive] = true
		}
	}
	if len(gone) > 1 {
		share = max(share, float64(len(gone))/float64(max(len(archives), len(gone))))
	}
	return share
}

// share returns how much of the pack is spoilt, from 0 to 1.
func (b *BadPack) share() float64 {
	if b.All {
		return 1
	}
	all, bad := 0, 0
	for n, f := range b.Pack.Directory.Frames {
		all += f.Stored
		if b.Frames[n] {
			bad += f.Stored
		}
	}
	return float64(bad) / float64(max(all, 1))
}
