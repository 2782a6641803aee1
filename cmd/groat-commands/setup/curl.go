package setup

import "context"

// curl has no setting for one server alone: what stands in ~/.curlrc, an option to read another file too, is for all of
// them (curl(1), --config). Its user is told what to type instead.
var curl = &Tool{Name: "curl", Programs: []string{"curl"},
	Want: func(_ context.Context, _ *Machine, p Profile) ([]File, error) {
		return nil, &Error{Reason: NoFile, Tool: "curl", API: p.APIs[0]}
	}}
