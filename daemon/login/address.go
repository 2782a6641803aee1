package login

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/protocol"
)

// servers are the parameters that name the server, in the order in which they say where it is described.
var servers = []parameter{
	{field: "Backend", flag: "backend"},
	{field: "Issuer", flag: "issuer"},
	{field: "AuthServer", flag: "auth-server"},
	{field: "TokenURL", flag: "token-url"},
}

// checkAddresses refuses an address that was typed and can be none of a server's. Where only its scheme is missing or
// is http, the hint is the command with https.
func (l *Login) checkAddresses() error {
	if l.importing != "" { // the addresses are a file's, and were not typed
		return nil
	}
	for _, a := range servers {
		typed := reflect.ValueOf(l.asked).FieldByName(a.field).String()
		if typed == "" {
			continue
		}
		err := origin.CheckURL(typed, "--"+a.flag)
		if err == nil {
			continue
		}
		e := protocol.InvalidParams("%s", err)
		secured := "https://" + strings.TrimPrefix(typed, "http://")
		if !strings.Contains(strings.TrimPrefix(typed, "http://"), "://") && origin.CheckURL(secured, "") == nil {
			with := l.asked
			reflect.ValueOf(&with).Elem().FieldByName(a.field).SetString(secured)
			if !strings.Contains(typed, "://") {
				e.Message = "--" + a.flag + " must begin with https://"
			}
			e.Data = &protocol.ErrorData{Hint: Command(with)}
		}
		return e
	}
	return nil
}

// withAddressHint makes a matter of configuration of the answer that nothing is at an address which was typed for this
// login: waiting does not help.
func (l *Login) withAddressHint(e *protocol.Error, err error) *protocol.Error {
	answer, ok := errors.AsType[*grant.Error](err)
	if !ok || !answer.WrongPlace() || e.Kind() != protocol.Temporary || l.importing != "" {
		return e
	}
	for _, a := range servers {
		typed := reflect.ValueOf(l.asked).FieldByName(a.field).String()
		if typed == "" || host(typed) != answer.Where {
			continue
		}
		return protocol.NewError(protocol.Config, fmt.Sprintf("%s; check the URL given by --%s", e.Message, a.flag),
			l.tryAgain("--"+a.flag+" URL"))
	}
	return e
}
