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

// typedElsewhere has the tests beside [TestEveryHintWorksWhenTyped] that provoke a row and do what its hint says: the
// directory of a package, and a name.
var typedElsewhere = map[string]string{
	"autostart.HeldByPlace":           "packaging/e2e.TestH28OneStateByOtherNames",
	"autostart.HeldUnreachable":       "packaging/e2e.TestH77SquattedWhileItRuns",
	"autostart.UnitInstalled":         "packaging/systemd.TestAgentUnderItsUnits",
	"groat-commands.errHangs":         "packaging/e2e.TestAGroatdThatHangsIsEnded",
	"groat-commands.errNotHandedOver": "packaging/systemd.TestM2WhatOnlyMemoryHas",
	"groat-commands.errServiceDown":   "packaging/systemd.TestM8TheRecipeAsPrinted",
	"groat-commands.errServiceHangs":  "cmd/groat-commands.TestAServiceThatHangs",
	"groat-commands.errUntrusted":     "cmd/groat-commands.TestL55YesSendsNothingToAnUnusualServer",
	"report.GitOtherUser":             "packaging/e2e.TestGitTwoAccountsByName",
	"report.GitWritesToDisk":          "cmd/groat-commands.TestGitWritesATokenToDisk",
	"report.UndecidedGit":             "packaging/e2e.TestGitTwoAccountsByName",
}

// seenElsewhere has the tests that provoke a row or make its error, and hold its sentence or hint against what it must
// be. Nobody types the hint: it shows a state that only time, a person or another machine ends.
var seenElsewhere = map[string]string{
	"autostart.ForeignHome":             "packaging/e2e.TestH17RootWithAPersonsVariables",
	"autostart.HeldByHost":              "packaging/e2e.TestH20LockOfAnotherHost",
	"autostart.HeldOutOfReach":          "cmd/groat-commands.TestH9WhoHoldsTheState",
	"autostart.HeldSilent":              "cmd/groat-commands.TestEveryStartErrorHasASentence",
	"autostart.NotReady":                "cmd/groat-commands.TestAutostartFails",
	"broker.ErrEnded":                   "daemon/wire.TestEveryErrorLeavesWithAKindAndTheNextCommand",
	"broker.ErrKeyRefused":              "daemon.TestAUserTokenIsServedUntilItEnds",
	"broker.ErrManyTokens":              "daemon/wire.TestEveryErrorLeavesWithAKindAndTheNextCommand",
	"broker.ErrOneScope":                "daemon/wire.TestEveryErrorLeavesWithAKindAndTheNextCommand",
	"broker.ErrOneToken":                "daemon/wire.TestEveryErrorLeavesWithAKindAndTheNextCommand",
	"broker.ErrRotationLost":            "daemon/wire.TestEveryErrorLeavesWithAKindAndTheNextCommand",
	"broker.ErrStopped":                 "daemon/wire.TestEveryErrorLeavesWithAKindAndTheNextCommand",
	"broker.ErrWaited":                  "daemon/wire.TestEveryErrorLeavesWithAKindAndTheNextCommand",
	"broker.OnlyFor":                    "daemon/wire.TestEveryErrorLeavesWithAKindAndTheNextCommand",
	"engine.ErrUnavailable":             "packaging/e2e.TestFleet",
	"grant.ErrEndpointChanged":          "packaging/e2e.TestTokenEndpointMoves",
	"grant.ErrNotOffered":               "daemon/wire.TestEveryErrorLeavesWithAKindAndTheNextCommand",
	"grant.KeyEndedError":               "daemon.TestAUserTokenIsServedUntilItEnds",
	"grant.ProxyFailed":                 "daemon/wire.TestH68HintsOfConnections",
	"grant.Unreachable":                 "daemon/wire.TestH68HintsOfConnections",
	"grant.UntrustedAuthority":          "daemon/wire.TestH68HintsOfConnections",
	"groat-commands.errForeignUnit":     "packaging/systemd.TestM9WhereNoServiceIsInstalled",
	"groat-commands.errImports":         "cmd/groat-commands.TestImportIsRefused",
	"groat-commands.errJournal":         "packaging/systemd.TestM8TheRecipeAsPrinted",
	"groat-commands.errKeystoreUnasked": "cmd/groat-commands.TestUsage",
	"groat-commands.errMasked":          "cmd/groat-commands.TestServiceVerbsRefuse",
	"groat-commands.errNoService":       "cmd/groat-commands.TestServiceVerbsRefuse",
	"groat-commands.errOthersUnit":      "cmd/groat-commands.TestServiceVerbsRefuse",
	"groat-commands.errSecretUnused":    "cmd/groat-commands.TestL56WhatWasGivenAndNotUsed",
	"groat-commands.errSignal":          "cmd/groat-commands.TestLogoutAtTerminal",
	"groat-commands.errStdinSpent":      "cmd/groat-commands.TestLoginAsksTwice",
	"groat-commands.errUnitPath":        "packaging/systemd.TestM9WhereNoServiceIsInstalled",
	"keystore.ErrCorrupt":               "daemon/wire.TestEveryErrorLeavesWithAKindAndTheNextCommand",
	"keystore.ErrForeignBus":            "daemon/wire.TestAnotherUsersBusNamesTheDaemonToEnd",
	"keystore.ErrNewer":                 "packaging/e2e.TestJ41AnItemOfALaterGroat",
	"keystore.ErrTooBig":                "daemon/wire.TestEveryErrorLeavesWithAKindAndTheNextCommand",
	"keystore.ErrUndecidedLocked":       "daemon/wire.TestEveryErrorLeavesWithAKindAndTheNextCommand",
	"member.ErrRemoved":                 "packaging/e2e.TestFleet",
	"privatekey.FileError":              "packaging/e2e.TestKeyFileRefused",
	"report.NotStored":                  "cmd/groat-commands.TestDockerIsTold",
	"report.Undecided":                  "cmd/groat-commands.TestDockerIsTold",
	"report.VisibleToken":               "cmd/groat/get.TestAVisibleTokenLeavesQuoted",
	"report.hungUp":                     "cmd/groat-commands.TestE20AskedAgain",
	"report.oldDaemon":                  "cmd/groat-commands.TestAnswersOfTheDaemon",
	"why.err":                           "daemon/wire.TestALostSessionIsExplained",
}

