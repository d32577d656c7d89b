package ec2test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"nightjar/snapshot/ec2test/direct"
	"nightjar/snapshot/ec2test/query"
	"nightjar/snapshot/ec2test/sigv4"
)

// direct makes a call of the EBS direct APIs.
func (s *Server) direct(w http.ResponseWriter, r *http.Request, body []byte, call Call) {
	s.answer(w, r, &call, func() (*query.Reply, error) {
		region := s.world.Region(call.Region)
		if region == nil {
			return nil, &query.Error{Status: http.StatusForbidden, Code: "UnrecognizedClientException", Message: "The security token included in the request is invalid."}
		}
		return direct.Run(&direct.Request{Region: region, Operation: call.Operation, Parameters: call.Parameters, Body: body, Denied: s.needs(&call), Cache: s.cache})
	}, s.refuseDirect)
}

func (s *Server) refuseDirect(w http.ResponseWriter, err *query.Error) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Amzn-Errortype", err.Code)
	w.Header().Set("X-Amzn-Requestid", s.requestID())
	status := status(err)
	if err.Code == "InternalServerException" {
		status = http.StatusInternalServerError
	}
	w.WriteHeader(status)
	_, _ = w.Write(direct.ErrorAnswer(err))
}

// unauthorizedJSON is what services other than EC2 say of a signature that they refuse.
func unauthorizedJSON(err error) *query.Error {
	code := "UnrecognizedClientException"
	var p *sigv4.Problem
	if errors.As(err, &p) {
		switch p.Kind {
		case sigv4.Missing:
			code = "MissingAuthenticationTokenException"
		case sigv4.Malformed:
			code = "IncompleteSignatureException"
		case sigv4.Mismatch, sigv4.WrongTime:
			code = "InvalidSignatureException"
		case sigv4.WrongToken:
			code = "ExpiredTokenException"
		}
	}
	return &query.Error{Status: http.StatusForbidden, Code: code, Message: err.Error()}
}

// What Service Quotas calls the snapshots of a region.
const (
	quotaService = "ebs"
	quotaCode    = "L-309BACF6"
)

// quotas knows the one quota of EBS that snapshots come up against.
func (s *Server) quotas(w http.ResponseWriter, r *http.Request, body []byte, scope sigv4.Scope) {
	var in struct{ ServiceCode, QuotaCode, ContextId string }
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), "ServiceQuotasV20190624.")
	malformed := json.Unmarshal(body, &in)
	call := Call{Service: "servicequotas", Operation: operation, Region: scope.Region, Parameters: url.Values{"ServiceCode": {in.ServiceCode}, "QuotaCode": {in.QuotaCode}}}
	s.answer(w, r, &call, func() (*query.Reply, error) {
		region := s.world.Region(call.Region)
		switch {
		case region == nil:
			return nil, &query.Error{Code: "UnrecognizedClientException", Message: "The security token included in the request is invalid."}
		case operation != "GetServiceQuota":
			return nil, &query.Error{Code: "UnknownOperationException", Message: "There is no such operation"}
		case malformed != nil:
			return nil, &query.Error{Code: "SerializationException", Message: malformed.Error()}
		case s.needs(&call)(call.Action()):
			return nil, &query.Error{Code: "AccessDeniedException", Message: "User is not authorized to perform: " + call.Action()}
		case in.ServiceCode != quotaService || in.QuotaCode != quotaCode:
			return nil, &query.Error{Status: http.StatusNotFound, Code: "NoSuchResourceException", Message: "The request failed because the specified service quota does not exist"}
		}
		text, err := json.Marshal(map[string]any{"Quota": map[string]any{
			"ServiceCode": quotaService, "ServiceName": "Amazon Elastic Block Store (Amazon EBS)", "QuotaCode": quotaCode, "QuotaName": "Snapshots per Region",
			"QuotaArn": region.ARN("servicequotas", quotaService+"/"+quotaCode), "Value": float64(region.Quota()), "Unit": "None", "Adjustable": true, "GlobalQuota": false,
		}})
		return &query.Reply{Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}}, Body: text}, err
	}, s.refuseDirect)
}

// sts knows the one call that nobody needs a permission for.
func (s *Server) sts(w http.ResponseWriter, r *http.Request, body []byte, scope sigv4.Scope) {
	form, _ := url.ParseQuery(string(body))
	call := Call{Service: "sts", Operation: form.Get("Action"), Region: scope.Region, Parameters: form}
	refuse := func(w http.ResponseWriter, err *query.Error) {
		w.Header().Set("Content-Type", "text/xml")
		w.WriteHeader(status(err))
		fmt.Fprintf(w, "<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>refused</Message></Error></ErrorResponse>", err.Code)
	}
	s.answer(w, r, &call, func() (*query.Reply, error) {
		if call.Operation != "GetCallerIdentity" {
			return nil, query.Refuse("InvalidAction", "no such action")
		}
		text := fmt.Sprintf(`<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>arn:aws:iam::%s:user/nightjar</Arn><UserId>AIDANIGHTJAR</UserId><Account>%s</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`, Account, Account)
		return &query.Reply{Header: http.Header{"Content-Type": {"text/xml"}}, Body: []byte(text)}, nil
	}, refuse)
}
