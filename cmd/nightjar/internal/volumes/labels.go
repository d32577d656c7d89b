package volumes

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"nightjar/repo"
	"nightjar/snapshot"
)

// Of returns what a set knows of the volume of its snapshot i.
func Of(s *snapshot.Set, i int) snapshot.Volume {
	id := s.Snapshots[i].Volume
	if j := slices.IndexFunc(s.Volumes, func(v snapshot.Volume) bool { return v.ID == id }); j >= 0 {
		return s.Volumes[j]
	}
	return snapshot.Volume{ID: id}
}

// Labels returns those of an archive of a set, or of a snapshot that is of none: a set without an id.
func Labels(s *snapshot.Set) (repo.Labels, error) {
	pairs := []string{}
	for i, x := range s.Snapshots {
		pairs = append(pairs, Of(s, i).ID+"="+x.ID)
	}
	l := repo.Labels{
		LabelRegion: repo.Text(s.Region), LabelSnapshots: repo.Text(strings.Join(pairs, " ")), LabelTime: repo.Text(s.Time.UTC().Format(time.RFC3339)),
	}
	if s.ID == "" {
		return l, nil
	}
	tags, err := snapshot.Encode(s.Label)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(tags)
	if err != nil {
		return nil, err
	}
	l[LabelSet], l[LabelConsistency], l[LabelTags] = repo.Text(s.ID), repo.Text(s.Consistency), repo.Text(text)
	for key, value := range map[repo.Text]string{LabelPosition: tags[snapshot.TagPosition], LabelGTIDs: s.Position.GTIDs, LabelServer: s.Position.Server} {
		if value != "" {
			l[key] = repo.Text(value)
		}
	}
	return l, nil
}
