package e2e_test

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"go/types"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Reasons why a row of the table of errors is not provoked in [TestEveryHintWorksWhenTyped].
const (
	byTime     = "time or the server ends it, and no command: the hint shows the state"
	byService  = "a service manager is needed; packaging/systemd and cmd/groat-commands type it"
	byTerminal = "a person at a terminal is needed; cmd/groat-commands types it"
	byServer   = "a server with that answer is needed; daemon/login or daemon/broker type it"
	byMachine  = "another machine, container or user is needed; places_linux_test.go types it"
	byBug      = "only a bug or a groatd of the future answers so"
	byPerson   = "what is wrong only the person can mend: the hint shows it"
	byFleet    = "an etcd and other machines are needed; fleet_linux_test.go and daemon/fleet see the sentences"
	byProgram  = "another program is needed; its own test types it"
	byWire     = "daemon/wire or a test of the daemon sees the sentence; the command is that of another row"
)

// notProvoked has every other row, and why.
var notProvoked = map[string]string{
	"autostart.ForeignHome": byMachine, "autostart.HeldByHost": byMachine,
	"autostart.HeldByPlace": byMachine, "autostart.HeldOutOfReach": byMachine,
	"autostart.HeldSilent": byTime, "autostart.HeldUnreachable": byMachine, "autostart.LockHeld": byMachine,
	"autostart.NotReady":      byTime,
	"autostart.UnitInstalled": byService,

	"broker.ErrEnded": byServer, "broker.ErrManyTokens": byTime,
	"broker.ErrOften": byTime, "broker.ErrOneScope": byServer, "broker.ErrOneToken": byServer,
	"broker.ErrQuota": byTime, "broker.ErrRotationLost": byServer, "broker.ErrKeyRefused": byServer,
	"broker.ErrStopped": byTime, "broker.ErrWaited": byTime, "broker.OnlyFor": byServer,

	"grant.ErrClock": byServer, "grant.ErrEndpointChanged": byWire, "grant.ErrNotOffered": byServer,
	"grant.ForeignError": byWire, "grant.KeyEndedError": byServer,
	"grant.ProxyFailed": byPerson, "grant.Unreachable": byTime,
	"grant.UntrustedAuthority": byPerson,

	"keystore.ErrCorrupt": byWire, "keystore.ErrForeignBus": byMachine, "keystore.ErrNewer": byPerson,
	"keystore.ErrTooBig": byWire, "keystore.ErrUndecidedLocked": byProgram, "privatekey.FileError": byPerson,
	"why.err": byServer, "groat-commands.errForeignUnit": byService,
	"groat-commands.errHangs": byMachine, "groat-commands.errImports": byPerson, "groat-commands.errJournal": byService,
	"groat-commands.errKeystoreUnasked": byTerminal,
	"groat-commands.errMasked":          byService,
	"groat-commands.errNoHome":          byMachine, "groat-commands.errNoJournal": byService,
	"groat-commands.errNoLogPlace": byMachine, "groat-commands.errNoService": byService,
	"groat-commands.errNotConfirmed": byTerminal, "groat-commands.errNotEnded": byMachine,
	"groat-commands.errNotHandedOver": byService,
	"groat-commands.errNotReached":    byMachine,
	"groat-commands.errNotSeen":       byMachine,
	"groat-commands.errNotTold":       byMachine, "groat-commands.errOldPassphrase": byTerminal,
	"groat-commands.errNothingTyped": byTerminal, "groat-commands.errOthersUnit": byService,
	"groat-commands.errPassphrasesDiffer": byTerminal,
	"groat-commands.errRestores":          byWire,
	"groat-commands.errServiceDown":       byService,
	"groat-commands.errServiceHangs":      byService,
	"groat-commands.errSetupDeclined":     byTerminal, "groat-commands.errSignal": byTerminal,
	"groat-commands.errStdinSpent": byTerminal, "groat-commands.errSystemctl": byService,
	"groat-commands.errTyped":    byTerminal,
	"groat-commands.errUnitPath": byService, "groat-commands.errUnitWrite": byService,
	"groat-commands.errUntrusted":   byPerson,
	"groat-commands.failStdinWaits": byTerminal,

	"groat-commands.errSecretUnused": byBug, "report.BadToken": byBug, "report.GitOtherUser": byProgram,
	"report.GitWritesToDisk": byProgram,
	"report.NoAnswer":        byMachine, "report.NotStored": byProgram,
	"report.Undecided": byProgram, "report.UndecidedGit": byProgram, "report.Unexpected": byBug,
	"report.VisibleToken":     byServer,
	"credential.ErrOtherTurn": byFleet, "engine.ErrCompacted": byFleet, "engine.ErrRefused": byFleet,
	"engine.ErrUnavailable": byFleet, "engine.ErrUnknown": byFleet, "engine.ErrUntrusted": byFleet,
	"grant.ErrLate": byFleet, "keyring.ErrDamaged": byFleet, "keyring.ErrEncoding": byFleet,
	"keyring.ErrEpoch": byFleet, "keyring.ErrFull": byFleet, "member.ErrExists": byFleet,
	"member.ErrFull": byFleet, "member.ErrOlder": byFleet,
	"member.ErrOtherFleet": byFleet, "member.ErrRemoved": byFleet, "member.ErrState": byFleet,
	"member.ErrWithheld": byFleet,
	"report.hungUp":      byBug, "report.oldDaemon": byBug,
}

