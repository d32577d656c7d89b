// Package call has what every operation of EC2 is made with: the request and what it may do, its pages, filters and tags, and the things that it names.
//
// The invariant: what is refused here is refused in the words and with the code of EC2, and nothing here changes the world.
package call

import (
	"fmt"
	"net/url"

	"nightjar/snapshot/ec2test/query"
	"nightjar/snapshot/ec2test/world"
)

// A Request is one call. The world's lock is held.
type Request struct {
	*world.Region
	Operation string
	DryRun    bool
	Denied    func(action string) bool
	Verify    func(presigned string) (region string, form url.Values, err error) // of a URL that stands for a call
}

// Dry is part of each operation's parameters.
type Dry struct {
	DryRun bool `q:"DryRun"`
}

func (d Dry) dryRun() bool { return d.DryRun }

// May refuses what the caller is not permitted, and what was only asked for. More actions are those that the parameters need besides.
func (r *Request) May(more ...string) error {
	for _, action := range append([]string{"ec2:" + r.Operation}, more...) {
		if r.Denied(action) {
			return &query.Error{Status: 403, Code: "UnauthorizedOperation", Message: fmt.Sprintf("You are not authorized to perform this operation. User: arn:aws:iam::%s:user/nightjar is not authorized to perform: %s because no identity-based policy allows the %s action.", world.Account, action, action)}
		}
	}
	if r.DryRun {
		return &query.Error{Status: 412, Code: "DryRunOperation", Message: "Request would have succeeded, but DryRun flag is set."}
	}
	return nil
}

// An Operation decodes the parameters of a call, makes it, and returns what its answer is made of.
type Operation func(r *Request, form url.Values) (any, error)

// Of makes an operation of a function that takes its parameters as a struct, as query.Decode fills it.
func Of[T interface{ dryRun() bool }](f func(*Request, T) (any, error)) Operation {
	return func(r *Request, form url.Values) (any, error) {
		var in T
		if err := query.Decode(form, &in); err != nil {
			return nil, err
		}
		r.DryRun = in.dryRun()
		return f(r, in)
	}
}

// Done is the answer of operations that have no other.
type Done struct {
	Return bool `xml:"return"`
}
