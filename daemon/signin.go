package daemon

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/groat-dev/groat/daemon/login"
	"github.com/groat-dev/groat/daemon/wire"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/jsonrpc"
	"github.com/groat-dev/groat/protocol/strictjson"
)

// maxLoginsOfOne is how many requests of one connection take part in logins at once.
const maxLoginsOfOne = 8

// startLogin answers "login".
func startLogin(c *conn, params []byte) (any, error) {
	var p protocol.LoginParams
	if err := jsonrpc.DecodeParams(params, &p); err != nil {
		return nil, err
	}
	if err := wire.CheckName(p.Profile); err != nil {
		if e, ok := errors.AsType[*protocol.Error](err); ok {
			e.Data = &protocol.ErrorData{Missing: []string{"profile"}}
		}
		return nil, err
	}
	if !c.takesPart() {
		return nil, login.TooMany(maxLoginsOfOne, "of this connection", p.Profile)
	}
	defer c.tookPart()
	return c.d.logins.Run(c.ctx, c, p)
}

// Notify implements [login.Viewer].
func (c *conn) Notify(p protocol.Prompt) { c.notify(protocol.NotePrompt, p) }

// takesPart reports whether the connection may take part in one more login, and counts that one.
func (c *conn) takesPart() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.parts == maxLoginsOfOne {
		return false
	}
	c.parts++
	return true
}

func (c *conn) tookPart() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.parts--
}

// loginInput answers "login_input".
func loginInput(c *conn, params []byte) (any, error) {
	var p protocol.LoginInputParams
	if err := jsonrpc.DecodeParams(params, &p); err != nil {
		return nil, err
	}
	value, err := secretParam(params, "value")
	if err != nil {
		return nil, err
	}
	if !c.d.logins.Answer(c, p.LoginID, p.Question, value) {
		return nil, protocol.InvalidParams("no login of this connection waits for an answer")
	}
	return struct{}{}, nil
}

// cancelLogin answers "login_cancel". It waits as long as a request to a server may take.
func cancelLogin(c *conn, params []byte) (any, error) {
	var p protocol.LoginCancelParams
	if err := jsonrpc.DecodeParams(params, &p); err != nil {
		return nil, err
	}
	if err := wire.CheckName(p.Profile); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(c.open, protocol.DefaultWait)
	defer cancel()
	cancelled, err := c.d.logins.Cancel(ctx, p.Profile)
	if err != nil {
		return nil, err
	}
	return protocol.LoginCancelResult{Profile: p.Profile, Cancelled: cancelled}, nil
}

// logout answers "logout". A profile of config.toml stays configured and loses its credential.
func logout(c *conn, params []byte) (any, error) {
	var q protocol.LogoutParams
	if err := jsonrpc.DecodeParams(params, &q); err != nil {
		return nil, err
	}
	if q.Profile == "" {
		return nil, protocol.InvalidParams("name the profile to forget")
	}
	p, err := c.d.find(q.Profile)
	if err != nil {
		return nil, err
	}
	return c.d.logins.Logout(p, q.Yes, q.KeepRemote)
}

// importForeign answers "import".
func importForeign(c *conn, params []byte) (any, error) {
	var p protocol.ImportParams
	if err := jsonrpc.DecodeParams(params, &p); err != nil {
		return nil, err
	}
	variables, err := environment(params)
	if err != nil {
		return nil, err
	}
	content, err := jsonrpc.SecretParam(params, "content")
	if err != nil {
		return nil, err
	}
	defer clear(content)
	return c.d.logins.Import(c.ctx, p, content, variables)
}

// environment returns the environment variables that the client sent.
func environment(params []byte) (map[string]string, error) {
	sent, err := secretParam(params, "environment")
	if err != nil || sent.IsZero() {
		return nil, err
	}
	defer sent.Wipe()
	text := sent.AppendTo(nil)
	defer clear(text)
	variables := map[string]string{}
	if strictjson.Check(text) != nil || json.Unmarshal(text, &variables) != nil {
		return nil, protocol.InvalidParams("environment must be the text of a JSON object of strings")
	}
	return variables, nil
}
