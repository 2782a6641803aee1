package sandbox

import "time"

// eumetsatRealm is EUMETSAT's, for machines: by its page "API Authentication" grant_type=client_credentials with the
// consumer key and secret in HTTP Basic. Its client eumdac says that the server always gives out the token that it has,
// until that ends. How long it lasts and which scope it names are another server's of the same make
// (apim.docs.wso2.com, "Client Credentials Grant").
func eumetsatRealm() *realm {
	return &realm{
		name: EUMETSAT, token: "/token", grants: []string{grantClient}, life: time.Hour, repeats: true,
		mint: func(s *Server, m *realm, r *request, i *issue, exp int64) string {
			return s.hideToken("", mintJWT(s, m, r, i, exp), exp, r.now)
		},
		dress: func(body map[string]any, _ *issue) { body["scope"] = "am_application_scope default" },
	}
}
