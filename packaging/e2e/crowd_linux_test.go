package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// crowd runs N processes that are let go at once. All must succeed and print the same, which is then on stdout.
func crowd(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	args = args[1:]
	input := os.DevNull
	if args[0] == "-stdin" {
		input, args = ts.MkAbs(args[1]), args[2:]
	}
	outputs, err := runCrowd(n, environ(ts), input, args...)
	ts.Check(err)
	for _, out := range outputs {
		if out != outputs[0] {
			ts.Fatalf("they printed different things:\n%s%s", outputs[0], out)
		}
	}
	io.WriteString(ts.Stdout(), outputs[0])
}

// runCrowd starts n processes, which all wait at a gate, opens it, and returns what each printed.
func runCrowd(n int, env []string, input string, command ...string) ([]string, error) {
	gate, opener, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer gate.Close()
	defer opener.Close()
	// Each is a shell that reads from the gate until it ends, and then becomes the program.
	script := `read -r _ <&3; exec 3<&-; input=$1; shift; exec "$@" <"$input"`
	procs := make([]*exec.Cmd, n)
	outs, complaints := make([]bytes.Buffer, n), make([]bytes.Buffer, n)
	for i := range procs {
		c := exec.Command("/bin/sh", append([]string{"-c", script, "sh", input}, command...)...)
		c.Env, c.Dir, c.ExtraFiles = env, filepath.Dir(bin), []*os.File{gate}
		c.Stdout, c.Stderr = &outs[i], &complaints[i]
		if err := c.Start(); err != nil {
			return nil, err
		}
		procs[i] = c
	}
	opener.Close()
	errs, texts := make([]error, n), make([]string, n)
	var wg sync.WaitGroup
	for i, c := range procs {
		wg.Go(func() {
			hung := time.AfterFunc(patience, func() { c.Process.Kill() })
			defer hung.Stop()
			if err := c.Wait(); err != nil {
				errs[i] = fmt.Errorf("number %d: %w: %s", i, err, complaints[i].String())
			}
			texts[i] = outs[i].String()
		})
	}
	wg.Wait()
	return texts, errors.Join(errs...)
}
