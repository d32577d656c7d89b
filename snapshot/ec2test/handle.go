package ec2test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"nightjar/snapshot/ec2test/direct"
	"nightjar/snapshot/ec2test/ops"
	"nightjar/snapshot/ec2test/query"
	"nightjar/snapshot/ec2test/sigv4"
)

// A Call is one that was made of the server.
type Call struct {
	Service    string // ec2, ebs, servicequotas, sts
	Operation  string
	Region     string
	Parameters url.Values
	Needs      []string // actions of IAM policies that it needs the permission for, as far as it came
	Code       string   // of the refusal; empty: it was done
	Lost       bool     // the client got no answer
	DryRun     bool
	Time       time.Time // by the server's clock
}

// Action is the call's name in IAM policies.
func (c Call) Action() string { return c.Service + ":" + c.Operation }

// maxBody is above what any operation takes.
const maxBody = 8 << 20

func (s *Server) handle(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "the request is too large", http.StatusRequestEntityTooLarge)
		return
	}
	now := s.signingTime()
	w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
	scope, err := sigv4.Verify(r, body, now, s.credentials)
	operation, parameters := direct.Route(r)
	if err == nil && r.Header.Get("X-Amz-Content-Sha256") == sigv4.Unsigned && operation != "PutSnapshotBlock" {
		err = &sigv4.Problem{Kind: sigv4.Mismatch, Text: "The payload has to be signed"}
	}
	switch {
	case err != nil && (scope.Service == "ebs" || scope.Service == "servicequotas"):
		s.refuseDirect(w, unauthorizedJSON(err))
	case scope.Service == "ebs" && operation == "":
		s.refuseDirect(w, &query.Error{Status: http.StatusNotFound, Code: "UnknownOperationException", Message: "There is no such operation"})
	case scope.Service == "ebs":
		s.direct(w, r, body, Call{Service: "ebs", Operation: operation, Region: scope.Region, Parameters: parameters})
	case err != nil:
		s.refuse(w, unauthorized(err))
	case scope.Service == "ec2":
		s.ec2(w, r, body, scope)
	case scope.Service == "servicequotas":
		s.quotas(w, r, body, scope)
	case scope.Service == "sts":
		s.sts(w, r, body, scope)
	default:
		http.Error(w, "no such service", http.StatusNotFound)
	}
}

func (s *Server) signingTime() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Add(s.skew)
}

func (s *Server) requestID() string {
	s.world.Lock()
	defer s.world.Unlock()
	return s.world.UUID()
}

// unauthorized is what EC2 says of a signature that it refuses.
func unauthorized(err error) *query.Error {
	var p *sigv4.Problem
	if !errors.As(err, &p) {
		return &query.Error{Status: 400, Code: "IncompleteSignature", Message: err.Error()}
	}
	switch p.Kind {
	case sigv4.Missing:
		return &query.Error{Status: 403, Code: "MissingAuthenticationToken", Message: "Request is missing Authentication Token"}
	case sigv4.Malformed:
		return &query.Error{Status: 400, Code: "IncompleteSignature", Message: p.Text}
	case sigv4.WrongTime:
		return &query.Error{Status: 400, Code: "RequestExpired", Message: "Request has expired. " + p.Text}
	case sigv4.WrongToken:
		return &query.Error{Status: 400, Code: "RequestExpired", Message: "Request has expired."}
	case sigv4.Mismatch:
		return &query.Error{Status: 403, Code: "SignatureDoesNotMatch", Message: p.Text}
	}
	return &query.Error{Status: 401, Code: "AuthFailure", Message: "AWS was not able to validate the provided access credentials"}
}

