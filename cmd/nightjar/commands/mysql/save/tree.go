package save

import (
	"nightjar/backup"
	"nightjar/backup/content"
	"nightjar/mysqldump"
	"nightjar/mysqldump/logs"
)

// A treeSink puts files into a folder of a run of a backup. It is a mysqldump.Tree.
type treeSink struct {
	run    *backup.Run
	folder string
}

var _ mysqldump.Tree = treeSink{}

func (t treeSink) at(name string) string { return t.folder + "/" + name }

func (t treeSink) Create(name string, page int) (mysqldump.File, error) {
	return t.run.Create(t.at(name), content.Hint{Page: page})
}

func (t treeSink) Keep(name string) (bool, error) { return t.run.Keep(t.at(name)) }

func (t treeSink) Rename(from, to string) error { return t.run.Rename(t.at(from), t.at(to)) }

func (t treeSink) Remove(name string) error { return t.run.Remove(t.at(name)) }

// A logTree puts binary logs into a folder of a run of a backup. It is a logs.Tree.
type logTree struct {
	run    *backup.Run
	folder string
}

var _ logs.Tree = logTree{}

func (t logTree) Create(name string) (logs.File, error) {
	return t.run.Create(t.folder+"/"+name, content.Hint{})
}

func (t logTree) Keep(name string) (bool, error) { return t.run.Keep(t.folder + "/" + name) }

func (t logTree) KeepFolder(name string, files, bytes uint64) (bool, error) {
	return t.run.KeepFolder(t.folder+"/"+name, backup.Below{Files: files, Bytes: bytes})
}
