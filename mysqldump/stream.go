package mysqldump

import "io"

// A Sink takes the files of a dump. Its methods may be called from several goroutines. Names are paths with slashes.
type Sink interface {
	// Create begins a file. What is written counts once the file is closed. It is an error if another of that name is open,
	// or was closed and not removed.
	Create(name string) (File, error)
	// Remove takes out a file that was closed.
	Remove(name string) error
}

// A File of a Sink is written by one goroutine, from its beginning to its end.
type File interface {
	io.Writer
	// Note notes something of the file that is not in it, such as a number of rows: a name of lower-case letters, digits,
	// ".", "_" and "-", and a value of at most 64 KiB.
	Note(name, value string) error
	Close() error
	// Abort gives the file up. After Close it does nothing, so that it may be deferred.
	Abort()
}

// A Source has the files of a dump. Its methods may be called from several goroutines.
type Source interface {
	// Files returns all files, in order of their names.
	Files() ([]SourceFile, error)
	// Open returns what is in a file, from its beginning.
	Open(name string) (io.ReadCloser, error)
}

// A SourceFile is what a Source says of a file.
type SourceFile struct {
	Name  string
	Size  int64 // bytes
	Notes map[string]string
}

// A Tree takes files in folders, such as those of a data directory. Its methods may be called from several goroutines. Names
// are paths with slashes.
type Tree interface {
	// Create begins a file, in the place of one of that name that was closed. Page is how many bytes a page of it has, if it
	// changes page by page; 0: unknown.
	Create(name string, page int) (File, error)
	// Keep takes the file of that name of the backup before, with its notes, unread. It reports whether that could be.
	Keep(name string) (bool, error)
	// Rename gives a file that was closed or kept another name, in the place of what was closed there.
	Rename(from, to string) error
	// Remove takes out a file that was closed or kept.
	Remove(name string) error
}
