// Package rules names, one by one, the rules that let hosts back up while others prune, without a lock: doc/format.md, section 9.1.
// The simulation in internal/simulate leaves out one at a time and shows what comes of it. Nobody else sets any of them.
package rules

// Without says which rules are left out, each by its number and what is done instead. The zero value keeps all.
type Without struct {
	// A backup's.
	Avoid            bool // 1: what the view says is condemned or dropped is used all the same
	AvoidLater       bool // 1: what a later view says is
	CondemnedFirst   bool // 1: dropped lists are listed before condemned ones
	ListsFirst       bool // 1: index objects are listed before the lists
	Unread           bool // 1: a run begins though a list cannot be read
	UnreadLater      bool // 2: a view is adopted though a list could not be read
	Renewal          bool // 2: no other view is taken than the first
	VerifyReferences bool // 2: a view is adopted whatever it says of what the run refers to
	VerifySent       bool // 2: whatever it says of what the run has sent
	Expiry           bool // 2: a run whose last view is old writes index objects and an archive
	SignOfLife       bool // 2: no index object comes with an adopted view
	LateIndex        bool // 2: an index object that came out late counts
	Rewrite          bool // 2: it is left at that
	MergeSoon        bool // 2: index objects are merged however long ago they were listed
	Late             bool // 3: an archive that came late counts

	// Prune's.
	Forget           bool // 4: forgotten archives go, and protect nothing, at once
	Trust            bool // 4: of several places, any signer's will do
	Runs             bool // 5: what a run has indexed that may not have ended is condemned
	Orphans          bool // 5: packs without an index object are condemned, however young
	Leaners          bool // 5: what leans on condemned packs is not condemned with them
	Grace            bool // 6: what was condemned is dropped by the next prune
	Slack            bool // 6: it is when the grace has passed, without the ten minutes
	Reprieve         bool // 6: what is needed by now is dropped all the same
	Bases            bool // 6: what something leans on that is not condemned is dropped
	Elsewhere        bool // 6: what lies elsewhere too is taken off
	Left             bool // 6: of a pack that is taken off, what nobody needs comes back
	DroppedFirst     bool // 7: packs are deleted before the dropped list is written
	CondemnedEnd     bool // 7: the condemned list is deleted before that
	Unnamed          bool // 6: a list that nobody can read is ended, and what it may have named is not condemned
	Unripe           bool // 6: what was condemned by such a list is dropped by whoever can read it
	Stay             bool // 7: it is deleted at once, though something was taken off
	Void             bool // 7: a dropped list counts, however long after its view it was written
	KeepDropped      bool // 8: a dropped list goes though index objects name what is in it
	KeepDroppedGrace bool // 8: it goes at once, if they do not
	KeepIndex        bool // 8: so does an index object that names nothing but what was dropped
}
