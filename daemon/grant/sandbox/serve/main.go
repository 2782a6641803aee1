// Serve runs the sandbox authorization server as a process of its own, for tests in shell and Python and for trying
// things out by hand. It prints its URL as one line on stdout and runs until a signal, or with -until-eof until its
// standard input ends. It is not a server for real secrets: see package sandbox.
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
	flag.StringVar(&o.Dialect, "dialect", "", "whose server the root is: auth0, google, or empty for a generic one")
	flag.DurationVar(&o.TokenLifetime, "lifetime", 0,
		"life of access tokens, whole seconds from 3s on (default: the dialect's)")
	flag.DurationVar(&o.Latency, "latency", 0, "wait before each answer of a token endpoint")
	skew := flag.Duration("skew", 0, "how far the server's clock is ahead")
	user := flag.String("user", "alice@example.com", "`name` of the person who may sign in")
	password := flag.String("password", "dummy-pass", "that person's password; not one that is used elsewhere")
	apiKey := flag.String("api-key", "", "that person's Planet API `key`; not a real one (default: a new one)")
	useTLS := flag.Bool("tls", false, "speak https; GET /sandbox/ca has the authority's certificate")
	caFile := flag.String("ca-file", "", "write that certificate to `file`")
	untilEOF := flag.Bool("until-eof", false, "end when standard input ends")
	flag.BoolVar(&o.PasswordGrant, "password-grant", false, "let clients use the person's password")
	flag.BoolVar(&o.RawBasic, "raw-basic", false, "take HTTP Basic as it is, not form-encoded")
	flag.Func("assertion-audience", "the only `audience` of assertions: token_endpoint, endpoint, issuer or typed",
		func(v string) error {
			o.AssertionAudience = sandbox.AssertionAudience(v)
			return nil
		})
	flag.Func("audience", "another `API` that tokens can be for; may be repeated", func(v string) error {
		o.Audiences = append(o.Audiences, v)
		return nil
	})
	flag.Func("static-key", "a static key of the API as `header:prefix:key`; may be repeated; not a real one",
		staticKey(&o))
	clientFlags(&o)
	byTLS := map[string]string{}
	flag.Func("tls-client",
		"a client with a certificate as `id=file` to write it and its key to; may be repeated; with -tls",
		func(v string) error {
			id, file, _ := strings.Cut(v, "=")
			byTLS[id] = file
			return nil
		})
	var settings [][2]string
	flag.Func("set", "a setting as `name=value`, as the control path /sandbox/set has them; may be repeated",
		func(v string) error {
			name, value, _ := strings.Cut(v, "=")
			settings = append(settings, [2]string{name, value})
			return nil
		})
	flag.Parse()
	o.Users = []sandbox.User{{Name: *user, Password: *password, APIKey: *apiKey}}

	s := sandbox.New(o)
	defer s.Close()
	s.SetSkew(*skew)
	for _, pair := range settings {
		if err := s.Set(pair[0], pair[1]); err != nil {
			return err
		}
	}
	if *caFile != "" {
		if err := os.WriteFile(*caFile, s.CA(), 0o644); err != nil {
			return err
		}
	}
	if err := tlsClients(s, byTLS); err != nil {
		return err
	}
	return serve(s, *addr, *useTLS, *untilEOF)
}

func serve(s *sandbox.Server, addr string, useTLS, untilEOF bool) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	start := s.Start
	if useTLS {
		start = s.StartTLS
	}
	if err := start(addr); err != nil {
		return err
	}
	fmt.Println(s.URL())
	if untilEOF {
		go func() {
			io.Copy(io.Discard, os.Stdin)
			stop()
		}()
	}
	<-ctx.Done()
	return nil
}
