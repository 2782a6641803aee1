// Serve runs the sandbox authorization server as a process of its own, for tests in shell and Python and for trying
// things out by hand. It prints its URL as one line on stdout and runs until a signal, or with -until-eof until its
// standard input ends. It is not a server for anybody's secrets: see package sandbox.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		os.Exit(1)
	}
}

func run() error {
	o := sandbox.Options{Control: true}
	addr := flag.String("addr", "127.0.0.1:0", "loopback `address` to listen on")
	flag.StringVar(&o.IssuerPath, "issuer-path", "", "`path` of the generic server's issuer, like /tenant/one")
	flag.DurationVar(&o.TokenLifetime, "lifetime", 0, "life of access tokens, whole seconds from 3s on (default 15m)")
	flag.DurationVar(&o.Latency, "latency", 0, "wait before each answer of a token endpoint")
	skew := flag.Duration("skew", 0, "how far the server's clock is ahead")
	user := flag.String("user", "alice@example.com", "`name` of the person who may sign in")
	password := flag.String("password", "dummy-pass", "that person's password; not one that is used elsewhere")
	untilEOF := flag.Bool("until-eof", false, "end when standard input ends")
	flag.Func("client", "a client as `id:secret[:method]`; may be repeated; not a real one", func(v string) error {
		parts := strings.SplitN(v, ":", 3)
		if len(parts) < 2 {
			return fmt.Errorf("want id:secret or id:secret:method")
		}
		c := sandbox.Client{ID: parts[0], Secret: parts[1]}
		if len(parts) == 3 {
			c.Method = parts[2]
		}
		o.Clients = append(o.Clients, c)
		return nil
	})
	flag.Parse()
	o.Users = []sandbox.User{{Name: *user, Password: *password}}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s := sandbox.New(o)
	defer s.Close()
	s.SetSkew(*skew)
	if err := s.Start(*addr); err != nil {
		return err
	}
	fmt.Println(s.URL())
	if *untilEOF {
		go func() {
			io.Copy(io.Discard, os.Stdin)
			stop()
		}()
	}
	<-ctx.Done()
	return nil
}
