package bring_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"nightjar/snapshot"
	"nightjar/snapshot/bring"
	"nightjar/snapshot/cloud"
	"nightjar/snapshot/ec2test"
	"nightjar/snapshot/sets"
)

// A site has an instance, and a set of two volumes.
type site struct {
	*testing.T
	s        *ec2test.Server
	c        *cloud.Cloud
	instance string
	o        bring.Options
}

func newSite(t *testing.T, region string) *site {
	x := &site{T: t, s: ec2test.New(t)}
	x.s.Setenv(t)
	var err error
	if x.c, err = cloud.Open(t.Context(), cloud.Options{Region: region}); err != nil {
		t.Fatal(err)
	}
	x.instance = x.s.Region(region).AddInstance(ec2test.Instance{})
	x.o = bring.Options{Instance: x.instance, Zone: region + "a", Every: time.Millisecond}
	tags, err := snapshot.Encode(snapshot.Label{ID: "set-1", Job: "nightly", Time: time.Unix(1e9, 0), Consistency: snapshot.Crash, Volumes: []snapshot.Volume{{ID: "vol-0a"}, {ID: "vol-0b"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{"vol-0a", "vol-0b"} {
		own := map[string]string{snapshot.TagVolume: v}
		for key, value := range tags {
			own[key] = value
		}
		x.s.Region(region).AddSnapshot(ec2test.Snapshot{Meta: ec2test.Meta{Tags: own}, Volume: v, GiB: 1})
	}
	return x
}

func (x *site) parts() []bring.Part {
	x.Helper()
	s, err := sets.Find(x.Context(), x.c, "set-1")
	if err != nil {
		x.Fatal(err)
	}
	parts, err := bring.Choose(&s, x.o)
	if err != nil {
		x.Fatal(err)
	}
	return parts
}

// bring makes and attaches the volumes of the set.
func (x *site) bring() ([]bring.Part, error) {
	x.Helper()
	parts := x.parts()
	if err := bring.Volumes(x.Context(), x.c, "set-1", parts, x.o); err != nil {
		return parts, err
	}
	t, err := bring.Find(x.Context(), x.c, x.instance)
	if err != nil {
		return parts, err
	}
	return parts, bring.Attach(x.Context(), x.c, t, parts, x.o)
}

// Whatever answer is lost, and however often it runs, there is one volume of each part.
func TestAgain(t *testing.T) {
	x := newSite(t, "us-east-1")
	x.s.Hidden = 2
	x.s.Fault(ec2test.Fault{Operation: "CreateVolume", Nth: 2, Lost: true})
	x.s.Fault(ec2test.Fault{Operation: "AttachVolume", Lost: true})
	first, err := x.bring()
	if err != nil {
		t.Fatal(err)
	}
	again, err := x.bring()
	if err != nil {
		t.Fatal(err)
	}
	for i := range first {
		if first[i].New != again[i].New || first[i].Name != again[i].Name || again[i].Made || !strings.HasPrefix(again[i].Name, "/dev/sd") {
			t.Errorf("%+v, then %+v", first[i], again[i])
		}
	}
	if n := len(x.s.Region("us-east-1").Volumes()); n != 2 {
		t.Errorf("volumes: %d", n)
	}
	x.o.Attempt = "another"
	if _, err := x.bring(); err != nil || len(x.s.Region("us-east-1").Volumes()) != 4 {
		t.Errorf("another attempt: %v", err)
	}
	made, err := bring.Made(t.Context(), x.c, "set-1", x.o)
	if err != nil || len(made) != 2 {
		t.Fatal(made, err)
	}
	if err := bring.Undo(t.Context(), x.c, made, x.o); err != nil {
		t.Fatal(err)
	}
	for _, p := range first {
		if v, ok := x.s.Region("us-east-1").Volume(p.New); !ok || v.Attachment == nil {
			t.Errorf("undoing one attempt took %s of the other", p.New)
		}
	}
}

// In another region nothing is asked of the region at home.
func TestOtherRegion(t *testing.T) {
	x := newSite(t, "eu-west-1")
	x.s.Fault(ec2test.Fault{Region: "us-east-1", Times: -1, Code: "InternalError", Status: 500})
	if _, err := x.bring(); err != nil {
		t.Fatal(err)
	}
	for _, call := range x.s.Calls() {
		if call.Region != "eu-west-1" {
			t.Errorf("%s in %s", call.Operation, call.Region)
		}
	}
}

// An instance that ends while a volume is being attached ends the waiting.
func TestEnds(t *testing.T) {
	x := newSite(t, "us-east-1")
	attaching := false
	x.s.Watch(func(c ec2test.Call) {
		switch c.Operation {
		case "AttachVolume":
			attaching = true
		case "DescribeVolumes":
			if attaching {
				x.s.Region("us-east-1").SetState(x.instance, "shutting-down")
			}
		}
	})
	if _, err := x.bring(); !errors.Is(err, bring.ErrInstance) {
		t.Error(err)
	}
}

func TestRefusals(t *testing.T) {
	for name, of := range map[string]struct {
		before func(x *site)
		is     error
		code   string
	}{
		"a key that is disabled": {before: func(x *site) { x.o.KMSKey = x.s.Region("us-east-1").AddKey(ec2test.Key{Disabled: true}) }, is: bring.ErrNotMade},
		"a stopped instance":     {before: func(x *site) { x.s.Region("us-east-1").SetState(x.instance, "stopped") }, is: bring.ErrInstance},
		"an instance that ends":  {before: func(x *site) { x.s.Region("us-east-1").SetState(x.instance, "shutting-down") }, is: bring.ErrInstance},
		"a zone without the type": {before: func(x *site) {
			x.s.Without = map[string][]string{"us-east-1a": {"gp3"}}
		}, code: "VolumeTypeNotAvailableInZone"},
		"no permission": {before: func(x *site) { x.s.Deny("ec2:AttachVolume") }, code: "UnauthorizedOperation"},
		"other options": {before: func(x *site) {
			if _, err := x.bring(); err != nil {
				x.Fatal(err)
			}
			x.o.IOPS = 4000
		}, is: bring.ErrUsedUp},
		"attached elsewhere": {before: func(x *site) {
			parts, err := x.bring()
			if err != nil {
				x.Fatal(err)
			}
			r := x.s.Region("us-east-1")
			r.Attach(parts[0].New, r.AddInstance(ec2test.Instance{}), "/dev/sdf")
		}, is: bring.ErrElsewhere},
		"a name that is used": {before: func(x *site) {
			r := x.s.Region("us-east-1")
			r.Attach(r.AddVolume(ec2test.Volume{}), x.instance, "/dev/sdh")
			x.o.Devices = []string{"/dev/sdg", "/dev/xvdh"}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			x := newSite(t, "us-east-1")
			of.before(x)
			_, err := x.bring()
			if err == nil || of.is != nil && !errors.Is(err, of.is) || of.code != "" && cloud.Code(err) != of.code {
				t.Error(err)
			}
		})
	}
}
