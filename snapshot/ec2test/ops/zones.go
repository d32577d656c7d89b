package ops

import (
	"slices"

	"nightjar/snapshot/ec2test/ops/call"
	"nightjar/snapshot/ec2test/query"
	"nightjar/snapshot/ec2test/world"
)

type zoneIn struct {
	call.Dry
	All     bool          `q:"AllAvailabilityZones"`
	Filters []call.Filter `q:"Filter"`
	IDs     []string      `q:"ZoneId"`
	Names   []string      `q:"ZoneName"`
}

type zoneOut struct {
	Name   string `xml:"zoneName"`
	ID     string `xml:"zoneId"`
	State  string `xml:"zoneState"`
	Region string `xml:"regionName"`
	Type   string `xml:"zoneType"`
	Opt    string `xml:"optInStatus"`
	Group  string `xml:"groupName"`
	Border string `xml:"networkBorderGroup"`
}

type zonesOut struct {
	Zones []zoneOut `xml:"availabilityZoneInfo>item"`
}

var zoneFields = call.Fields[zoneOut]{
	"group-name": func(z zoneOut) []string { return call.One(z.Group) }, "message": nil, "opt-in-status": func(z zoneOut) []string { return call.One(z.Opt) },
	"parent-zone-id": nil, "parent-zone-name": nil, "region-name": func(z zoneOut) []string { return call.One(z.Region) },
	"state": func(z zoneOut) []string { return call.One(z.State) }, "zone-id": func(z zoneOut) []string { return call.One(z.ID) },
	"zone-type": func(z zoneOut) []string { return call.One(z.Type) }, "zone-name": func(z zoneOut) []string { return call.One(z.Name) },
}

func describeZones(r *call.Request, in zoneIn) (any, error) {
	if err := zoneFields.Check(in.Filters); err != nil {
		return nil, err
	}
	if err := r.May(); err != nil {
		return nil, err
	}
	for _, name := range in.Names {
		if !r.HasZone(name) {
			return nil, query.Refuse("InvalidParameterValue", "Invalid availability zone: [%s]", name)
		}
	}
	out := zonesOut{}
	for _, name := range r.Zones {
		z := zoneOut{name, r.ZoneID(name), "available", r.Name, "availability-zone", "opt-in-not-required", r.Name, r.Name}
		if (len(in.Names) == 0 || slices.Contains(in.Names, name)) && (len(in.IDs) == 0 || slices.Contains(in.IDs, z.ID)) && zoneFields.Match(z, nil, in.Filters) {
			out.Zones = append(out.Zones, z)
		}
	}
	return out, nil
}

type regionsIn struct {
	call.Dry
	All     bool          `q:"AllRegions"`
	Filters []call.Filter `q:"Filter"`
	Names   []string      `q:"RegionName"`
}

type regionOut struct {
	Name     string `xml:"regionName"`
	Endpoint string `xml:"regionEndpoint"`
	Opt      string `xml:"optInStatus"`
}

type regionsOut struct {
	Regions []regionOut `xml:"regionInfo>item"`
}

var regionFields = call.Fields[regionOut]{
	"endpoint": func(x regionOut) []string { return call.One(x.Endpoint) }, "opt-in-status": func(x regionOut) []string { return call.One(x.Opt) },
	"region-name": func(x regionOut) []string { return call.One(x.Name) },
}

func describeRegions(r *call.Request, in regionsIn) (any, error) {
	if err := regionFields.Check(in.Filters); err != nil {
		return nil, err
	}
	if err := r.May(); err != nil {
		return nil, err
	}
	out := regionsOut{}
	for _, name := range in.Names {
		if !slices.Contains(world.RegionNames(), name) {
			return nil, query.Refuse("InvalidParameterValue", "Invalid region names provided: %s", name)
		}
	}
	for _, name := range world.RegionNames() {
		x := regionOut{name, "ec2." + name + ".amazonaws.com", "opt-in-not-required"}
		if (len(in.Names) == 0 || slices.Contains(in.Names, name)) && regionFields.Match(x, nil, in.Filters) {
			out.Regions = append(out.Regions, x)
		}
	}
	return out, nil
}