// checkHintRows wants each row of the table of errors that a person reads to be met by a provocation, or to have a
// reason why not.
func checkHintRows(t *testing.T, met map[string]bool) {
	rows := hintRows(t)
	if len(rows) < 120 {
		t.Errorf("only %d rows were found", len(rows))
	}
	for _, row := range rows {
		switch _, reason := notProvoked[row]; {
		case !met[row] && !reason:
			t.Errorf("%s: nothing provokes it, and no reason is given", row)
		case met[row] && reason:
			t.Errorf("%s is provoked, and has a reason why not", row)
		}
	}
	for row := range met {
		if !slices.Contains(rows, row) {
			t.Errorf("%s is no row", row)
		}
	}
	for row := range notProvoked {
		if !slices.Contains(rows, row) {
			t.Errorf("%s is no row", row)
		}
	}
}

// hintRows returns what the table is made of: the errors that daemon/wire knows, the reasons for which groatd is not
// started, and the functions that make a refusal of the client's.
func hintRows(t *testing.T) (rows []string) {
	parse := func(path string) *ast.File {
		file, err := parser.ParseFile(gotoken.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	inspect := func(path string) {
		ast.Inspect(parse("../../"+path), func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				called := types.ExprString(n.Fun)
				if of, ok := strings.CutPrefix(called, "errors.AsType[*"); ok {
					rows = append(rows, strings.TrimSuffix(of, "]"))
				}
				if called == "errors.Is" {
					rows = append(rows, types.ExprString(n.Args[1]))
				}
			case *ast.CaseClause:
				for _, e := range n.List {
					if _, ok := e.(*ast.SelectorExpr); ok {
						rows = append(rows, types.ExprString(e))
					}
				}
			}
			return true
		})
	}
	inspect("daemon/wire/wire.go")
	inspect("cmd/groat-commands/tui_start.go")
	for _, pattern := range []string{"cmd/groat-commands/tui*.go", "cmd/groat/report/tui*.go"} {
		files, err := filepath.Glob("../../" + pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range files {
			for _, d := range parse(path).Decls {
				f, ok := d.(*ast.FuncDecl)
				if ok && f.Type.Results != nil && len(f.Type.Results.List) == 1 &&
					strings.HasSuffix(types.ExprString(f.Type.Results.List[0].Type), "Failure") {
					rows = append(rows, filepath.Base(filepath.Dir(path))+"."+f.Name.Name)
				}
			}
		}
	}
	slices.Sort(rows)
	// an error of the file system that has a hint of its own; it is part of others
	return slices.DeleteFunc(slices.Compact(rows), func(row string) bool { return row == "ownpath.Error" })
}