func (s *Server) ec2(w http.ResponseWriter, r *http.Request, body []byte, scope sigv4.Scope) {
	form := r.URL.Query()
	if r.Method == http.MethodPost {
		posted, err := url.ParseQuery(string(body))
		if err != nil {
			s.refuse(w, &query.Error{Code: "MalformedQueryString", Message: err.Error()})
			return
		}
		form = posted
	}
	call := Call{Service: "ec2", Operation: form.Get("Action"), Region: scope.Region, Parameters: form, DryRun: form.Get("DryRun") == "true"}
	s.answer(w, r, &call, func() (*query.Reply, error) {
		region := s.world.Region(scope.Region)
		if region == nil {
			return nil, &query.Error{Status: 401, Code: "AuthFailure", Message: "AWS was not able to validate the provided access credentials"}
		}
		out, err := ops.Run(&ops.Request{Region: region, Operation: call.Operation, Denied: s.needs(&call), Verify: s.verifyURL}, form)
		if err != nil {
			return nil, err
		}
		id := s.world.UUID()
		text, err := query.Answer(call.Operation, id, out)
		return &query.Reply{Header: http.Header{"Content-Type": {"text/xml;charset=UTF-8"}, "X-Amzn-Requestid": {id}}, Body: text}, err
	}, s.refuse)
}

func (s *Server) refuse(w http.ResponseWriter, err *query.Error) {
	id := s.requestID()
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	w.Header().Set("x-amzn-RequestId", id)
	w.WriteHeader(status(err))
	_, _ = w.Write(query.ErrorAnswer(err, id))
}

func status(err *query.Error) int {
	switch {
	case err.Status != 0:
		return err.Status
	case err.Code == "RequestLimitExceeded", err.Code == "Unavailable", err.Code == "ServiceUnavailable":
		return http.StatusServiceUnavailable
	case err.Code == "InternalError", err.Code == "InternalFailure":
		return http.StatusInternalServerError
	}
	return http.StatusBadRequest
}

// answer makes a call under the world's lock, with the faults that are asked for.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, call *Call, do func() (*query.Reply, error), refuse func(http.ResponseWriter, *query.Error)) {
	f := s.strikes(*call)
	if f := s.watcher(); f != nil {
		f(*call)
	}
	wait(r, f.Delay)
	var out *query.Reply
	var err error
	if f.Code == "" || f.Done || f.Lost {
		out, err = s.run(call, do)
	}
	if f.Code != "" {
		err = &query.Error{Status: f.Status, Code: f.Code, Message: or(f.Message, "This is a fault that the test asked for.")}
	}
	var refused *query.Error
	if err != nil && !errors.As(err, &refused) {
		refused = &query.Error{Status: 500, Code: "InternalError", Message: fmt.Sprintf("the test server failed: %v", err)}
	}
	if refused != nil {
		call.Code = refused.Code
	}
	call.Lost = f.Lost
	s.note(*call)
	wait(r, f.Late)
	switch {
	case f.Lost:
		panic(http.ErrAbortHandler) // closes the connection
	case refused != nil:
		refuse(w, refused)
	default:
		for name, values := range out.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(max(out.Status, http.StatusOK))
		_, _ = io.Copy(w, bytes.NewReader(out.Body))
	}
}

// run makes a call under the lock, and then what it leaves to be done without.
func (s *Server) run(call *Call, do func() (*query.Reply, error)) (*query.Reply, error) {
	s.world.Lock()
	call.Time = s.world.Now()
	if r := s.world.Region(call.Region); r != nil {
		r.Pass()
	}
	out, err := do()
	later := s.world.TakeLater()
	s.world.Unlock()
	for _, work := range later {
		failed := work.Do()
		s.world.Lock()
		work.After(failed)
		s.world.Unlock()
	}
	if err == nil && out.Read != nil {
		out.Header, out.Body, err = out.Read()
	}
	return out, err
}

func (s *Server) note(call Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, call)
}

// needs tells what is denied, and notes what a call has asked for.
func (s *Server) needs(call *Call) func(action string) bool {
	return func(action string) bool {
		call.Needs = append(call.Needs, action)
		return s.isDenied(action)
	}
}

// wait ends early when the client goes away.
func wait(r *http.Request, d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-time.After(d):
	case <-r.Context().Done():
	}
}

// verifyURL returns what a presigned URL was signed for.
func (s *Server) verifyURL(presigned string) (region string, form url.Values, err error) {
	r, err := http.NewRequest(http.MethodGet, presigned, nil)
	if err != nil {
		return "", nil, err
	}
	scope, err := sigv4.Verify(r, nil, s.signingTime(), s.credentials)
	if err == nil && scope.Service != "ec2" {
		err = errors.New("the URL is for another service")
	}
	return scope.Region, r.URL.Query(), err
}
