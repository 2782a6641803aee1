package main

import (
	"github.com/spf13/cobra"

	"github.com/groat-dev/groat/protocol"
)

// release is set by the linker: -X main.release=1.2.3.
var release = "dev"

// versionJSON is what "groat version --json" prints.
type versionJSON struct {
	Release  string `json:"release"`
	Protocol int    `json:"protocol"`
}

func (a *app) versionCommand() *cobra.Command {
	var json bool
	cmd := command("version [flags]", helpVersion, cobra.NoArgs, func(*cobra.Command, []string) error {
		v := versionJSON{Release: release, Protocol: protocol.Version}
		if json {
			return a.printJSON(v)
		}
		return a.write(textVersion(v))
	})
	cmd.Flags().BoolVar(&json, "json", false, flagJSON)
	return cmd
}
