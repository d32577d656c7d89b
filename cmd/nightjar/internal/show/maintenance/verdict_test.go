package maintenance

import (
	"testing"

	"nightjar/repo/maintain/check"
	"nightjar/repo/maintain/prune"
)

func TestVerdictOfCheck(t *testing.T) {
	for want, s := range map[string]check.Summary{
		"no faults: 0 archives; content was not read: --read-data reads it":                                              {},
		"no faults: 1 archive, and all that is needed is there; all content was opened":                                  {Archives: 1, Packs: 2, PacksRead: 2, Opened: true},
		"no faults: 2 archives, but not all could be looked at; the content of 1 of 2 packs was opened":                  {Archives: 2, Unread: 1, Packs: 2, PacksRead: 1, Opened: true},
		"no faults: 2 archives, of which some lack what other archives hold; content was not read: --read-data reads it": {Archives: 2, Unmet: 1, Packs: 2},
	} {
		if got := faultless(&s); got != want {
			t.Errorf("%+v: %q", s, got)
		}
	}
}

func TestVerdictOfPrune(t *testing.T) {
	for want, s := range map[string]prune.Summary{
		"nothing to remove: no archive is forgotten, and no pack is unneeded":                  {Archives: 3},
		"would remove 1 archive, would delete 2 packs of 3.0 KiB, would condemn 1 pack of 5 B": {ArchivesRemoved: 1, PacksRemoved: 2, BytesRemoved: 3072, PacksCondemned: 1, BytesCondemned: 5},
	} {
		if got := pruned(&s, s.ArchivesRemoved > 0); got != want {
			t.Errorf("%+v: %q", s, got)
		}
	}
}
