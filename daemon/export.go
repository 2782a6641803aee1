package daemon

import (
	"github.com/groat-dev/groat/daemon/export"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/jsonrpc"
)

// exportFile answers "export".
func exportFile(c *conn, params []byte) (any, error) {
	var p protocol.ExportParams
	if err := jsonrpc.DecodeParams(params, &p); err != nil {
		return nil, err
	}
	switch {
	case p == protocol.ExportParams{}:
		return protocol.ExportResult{Exports: c.d.exports.List()}, nil
	case p.HeaderFile != "" || p.TokenFile != "" || p.File != "":
		return startExport(c, p)
	case p == protocol.ExportParams{All: true}, p.Stop != "" && p == protocol.ExportParams{Stop: p.Stop}:
		stopped, err := c.d.exports.Stop(p.Stop)
		return protocol.ExportResult{Exports: stopped}, err
	}
	return nil, protocol.InvalidParams("give header_file, token_file or file, or stop or all, or nothing for a list")
}

func startExport(c *conn, params protocol.ExportParams) (any, error) {
	wanted, err := export.Check(params, c.d.Now().Wall)
	if err != nil {
		return nil, err
	}
	p, err := c.d.find(params.Profile)
	if err != nil {
		return nil, err
	}
	wanted.Profile = p.Name
	ctx, cancel := c.waiting(protocol.DefaultWait)
	defer cancel()
	kept, err := c.d.exports.Start(ctx, wanted)
	if err != nil {
		return nil, err
	}
	return protocol.ExportResult{Exports: []protocol.Export{kept}}, nil
}
