package main

import (
	"encoding/json"
	"net"
	"net/http"
)

// anyIssuer starts an authorization server that renews every session. oidc-agent wants an issuer with a document.
func anyIssuer() (issuer string, end func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	issuer = "http://" + l.Addr().String() + "/"
	server := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			answer := map[string]any{
				"issuer": issuer, "authorization_endpoint": issuer + "auth", "token_endpoint": issuer + "token",
				"response_types_supported": []string{"code"}, "scopes_supported": []string{"openid", "offline_access"},
				"grant_types_supported": []string{"refresh_token", "authorization_code"},
			}
			if r.URL.Path == "/token" {
				answer = map[string]any{"access_token": "token-of-nobody", "token_type": "Bearer", "expires_in": 3600,
					"refresh_token": nobodys}
			}
			json.NewEncoder(w).Encode(answer)
		})}
	go server.Serve(l)
	return issuer, func() { server.Close() }, nil
}
