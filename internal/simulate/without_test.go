package simulate

// without says, of each rule, how the code would be that does not keep it: in file, old is replaced by new, in which LEFT is true while the rule is left out,
// and OLD is what was there. The rules are those of doc/format.md, section 9.1, each with its number and what is done instead.
var without = []struct{ rule, file, old, new string }{
	// A backup's.
	// 1: What the view says is condemned or dropped is used all the same.
	{"Avoid", "repo/view/run.go", "r.avoid = v.Lists()", "if !LEFT { OLD }"},
	{"Avoid", "repo/view/run.go", "avoid := r.avoid.And(fresh)", "OLD; if LEFT { avoid = r.avoid }"},
	// 1: What a later view says is.
	{"AvoidLater", "repo/view/run.go", "avoid := r.avoid.And(fresh)", "OLD; if LEFT { avoid = r.avoid }"},
	// 1: Dropped lists are listed before condemned ones.
	{"CondemnedFirst", "repo/view/sync.go", "for _, kind := range []string{record.CondemnedKind, record.DroppedKind, record.LostKind} {", `
		kinds := []string{record.CondemnedKind, record.DroppedKind, record.LostKind}
		if LEFT { slices.Reverse(kinds) }
		for _, kind := range kinds {`},
	// 1: Index objects are listed before the lists.
	{"ListsFirst", "repo/view/sync.go", "if unread, err = v.syncLists(ctx); err != nil {", `
		if LEFT {
			if err := v.syncObjects(ctx); err != nil { return nil, err }
		}
		OLD`},
	{"ListsFirst", "repo/view/sync.go", "return unread, v.syncObjects(ctx)", "if LEFT { return unread, nil }; OLD"},
	// 1: A run begins though a list cannot be read.
	{"Unread", "repo/save/writer.go", "err = errors.Join(err, unread); err != nil", "OLD && (unread == nil || !LEFT)"},
	// 2: A view is adopted though a list could not be read.
	{"UnreadLater", "repo/view/run.go", "if unread != nil {", "if unread != nil && !LEFT {"},
	// 2: No other view is taken than the first.
	{"Renewal", "repo/view/run.go", "|| r.ending.Load():", "|| r.ending.Load() || LEFT:"},
	// 2: A view is adopted whatever it says of what the run refers to.
	{"VerifyReferences", "repo/view/run.go", "if !ok && err == nil {", "if !ok && err == nil && !LEFT {"},
	// 2: Whatever it says of what the run has sent.
	{"VerifySent", "repo/view/run.go", "if by.Touches(index.ObjectID(id)) {", "if by.Touches(index.ObjectID(id)) && !LEFT {"},
	// 2: A run whose last view is old writes index objects and an archive.
	{"Expiry", "repo/view/run.go", "case age > grace:", "case age > grace && !LEFT:"},
	// 2: No index object comes with an adopted view.
	{"SignOfLife", "repo/view/run.go", "append(r.taken, now.UTC()), true", "append(r.taken, now.UTC()), !LEFT"},
	// 2: An index object that came out late counts.
	{"LateIndex", "repo/view/sync.go", "x.Late)", "x.Late && !LEFT)"},
	// 2: It is left at that.
	{"Rewrite", "repo/save/unindexed.go", "w.sent(info.Size)", "OLD; if LEFT { info.Time = at }"},
	// 2: Index objects are merged however long ago they were listed.
	{"MergeSoon", "repo/view/merge.go", "age > v.objects.Keys().Allowance(now)/2", "OLD && !LEFT"},
	// 3: An archive that came late counts.
	{"Late", "repo/standing.go", "a.set(Late, skewed || stored.Sub(a.View()) > grace)", "a.set(Late, (skewed || stored.Sub(a.View()) > grace) && !LEFT)"},

	// Prune's.
	// 4: Forgotten archives go, and protect nothing, at once.
	{"Forget", "repo/maintain/prune/lists.go", "return p.now.After(at.Add(p.grace(at)))", "OLD || LEFT"},
	// 4: Of several places, any signer's will do.
	{"Trust", "repo/maintain/prune/mark.go", "case m.circle != nil && !m.circle[at.Origin]:", "case m.circle != nil && !m.circle[at.Origin] && !LEFT:"},
	{"Trust", "repo/maintain/prune/mark.go", "found = found || good", "OLD; if found && LEFT { return true, nil }"},
	// 5: What a run has indexed that may not have ended is condemned.
	{"Runs", "repo/maintain/prune/packs.go", "t.Time.After(recent) && !t.Begin.IsZero()", "OLD && !LEFT"},
	// 5: Packs without an index object are condemned, however young.
	{"Orphans", "repo/maintain/prune/packs.go", "for at := range p.f.Sightings() {", "if LEFT { p.young = p.now }; OLD"},
	// 5: What leans on condemned packs is not condemned with them.
	{"Leaners", "repo/maintain/prune/condemn.go", "if !found {", "if !found || LEFT {"},
	// 6: What was condemned is dropped by the next prune.
	{"Grace", "repo/maintain/prune/lists.go", "p.now.After(p.ripens(l))", "(OLD || LEFT)"},
	// 6: It is when the grace has passed, without the ten minutes.
	{"Slack", "repo/maintain/prune/lists.go", "ripe := l.Time.Add(p.grace(l.Time) + sealed.MaxSkew)", "OLD; if LEFT { ripe = ripe.Add(-sealed.MaxSkew) }"},
	// 6: What is needed by now is dropped all the same.
	{"Reprieve", "repo/maintain/prune/end.go", "if stays {", "if stays && !LEFT {"},
	{"Reprieve", "repo/maintain/prune/end.go", "e.note(id, 0)&needed == 0", "OLD || LEFT"},
	// 6: What something leans on that is not condemned is dropped.
	{"Bases", "repo/maintain/prune/condemn.go", "if err := p.lean(ctx, p.usable); err != nil {", "if LEFT {} else OLD"},
	// 6: What lies elsewhere too is taken off.
	{"Elsewhere", "repo/maintain/prune/mark.go", "return p.packs[at.Pack]&condemned == 0 && !p.held.Has(at.Entry)", "OLD || LEFT"},
	// 6: Of a pack that is taken off, what nobody needs comes back.
	{"Left", "repo/maintain/prune/condemn.go", "return p.packs[at.Pack]&(ripe|needed|dropped) == ripe|needed", "OLD && !LEFT"},
	// 7: Packs are deleted before the dropped list is written.
	{"DroppedFirst", "repo/maintain/prune/end.go", "d := record.Dropped{Packs: packs,", `
		if LEFT {
			if err := e.removePacks(ctx, packs); err != nil { return err }
		}
		OLD`},
	// 7: The condemned list is deleted before that.
	{"CondemnedEnd", "repo/maintain/prune/end.go", "e := &ending{pruner: p, list: l}", `
		if LEFT {
			if err := p.removeList(ctx, l); err != nil { return err }
		}
		OLD`},
	// 10: A list that nobody can read is ended, and what it may have named is not condemned.
	{"Unnamed", "repo/maintain/prune/unread.go", "if err := p.walkArchives(ctx); err != nil {", "if LEFT {} else OLD"},
	{"Unnamed", "repo/maintain/prune/unread.go", "if err := p.lean(ctx, p.mayRun); err != nil {", "if LEFT {} else OLD"},
	{"Unnamed", "repo/maintain/prune/unread.go", "if err := p.chooseAll(ctx); err != nil {", "if LEFT {} else OLD"},
	{"Unnamed", "repo/maintain/prune/unread.go", "if err := p.condemn(ctx); err != nil {", "if LEFT {} else OLD"},
	// 10: What was condemned by such a list is dropped by whoever can read it.
	{"Unripe", "repo/maintain/prune/lists.go", "!p.r.Lists().Ended(l.id)", "(OLD || LEFT)"},
	// 7: It is deleted at once, though something was taken off.
	{"Stay", "repo/maintain/prune/end.go", "e.list.whole = !e.keep; e.list.whole", "OLD || LEFT"},
	{"Stay", "repo/maintain/prune/condemn.go", "case l.whole || p.now.After(stays)", "OLD || LEFT"},
	// 7: A dropped list counts, however long after its view it was written.
	{"Void", "repo/record/record.go", "return stored.Sub(d.View) > grace/2", "OLD && !LEFT"},
	// 8: A dropped list goes though index objects name what is in it.
	{"KeepDropped", "repo/maintain/prune/condemn.go", "old && !l.names", "old && (!l.names || LEFT)"},
	// 8: It goes at once, if they do not.
	{"KeepDroppedGrace", "repo/maintain/prune/condemn.go", "p.now.Sub(l.Time) > p.grace(l.Time)", "OLD || LEFT"},
	// 8: So does an index object that names nothing but what was dropped.
	{"KeepIndex", "repo/maintain/prune/condemn.go", "p.now.Sub(i.Time) > p.grace(i.Time)", "(OLD || LEFT)"},
}
