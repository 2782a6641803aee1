package main

import "strings"

// row is what the test does in the place of a command of the README.
type row struct {
	// command is the README's, or how it begins where it ends with an ellipsis.
	command string
	// replace are pairs: what stands in the command, and what is run in its place. $AUTH is the sandbox, and "elsewhere"
	// runs a command in a home that nobody has used.
	replace []string
	// do, if not nil, is done instead of running anything.
	do func(h *house, command string)
	// why the README's own command cannot be run.
	why string
}

const (
	server  = "the provider's host is the sandbox here, and nobody is at a terminal"
	another = "changing the keystore would lose what is stored to the commands that follow"
	typed   = "nobody is at a terminal"
	tester  = "a user of a real systemd user manager does it, so that nothing of this machine's own is touched"
)

// table is every command of the README that is not run as it stands there.
var table = []row{
	{why: server, command: "groat login work --provider spatiafi --username you@example.com",
		replace: []string{"you@example.com", "you@example.com --auth-server $AUTH --api $AUTH --secret-stdin <password.txt"}},
	{why: "the API's host is the sandbox here", command: "groat get work --output header | curl …",
		replace: []string{"curl", "curl -sSf", "'https://api.spatiafi.com/api/info?item_id=demo'", `"$AUTH/api/info?item_id=demo"`}},
	{why: server, command: "groat login batch …", replace: []string{"--client-id", "--auth-server $AUTH --client-id"}},
	{why: server, command: "groat login quake …", replace: []string{"earthscope", "earthscope --auth-server $PEOPLE"}},
	{why: server, command: "groat login sat …", replace: []string{"planet-user", "planet-user --auth-server $PEOPLE"}},
	{why: server + " with a browser", command: "groat login lab …",
		replace: []string{"https://login.example.org", "$AUTH", "authorization_code", "authorization_code 2>&1 | browse; groat get lab"}},
	{why: server, command: "groat login lab2 …", replace: []string{"https://login.example.org", "$AUTH"}},
	{why: server, command: "groat login lab3 …", replace: []string{"https://login.example.org", "$AUTH"}},
	{why: "by now there is more than one profile", command: "groat get", replace: []string{"groat", "GROAT_PROFILE=work groat"}},
	{why: another + "; and nobody is at a terminal", command: "groat keystore use sealed --passphrase",
		replace: []string{"groat", "elsewhere groat", "--passphrase", "--passphrase-stdin <password.txt"}},
	{why: another, command: "groat keystore use sealed --key-file", replace: []string{"groat", "elsewhere groat"}},
	{why: another, command: "groat keystore use memory", replace: []string{"groat", "elsewhere groat"}},
	{why: typed, command: "groat keystore move sealed --passphrase", replace: []string{"--passphrase", "--passphrase-stdin <password.txt"}},
	{why: typed, command: "groat keystore passphrase",
		replace: []string{"groat keystore passphrase", "{ cat password.txt; echo 'four words and more'; } | groat keystore passphrase --passphrase-stdin"}},
	{why: typed, command: "groat backup ~/groat.backup", replace: []string{"groat.backup", "groat.backup --passphrase-stdin <password.txt"}},
	{why: typed, command: "groat restore ~/groat.backup", replace: []string{"groat.backup", "groat.backup --yes --passphrase-stdin <password.txt"}},
	{why: tester, command: "mkdir -p ~/.config/systemd/user", do: (*house).asTester},
	{why: tester, command: "cp packaging/systemd/…", do: (*house).asTester},
	{why: tester, command: "systemctl --user enable --now groatd.socket", do: (*house).asTester},
	{why: "it is watched: how long it takes, and what it leaves behind", command: "make demo", do: (*house).playDemo},
	{why: "it runs this test", command: "make test", do: (*house).isTarget},
	{why: "a sample of it is in make test", command: "make faults", do: (*house).isTarget},
	{why: "a sample of it is in make test", command: "make fuzz", do: (*house).isTarget},
	{why: "it takes minutes, and what it finds is for people to read", command: "make figures", do: (*house).isTarget},
}

// runnable are the programs whose commands are run as they stand in the README.
var runnable = []string{"groat ", "printf ", "git config ", "TOKEN="}

// find returns the row for a command, or nil.
func find(command string) *row {
	for i := range table {
		prefix, open := strings.CutSuffix(table[i].command, "…")
		if table[i].command == command || open && strings.HasPrefix(command, prefix) {
			return &table[i]
		}
	}
	return nil
}
