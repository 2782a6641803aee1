package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/groat-dev/groat/cmd/groat/report"
)

// errNoTTY: there is no terminal to ask on.
var errNoTTY = errors.New("no terminal")

func openTTY() (*os.File, error) { return os.OpenFile("/dev/tty", os.O_RDWR, 0) }

// askLine asks on the terminal for one line, which is not echoed if it is hidden. Whatever ends the question, a
// signal or the end of ctx too, the terminal is given back as it was, and what is typed next is not lost.
// The caller owns the bytes, which hold no newline. The error is errNoTTY, [io.EOF], the cause of ctx's end, or a
// [*report.Failure].
func (a *app) askLine(ctx context.Context, question string, hidden bool) ([]byte, error) {
	tty, err := a.tty()
	if err != nil {
		return nil, errNoTTY
	}
	defer tty.Close()
	closeMemory()
	ctx, stop := interruptible(ctx)
	defer stop()
	if hidden {
		restore, err := disableEcho(int(tty.Fd()))
		if err != nil {
			return nil, errNoTTY
		}
		defer restore()
	}
	ctx, over := askAgain(ctx, tty, question, hidden)
	defer over()
	if _, err := io.WriteString(tty, question); err != nil {
		return nil, errNoTTY
	}
	b, err := readLine(ctx, int(tty.Fd()))
	// The person's own newline was not echoed, or did not come.
	if hidden || err != nil && (isSignal(err) || question != "" && !strings.HasSuffix(question, "\n")) {
		io.WriteString(tty, "\n")
	}
	if errors.Is(err, errTypedTooLong) {
		err = a.errTyped(err)
	}
	return b, err
}

func isSignal(err error) bool {
	f, ok := errors.AsType[*report.Failure](err)
	return ok && f.Code > report.ExitSignal
}

// interruptible returns a context that ends with the signals that end a program; its cause is then errSignal's. A
// signal that is ignored (nohup, a background job) stays so.
func interruptible(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 1)
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
	go func() {
		select {
		case s := <-signals:
			cancel(errSignal(s.(syscall.Signal)))
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
	}
}

// askAgain repeats the question each time that the process goes on after a stop (Ctrl-Z, fg), and turns the echo of a
// hidden answer off again: a shell gives the terminal back with the echo on. The context ends where that fails. Nothing
// touches the terminal once over has returned.
func askAgain(ctx context.Context, tty *os.File, question string, hidden bool) (_ context.Context, over func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	resumed := make(chan os.Signal, 1)
	signal.Notify(resumed, syscall.SIGCONT)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-resumed:
			case <-ctx.Done():
				return
			}
			switch {
			case ctx.Err() != nil:
				return
			case hidden: // in the background this stops the process (SIGTTOU) until it is in front
				if _, err := disableEcho(int(tty.Fd())); err != nil {
					cancel(errNoTTY)
					return
				}
			case !foreground(tty):
				continue
			}
			select { // it was stopped there once more
			case <-resumed:
			default:
			}
			io.WriteString(tty, question)
		}
	}()
	return ctx, func() {
		signal.Stop(resumed)
		cancel(nil)
		<-ended
	}
}

// disableEcho turns a terminal's echo off, and returns what turns it on again.
func disableEcho(fd int) (restore func(), err error) {
	before, err := unix.IoctlGetTermios(fd, ioctlGetTermios)
	if err != nil {
		return nil, err
	}
	quiet := *before
	quiet.Lflag &^= unix.ECHO
	quiet.Lflag |= unix.ICANON | unix.ISIG
	quiet.Iflag |= unix.ICRNL
	if err := unix.IoctlSetTermios(fd, ioctlSetTermios, &quiet); err != nil {
		return nil, err
	}
	return func() { unix.IoctlSetTermios(fd, ioctlSetTermios, before) }, nil
}

// readLine reads up to the next newline or the end of input, or until ctx ends.
//
// It waits by select, because a read that is left behind in a terminal takes the next line from the program that it is
// meant for, and because poll does not know terminals on macOS.
func readLine(ctx context.Context, fd int) ([]byte, error) {
	ended, end, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ended.Close()
	defer end.Close()
	defer context.AfterFunc(ctx, func() { end.Close() })()
	// One buffer of the full size: growing it would leave copies of a secret behind.
	buf, n := make([]byte, maxInput+1), 0
	for n < len(buf) {
		if err := await(fd, int(ended.Fd())); err != nil {
			clear(buf)
			return nil, err
		}
		if ctx.Err() != nil {
			clear(buf)
			return nil, context.Cause(ctx)
		}
		got, err := unix.Read(fd, buf[n:])
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
			continue
		case err != nil:
			clear(buf)
			return nil, err
		}
		if got <= 0 && n == 0 {
			return nil, io.EOF
		}
		n += max(got, 0)
		if i := bytes.IndexByte(buf[:n], '\n'); i >= 0 || got <= 0 {
			return bytes.TrimRight(buf[:n], "\r\n"), nil
		}
	}
	clear(buf)
	return nil, errTypedTooLong
}

// await returns when one of the descriptors can be read, or is at its end.
func await(fds ...int) error {
	for {
		var set unix.FdSet
		most := 0
		for _, fd := range fds {
			if fd >= unix.FD_SETSIZE {
				return unix.EMFILE
			}
			set.Set(fd)
			most = max(most, fd)
		}
		_, err := unix.Select(most+1, &set, nil, nil, nil)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// foreground reports whether the terminal takes our questions: a job in the background would be stopped by asking one.
func foreground(tty *os.File) bool {
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}