// Reasons why no test holds the hint of a row against anything.
const (
	byTime     = "time ends it, and no command: the hint shows the state"
	byService  = "a service manager with that fault is needed"
	byTerminal = "a terminal that takes a line of more than 16 KiB is needed"
	byServer   = "a test of the daemon sees the error, and none its hint"
	byMachine  = "another container, another user or a kernel that ends no process is needed"
	byBug      = "only a bug or a groatd of the future answers so"
	byFleet    = "an engine or other machines with that fault are needed; daemon/fleet sees the error, and none its hint"
)

// notProvoked has every other row, and why.
var notProvoked = map[string]string{
	"broker.ErrOften":              byTime,
	"broker.ErrQuota":              byTime,
	"credential.ErrOtherTurn":      byFleet,
	"engine.ErrCompacted":          byFleet,
	"engine.ErrRefused":            byFleet,
	"engine.ErrUnknown":            byFleet,
	"engine.ErrUntrusted":          byFleet,
	"grant.ErrClock":               byServer,
	"grant.ErrLate":                byFleet,
	"grant.ForeignError":           byServer,
	"groat-commands.errNoHome":     byMachine,
	"groat-commands.errNoJournal":  byService,
	"groat-commands.errNotEnded":   byMachine,
	"groat-commands.errNotReached": byMachine,
	"groat-commands.errNotSeen":    byMachine,
	"groat-commands.errNotTold":    byMachine,
	"groat-commands.errRestores":   byServer,
	"groat-commands.errSystemctl":  byService,
	"groat-commands.errTyped":      byTerminal,
	"groat-commands.errUnitWrite":  byService,
	"keyring.ErrDamaged":           byFleet,
	"keyring.ErrEncoding":          byFleet,
	"keyring.ErrEpoch":             byFleet,
	"keyring.ErrFull":              byFleet,
	"member.ErrExists":             byFleet,
	"member.ErrFull":               byFleet,
	"member.ErrOlder":              byFleet,
	"member.ErrOtherFleet":         byFleet,
	"member.ErrState":              byFleet,
	"member.ErrWithheld":           byFleet,
	"report.BadToken":              byBug,
	"report.NoAnswer":              byMachine,
	"report.Unexpected":            byBug,
}

// checkHintRows wants each row of the table of errors that a person reads to be met by a provocation, or to have another
// test, which there is, or a reason why not.
func checkHintRows(t *testing.T, met map[string]bool) {
	rows := hintRows(t)
	if len(rows) < 120 {
		t.Errorf("only %d rows were found", len(rows))
	}
	places := map[string]int{}
	for row := range met {
		places[row]++
	}
	for _, table := range []map[string]string{typedElsewhere, seenElsewhere} {
		for row, test := range table {
			places[row]++
			if !testExists(t, test) {
				t.Errorf("%s: there is no test %s", row, test)
			}
		}
	}
	for row := range notProvoked {
		places[row]++
	}
	for _, row := range rows {
		if n := places[row]; n != 1 {
			t.Errorf("%s is in %d places, and is to be in one: provoked, in another test, or with a reason", row, n)
		}
	}
	for row := range places {
		if !slices.Contains(rows, row) {
			t.Errorf("%s is no row", row)
		}
	}
}

// testExists reports whether a package has a test: its directory, a dot, and the test's name.
func testExists(t *testing.T, test string) bool {
	dot := strings.LastIndex(test, ".")
	files, err := filepath.Glob(filepath.Join("../..", test[:dot], "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(files, func(path string) bool {
		return slices.ContainsFunc(parseFile(t, path).Decls, func(d ast.Decl) bool {
			f, ok := d.(*ast.FuncDecl)
			return ok && f.Recv == nil && f.Name.Name == test[dot+1:]
		})
	})
}

func parseFile(t *testing.T, path string) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(gotoken.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// hintRows returns what the table is made of: the errors that daemon/wire knows, the reasons for which groatd is not
// started, and the functions that make a refusal of the client's.
func hintRows(t *testing.T) (rows []string) {
	inspect := func(path string) {
		ast.Inspect(parseFile(t, "../../"+path), func(n ast.Node) bool {
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
			for _, d := range parseFile(t, path).Decls {
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
