package host

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// newMachine makes a folder that stands for / of files and, where their text begins with "-> ", links.
func newMachine(t *testing.T, files map[string]string) Machine {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		err := os.MkdirAll(filepath.Dir(path), 0o700)
		if to, is := strings.CutPrefix(text, "-> "); err == nil && is {
			err = os.Symlink(to, path)
		} else if err == nil {
			err = os.WriteFile(path, []byte(text+"\n"), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return Machine{Root: root}
}

const block = "sys/class/block/"

func TestDeviceOf(t *testing.T) {
	nitro := newMachine(t, map[string]string{
		block + "nvme0n1/dev": "259:0", block + "nvme0n1/size": "16777216", block + "nvme0n1/device/serial": "vol0aaaaaaaaaaaaaaaa ",
		block + "nvme0n1/nvme0n1p1/partition": "1", block + "nvme0n1p1/partition": "1", block + "nvme0n1p1/dev": "259:1", block + "nvme0n1p1/size": "100",
		block + "nvme0n1/nvme0n1p14/partition": "14", block + "nvme0n1p14/partition": "14", block + "nvme0n1p14/dev": "259:2", block + "nvme0n1p14/size": "100",
		block + "nvme1n1/dev": "259:3", block + "nvme1n1/size": "8", block + "nvme1n1/device/serial": "AWS22222222222222222", // instance store
		block + "loop7/dev": "7:7", block + "loop7/size": "8",
		block + "sdf/dev": "8:80", block + "sdf/size": "8",
		"dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0bbbbbbbbbbbbbbbb": "-> ../../loop7",
		"dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0cccccccccccccccc": "-> ../../nvme1n1", // stale
		"dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0dddddddddddddddd": "-> ../../nvme9n1",
	})
	d, err := nitro.DeviceOf("vol-0aaaaaaaaaaaaaaaa", "/dev/sda1")
	if err != nil || d.Path != "/dev/nvme0n1" || d.Bytes != 8<<30 || len(d.Parts) != 2 || d.Parts[1].Path != "/dev/nvme0n1p14" || !d.Has(Number{259, 2}) || d.Has(Number{259, 3}) {
		t.Errorf("%+v, %v", d, err)
	}
	if d, err := nitro.DeviceOf("vol-0bbbbbbbbbbbbbbbb", ""); err != nil || d.Path != "/dev/loop7" {
		t.Errorf("by its link: %+v, %v", d, err)
	}
	for _, volume := range []string{"vol-0cccccccccccccccc", "vol-0dddddddddddddddd", "vol-0eeeeeeeeeeeeeeee"} {
		if d, err := nitro.DeviceOf(volume, "/dev/sdf"); !errors.Is(err, ErrNoDevice) {
			t.Errorf("%s: %+v, %v", volume, d, err)
		}
	}
	for _, volume := range []string{"", "vol-", "vol-../../etc", "vol-0AAAAAAAAAAAAAAAA", "i-0aaaaaaaaaaaaaaaa"} {
		if d, err := nitro.DeviceOf(volume, "/dev/sda1"); err == nil || errors.Is(err, ErrNoDevice) {
			t.Errorf("%q: %+v, %v", volume, d, err)
		}
	}

	xen := newMachine(t, map[string]string{
		block + "xvda/dev": "202:0", block + "xvda/size": "8", block + "xvda/xvda1/partition": "1", block + "xvda1/partition": "1", block + "xvda1/dev": "202:1", block + "xvda1/size": "8",
		block + "xvdf/dev": "202:80", block + "xvdf/size": "8", block + "xvdg1/dev": "202:97", block + "xvdg1/size": "8",
	})
	for name, want := range map[string]string{"/dev/sda1": "/dev/xvda", "/dev/xvda": "/dev/xvda", "/dev/sdf": "/dev/xvdf", "xvdf": "/dev/xvdf", "/dev/sdg1": "/dev/xvdg1", "/dev/sdh": "", "../xvdf": "", "": ""} {
		d, err := xen.DeviceOf("vol-0aaaaaaaaaaaaaaaa", name)
		if d.Path != want || (err == nil) != (want != "") {
			t.Errorf("%q: %+v, %v", name, d, err)
		}
	}
	broken := newMachine(t, map[string]string{block + "xvdf/dev": "202", block + "xvdf/size": "8", block + "xvdg/dev": "1:1", block + "xvdg/size": "-8"})
	for _, name := range []string{"xvdf", "xvdg"} {
		if d, err := broken.DeviceOf("vol-0aaaaaaaaaaaaaaaa", name); err == nil || errors.Is(err, ErrNoDevice) {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
}

func TestAwait(t *testing.T) {
	m := newMachine(t, map[string]string{block + "nvme0n1/dev": "259:0", block + "nvme0n1/size": "8"})
	ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, errors.New("enough"))
	defer cancel()
	if _, err := m.Await(ctx, "vol-0aaaaaaaaaaaaaaaa", ""); !errors.Is(err, ErrNoDevice) || !strings.Contains(err.Error(), "enough") {
		t.Error(err)
	}
	found := make(chan error)
	go func() {
		_, err := m.Await(t.Context(), "vol-0aaaaaaaaaaaaaaaa", "")
		found <- err
	}()
	device := m.path(block, "nvme0n1/device")
	if err := errors.Join(os.Mkdir(device, 0o700), os.WriteFile(device+"/serial", []byte("vol0aaaaaaaaaaaaaaaa"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := <-found; err != nil {
		t.Error(err)
	}
}

func TestMountsOf(t *testing.T) {
	m := newMachine(t, map[string]string{
		block + "xvdf/dev": "202:80", block + "xvdf/size": "8", block + "xvdg/dev": "202:96", block + "xvdg/size": "8",
		block + "xvdg/xvdg1/partition": "1", block + "xvdg1/partition": "1", block + "xvdg1/dev": "202:97", block + "xvdg1/size": "8",
		block + "xvdg1/holders/dm-0": "", block + "dm-0/dm/uuid": "LVM-abc", block + "dm-0/dev": "253:0", block + "xvdh/dev": "202:112", block + "xvdh/size": "8",
		"sys/dev/block/253:0/slaves/xvdg1": "", "sys/dev/block/202:97/dev": "202:97",
		"proc/self/mountinfo": "1 0 202:80 / /data rw - xfs /dev/xvdf rw\n2 0 202:80 /x /bind rw - xfs /dev/xvdf rw\n3 0 0:44 / /b rw - btrfs /dev/xvdh rw\n" +
			"4 0 0:45 / /o rw - overlay overlay rw,lowerdir=/l,upperdir=/gone,workdir=/w",
	})
	paths := func(name string) (found []string, err error) {
		d, err := m.DeviceOf("vol-0aaaaaaaaaaaaaaaa", name)
		if err != nil {
			t.Fatal(err)
		}
		mounts, err := m.MountsOf(d)
		for _, mount := range mounts {
			found = append(found, mount.Path)
		}
		return found, err
	}
	if got, err := paths("sdf"); err != nil || !slices.Equal(got, []string{"/data", "/bind"}) {
		t.Error(got, err)
	}
	if got, err := paths("sdh"); err != nil || !slices.Equal(got, []string{"/b"}) {
		t.Error(got, err)
	}
	if got, err := paths("sdg"); !errors.Is(err, ErrStacked) || !strings.Contains(err.Error(), "dm-0 of LVM") {
		t.Error(got, err)
	}
	if got := m.Made(Number{253, 0}); !slices.Equal(got, []Number{{202, 97}}) {
		t.Error("a logical volume is made of", got)
	}
	if got := m.Made(Number{202, 80}); !slices.Equal(got, []Number{{202, 80}}) {
		t.Error("a disk is made of", got)
	}
	if got := m.Beneath(Number{253, 0}); !slices.Equal(got, []Number{{253, 0}, {202, 97}}) {
		t.Error("beneath a logical volume:", got)
	}
	if got := m.Beneath(Number{0, 45}); !slices.Equal(got, []Number{{0, 45}}) {
		t.Error("beneath an overlay:", got)
	}
}

const document = `{"accountId":"123456789012","availabilityZone":"eu-central-1a","instanceId":"i-0123456789abcdef0","instanceType":"m7g.large","region":"eu-central-1"}`

// TestSelf asks metadata that speaks version 2, and some that does not.
func TestSelf(t *testing.T) {
	answer, tokens := document, true
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.Path)
		switch {
		case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token" && tokens:
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "300")
			fmt.Fprint(w, "token")
		case r.Method == http.MethodGet && r.URL.Path == "/latest/dynamic/instance-identity/document" && (!tokens || r.Header.Get("X-Aws-Ec2-Metadata-Token") == "token"):
			fmt.Fprint(w, answer)
		default:
			http.Error(w, "no", http.StatusForbidden)
		}
	}))
	defer s.Close()
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", s.URL)
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	want := Instance{ID: "i-0123456789abcdef0", Region: "eu-central-1", Zone: "eu-central-1a", Type: "m7g.large", Account: "123456789012"}
	if got, err := Self(t.Context()); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "{}", "null", strings.Replace(document, "i-0", "i-0/../", 1), strings.Replace(document, "eu-central-1\"", "eu central\"", 1), document + strings.Repeat(" ", maxDocument)} {
		answer = bad
		if got, err := Self(t.Context()); !errors.Is(err, ErrMetadata) {
			t.Errorf("%.80q: %+v, %v", bad, got, err)
		}
	}
	answer, tokens, asked = document, false, nil // as version 1 would answer
	if got, err := Self(t.Context()); !errors.Is(err, ErrMetadata) || slices.ContainsFunc(asked, func(a string) bool { return strings.HasPrefix(a, "GET") }) {
		t.Errorf("without tokens: %+v, %v, %q", got, err, asked)
	}
}

func FuzzInstance(f *testing.F) {
	f.Add([]byte(document))
	f.Add([]byte(`{"instanceId":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if i, err := parseInstance(b); err == nil && !instanceID.MatchString(i.ID) {
			t.Errorf("%q", i.ID)
		}
	})
}

func TestVolumes(t *testing.T) {
	m := newMachine(t, map[string]string{
		block + "nvme0n1/device/serial": "vol0123456789abcdef0", block + "nvme1n1/device/serial": "vol0123456789abcdef1", block + "nvme0n1p1/device/serial": "vol0123456789abcdef0",
		block + "nvme0n1p1/partition": "1", block + "nvme2n1/device/serial": "AWS6B1C", block + "loop0/size": "0", block + "xvdf/size": "1",
	})
	if n := m.Volumes(); n != 3 {
		t.Errorf("there are %d volumes", n)
	}
	if n := newMachine(t, nil).Volumes(); n != 0 {
		t.Errorf("of none there are %d", n)
	}
}
