package protocol

// NetworkParams asks how servers are reached; with a Setting it changes that. A Setting without a Value is removed.
type NetworkParams struct {
	// Setting is "proxy", "no_proxy" or "ca_file".
	Setting string `json:"setting,omitempty"`
	Value   string `json:"value,omitempty"`
}

// NetworkResult is how servers are reached. What is not set is not there.
type NetworkResult struct {
	// Proxy is the URL of the proxy, without user name and password.
	Proxy *NetworkSetting `json:"proxy,omitempty"`
	// NoProxy is what is reached without it: a list as in NO_PROXY.
	NoProxy *NetworkSetting `json:"no_proxy,omitempty"`
	// CAFile is a file of certificate authorities: trusted beside the system's where it is configured, instead of them where
	// it is the environment's.
	CAFile *NetworkSetting `json:"ca_file,omitempty"`
	// PID and StartedAt, in Unix seconds, are groatd's: the age of the environment that it has. Zero in "status", which has
	// both.
	PID       int   `json:"pid,omitempty"`
	StartedAt int64 `json:"started_at,omitempty"`
}

// NetworkSetting is a value, and where it comes from: "FILE:LINE", or "environment: VARIABLE" for groatd's own environment.
type NetworkSetting struct {
	Value string `json:"value"`
	From  string `json:"from"`
}
