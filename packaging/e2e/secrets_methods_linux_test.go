package e2e_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/protocol"
)

// secretMembers are the members of parameters that hold secrets.
var secretMembers = []string{"value", "passphrase", "new_passphrase", "content", "environment", "access_token",
	"id_token"}

// members returns the names of all members of all parameters.
func members() []string {
	names := slices.Clone(secretMembers)
	for _, params := range []any{
		protocol.TokenParams{}, protocol.RejectParams{}, protocol.LoginParams{}, protocol.LoginInputParams{},
		protocol.LogoutParams{},
		protocol.StatusParams{}, protocol.ProfilesParams{}, protocol.WhoamiParams{}, protocol.KeystoreParams{},
		protocol.ImportParams{},
		protocol.NetworkParams{}, protocol.ProfileParams{}, protocol.BackupParams{}, protocol.RestoreParams{},
		protocol.WatchParams{}, protocol.ExportParams{},
	} {
		for _, f := range reflect.VisibleFields(reflect.TypeOf(params)) {
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// testEveryMethod asks every method that hello lists, in the wrong way: members of wrong types, misspelled, twice, too
// long, with a secret in each. A secret in a member that is for secrets is in no reply; one in another member went
// where it does not belong, and may be named to whoever sent it, but to nobody else.
func testEveryMethod(t *testing.T, v *watchedEnv) {
	v = v.in(t)
	var hello struct{ Result protocol.HelloResult }
	if err := json.Unmarshal([]byte(v.say(`{"jsonrpc":"2.0","id":1,"method":"hello"}`+"\n")), &hello); err != nil ||
		len(hello.Result.Methods) < 10 {
		t.Fatalf("hello lists %d methods: %v", len(hello.Result.Methods), err)
	}
	v.typo = "canary.typo." + random()
	v.typos.add("a secret in the wrong place", v.typo)
	requests, refused := 0, 0
	for _, method := range hello.Result.Methods {
		for _, params := range v.badParams() {
			answer := v.say(`{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":` + params + "}\n")
			requests++
			if strings.Contains(answer, `"error"`) {
				refused++
			}
		}
	}
	for _, line := range v.noRequests() {
		v.say(line)
		requests++
	}
	if refused < requests/4 {
		t.Errorf("only %d of %d bad requests were refused", refused, requests)
	}
	t.Logf("figure: bad requests with a secret in each = %d, to %d methods", requests, len(hello.Result.Methods))
}

// badParams returns parameters that are none.
func (v *watchedEnv) badParams() []string {
	typo, _ := json.Marshal(v.typo)
	all := []string{"null", "[]", "7", string(typo), "[" + string(typo) + "]", "{}"}
	for _, name := range members() {
		text := v.typo
		if slices.Contains(secretMembers, name) {
			text = v.wrong
		}
		secret, _ := json.Marshal(text)
		for _, value := range []string{"%s", "[%s]", "{%s:%[1]s}", "7", "[[%s", `"%[1]s"`} {
			if strings.Contains(value, "%") {
				value = fmt.Sprintf(value, secret)
			}
			all = append(all, fmt.Sprintf(`{"profile":"x",%q:%s}`, name, value))
		}
		all = append(all,
			fmt.Sprintf(`{%q:%s}`, strings.ToUpper(name), secret),
			fmt.Sprintf(`{%q:%s,%[1]q:%s}`, name, secret, secret),
			fmt.Sprintf(`{"profile":"x",%q:"%s"}`, name, strings.Repeat(strings.Trim(string(secret), `"`), 200)))
	}
	return all
}

// noRequests returns lines that are no request.
func (v *watchedEnv) noRequests() []string {
	secret, _ := json.Marshal(v.passphrase)
	inner := strings.Trim(string(secret), `"`)
	frame := `{"jsonrpc":"2.0","id":1,"method":"unlock","params":{"passphrase":"` + inner
	return []string{
		v.passphrase + "\n", string(secret) + "\n", "[" + frame + `"}}]` + "\n", frame + "\n", frame,
		frame + "\xff\"}}\n", frame + "\x00\"}}\n",
		frame + strings.Repeat(inner, 3000) + "\"}}\n", strings.Repeat(inner, 3000),
		frame + `","PASSPHRASE":"` + inner + `"}}` + "\n",
		`{"jsonrpc":"2.0","id":1,"method":` + string(secret) + "}\n",
		`{"jsonrpc":"2.0","id":1,"method":"unlock","params":{` + string(secret) + ":1}}\n",
		`{"jsonrpc":"1.0","id":1,"method":"unlock","params":{"passphrase":` + string(secret) + "}}\n",
		frame + "\\u12\"}}\n", frame + "\\ud800\"}}\n",
		`{"jsonrpc":"2.0","method":"unlock","params":{"passphrase":` + string(secret) + "}}\n",
		`{"jsonrpc":"2.0","id":{},"method":"unlock","params":{"passphrase":` + string(secret) + "}}\n",
	}
}

// say sends one line over a connection of its own, ends the input, and returns the first line that comes back.
func (v *watchedEnv) say(line string) string {
	v.t.Helper()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: v.tap.path, Net: "unix"})
	if err != nil {
		v.t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write([]byte(line)); err != nil {
		return ""
	}
	c.CloseWrite()
	answer, _ := bufio.NewReader(c).ReadString('\n')
	return answer
}
