package repo

// For tests from outside.
const (
	LateByItself = lateByItself
	Rooted       = rooted
)
