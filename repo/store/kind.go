package store

import "context"

// A Kind is a way to keep a repository's objects, as a command line needs to
// know it: what its URLs look like, and how one of them is opened.
type Kind struct {
	Schemes []string // what stands before "://", in lower case; the first is what people are shown
	Form    string   // a URL, for messages: "sftp://host/path"
	// Parse checks a Location of one of the Schemes and returns it as it is written
	// for people and remembered. It asks nobody, and its errors do not repeat the
	// URL, which may hold a password.
	Parse func(Location) (Location, error)
	// Paced says that Open keeps to Opening.LimitUpload and LimitDownload.
	Paced bool
	// Settings are what a command line may say besides.
	Settings []Setting
	// Open opens what is there, with ErrNoStore if there is nothing; with
	// Opening.Create it makes that. What the store can do besides, its optional
	// interfaces tell.
	Open func(ctx context.Context, l Location, o Opening) (Carrier, error)
	// Hints say what to do about errors of Open, and later ones of the store; the
	// first that is one is given. That of ErrNoStore is for Open alone.
	Hints []Hint
}

// A Setting is one flag of a command line.
type Setting struct {
	Name  string // "sftp-key"; in the environment NIGHTJAR_SFTP_KEY
	Usage string
}

// A Hint says what people can do about an error.
type Hint struct {
	Is  error
	Say string
}

// Opening says how a store is opened.
type Opening struct {
	Create      bool
	Connections int // objects sent or read at the same time; 0: as many as suit
	// Bytes a second to and from the store, over all connections; 0: no limit.
	LimitUpload, LimitDownload int64

	Setting func(name string) string // of Kind.Settings; "": nothing was said
	Getenv  func(name string) string // what else the environment says
	Warn    func(error)              // told of what is wrong but stops nothing; from any goroutine

	// Lacks is what was learned before that the server lacks, which is not told again.
	Lacks []string
	// Learned is called with all that the server lacks, sorted, when that changes; from
	// any goroutine, one call at a time. It may be nil.
	Learned func(lacks []string)
}
