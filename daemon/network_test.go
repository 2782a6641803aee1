package daemon

import (
	"os"

	"github.com/groat-dev/groat/daemon/grant"
)

// The tests are about what they set themselves, and not about the proxy of whoever runs them.
func init() {
	for _, v := range append(append([]string{"SSL_CERT_FILE", "SSL_CERT_DIR"}, grant.ProxyVariables...), grant.NoProxyVariables...) {
		os.Unsetenv(v)
	}
}
