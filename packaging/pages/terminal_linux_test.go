package pages

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds every wait. None takes a tenth of it, unless the machine is very busy.
const patience = 2 * time.Minute

// answer is what the person of the tests types where a program asks.
type answer struct {
	prompt *regexp.Regexp // matches the screen up to the cursor
	text   string
	hidden bool // the program turns the echo off first
}

// terminal is a pseudo-terminal with a program on it and a person in front.
type terminal struct {
	ptmx   *os.File
	screen bytes.Buffer
}

// atTerminal runs a program inside n with a new controlling terminal, lets a person answer its questions, and returns
// everything that was on the screen.
func atTerminal(ctx context.Context, n *network, cmd *exec.Cmd, answers []answer) (string, error) {
	ptmx, slave, err := openTerminal()
	if err != nil {
		return "", err
	}
	defer ptmx.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	err = n.start(cmd)
	slave.Close() // so that the end of the last program that has it is an error of ptmx
	if err != nil {
		return "", err
	}
	stop := context.AfterFunc(ctx, func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	})
	defer stop()
	x := &terminal{ptmx: ptmx}
	b := make([]byte, 4096)
	for {
		k, err := ptmx.Read(b)
		x.screen.Write(b[:k])
		if err != nil {
			break // EIO: no program has the terminal any more
		}
		if err := x.react(ctx, answers); err != nil {
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			cmd.Wait()
			return x.shown(), err
		}
	}
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("%w (%w)", err, ctx.Err())
		}
		return x.shown(), err
	}
	return x.shown(), nil
}

func (x *terminal) shown() string { return strings.ReplaceAll(x.screen.String(), "\r\n", "\n") }

// react types the answer to the question that the cursor stands behind, if there is one.
func (x *terminal) react(ctx context.Context, answers []answer) error {
	for _, a := range answers {
		if !a.prompt.Match(x.screen.Bytes()) {
			continue
		}
		if a.hidden {
			if err := x.waitUntilHidden(ctx); err != nil {
				return err
			}
		}
		_, err := x.ptmx.WriteString(a.text + "\n")
		return err
	}
	return nil
}

// waitUntilHidden returns once the terminal does not echo. The kernel announces that to no one.
func (x *terminal) waitUntilHidden(ctx context.Context) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		tio, err := unix.IoctlGetTermios(int(x.ptmx.Fd()), unix.TCGETS)
		if err != nil || tio.Lflag&unix.ECHO == 0 {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("a secret is asked for, and the terminal echoes: %w", ctx.Err())
		}
	}
}

// openTerminal returns both ends of a new pseudo-terminal.
func openTerminal() (ptmx, slave *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	ptmx = os.NewFile(uintptr(fd), "/dev/ptmx")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		ptmx.Close()
		return nil, nil, err
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 50, Col: 120})
	}
	if err != nil {
		ptmx.Close()
		return nil, nil, err
	}
	return ptmx, slave, nil
}
