package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// TestScripts runs testdata/*.txtar. Each has a home, a runtime directory and servers of its own; $BASIC, $CLIENTS,
// $TOKEN and $ME are the paths of SpatiaFi's server, the files password, secret and wrong hold the person's password,
// the secret of lab-client, and neither. When a script ends, no file, log, output, argument or environment may hold one
// of them.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		Setup:               setup,
		Cmds:                commands,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Condition:           condition,
		Deadline:            time.Now().Add(4 * time.Minute),
	})
}

// condition is true of "quick", with which a script says that it is not of the quick tier: [quick] skip 'needs curl'.
func condition(name string) (bool, error) {
	if name != "quick" {
		return false, fmt.Errorf("there is no condition %q", name)
	}
	return tier.Quick(), nil
}

// commands are what the scripts have beside testscript's own.
var commands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"sandbox":     startSandbox,        // sandbox NAME [lifetime=12s] …: a server, its URL in $NAME
	"set":         setSandbox,          // set NAME lifetime=…, latency=…, skew=…
	"fault":       fault,               // fault NAME path=PATH … (package sandbox, faultFromForm)
	"knob":        knob,                // knob NAME clear | revoke token=… | client id=… | user name=…
	"down":        down,                // down NAME: connections are refused
	"up":          up,                  // up NAME: again at the same address
	"requests":    requests,            // requests NAME PATH N: how many have arrived
	"asked":       asked,               // asked NAME PATH auth=… scope=… status=…: what the last one was
	"await":       await,               // await NAME PATH N: until so many have arrived
	"daemon":      daemonCommand,       // daemon [start [flags] | stop | restart | kill | hup | stop-started]
	"daemon-says": daemonSays,          // daemon-says REGEXP: until groatd's log does
	"groat":       groat,               // groat ARGS: must succeed
	"exits":       exits,               // exits CODE PROGRAM ARGS: must fail so, with an error and a hint
	"error":       complaint(theError), // error REGEXP: what the error said
	"hint":        complaint(theHint),  // hint REGEXP: what the hint said
	"signed-in":   signedIn,            // signed-in NAME PROFILE: a sandbox, groatd, and a profile of it
	"still-works": stillWorks,          // still-works PROFILE: after a restart, from what is stored
	"crowd":       crowd,               // crowd N [-stdin FILE] PROGRAM ARGS: N processes at once, all print the same
	"as-json":     asJSON,              // as-json MEMBER=VALUE …: of the JSON object on stdout
	"keep":        keep,                // keep NAME REGEXP: the first group in stdout or stderr, into $NAME
	"token":       token,               // token same|other FILE: stdout against a token that was kept
}

func setup(e *testscript.Env) error {
	w, err := newEnv(e.WorkDir)
	if err != nil {
		return err
	}
	e.Defer(func() {
		if err := w.close(); err != nil {
			e.T().(testing.TB).Error(err) // as testscript promises
		}
	})
	e.Values["env"] = w
	for name, text := range map[string]string{"password": w.password, "secret": w.secret, "wrong": w.wrong} {
		if err := os.WriteFile(filepath.Join(e.WorkDir, name), []byte(text+"\n"), 0o600); err != nil {
			return err
		}
	}
	e.Vars = append(w.variables(), "WORK="+e.WorkDir, "RUN="+w.runtime, "SOCKET="+w.link(), "PERSON="+person,
		"CLIENT="+labClient,
		"BASIC="+sandbox.SpatiafiBasicPath, "CLIENTS="+sandbox.SpatiafiClientsPath,
		"TOKEN="+sandbox.SpatiafiTokenPath, "ME="+sandbox.SpatiafiMePath)
	return nil
}
