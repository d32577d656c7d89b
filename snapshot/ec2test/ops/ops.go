// Package ops is the table of the operations of EC2 that the test server knows; volumes and snapshots have packages of their own, and the rest stand here.
//
// The invariant: an operation that is refused has changed nothing; and each says what it needs permission for before it does anything.
package ops

import (
	"maps"
	"net/url"
	"slices"

	"nightjar/snapshot/ec2test/ops/call"
	"nightjar/snapshot/ec2test/ops/snapshots"
	"nightjar/snapshot/ec2test/ops/volumes"
	"nightjar/snapshot/ec2test/query"
)

// A Request is one call of Run.
type Request = call.Request

var operations = merged(volumes.Operations, snapshots.Operations, map[string]call.Operation{
	"CreateTags": call.Of(createTags), "DeleteTags": call.Of(deleteTags), "DescribeTags": call.Of(describeTags),
	"DescribeAvailabilityZones": call.Of(describeZones), "DescribeRegions": call.Of(describeRegions), "DescribeImages": call.Of(describeImages),
})

func merged(tables ...map[string]call.Operation) map[string]call.Operation {
	all := map[string]call.Operation{}
	for _, t := range tables {
		maps.Copy(all, t)
	}
	return all
}

// Known lists the operations.
func Known() []string { return slices.Sorted(maps.Keys(operations)) }

// Run makes a call, and returns what its answer is made of.
func Run(r *Request, form url.Values) (any, error) {
	if v := form.Get("Version"); v != query.Version {
		return nil, query.Refuse("NoSuchVersion", "The requested version (%s) of service AmazonEC2 is not known", v)
	}
	run, ok := operations[r.Operation]
	if !ok {
		return nil, query.Refuse("InvalidAction", "The action %s is not valid for this web service.", r.Operation)
	}
	return run(r, form)
}
