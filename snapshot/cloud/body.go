package cloud

import (
	"bytes"
	"fmt"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// whole sends requests whose bodies net/http knows to be in memory. The SDK closes its own bodies as soon as the answer begins, which can be
// before net/http has seen their end: then it gives the connection up while the answer is read, which is lost.
type whole struct{ aws.HTTPClient }

func (w whole) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		data, err := io.ReadAll(r.Body) // a block of 512 KiB at most
		if err == nil {
			err = r.Body.Close()
		}
		if err != nil {
			return nil, fmt.Errorf("read the body of a request: %w", err)
		}
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(data))
	}
	return w.HTTPClient.Do(r)
}
