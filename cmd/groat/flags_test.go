package main

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/groat-dev/groat/cmd/groat/get"
	"github.com/groat-dev/groat/protocol/frame"
)

func TestParseGet(t *testing.T) {
	second := int64(1)
	for _, tt := range []struct {
		args    string
		want    get.Options
		profile string
	}{
		{"", get.Options{}, ""},
		{"work", get.Options{}, "work"},
		{"-", get.Options{}, "-"},
		{"-- --json", get.Options{}, "--json"},
		{"--json work", get.Options{JSON: true}, "work"},
		{"--id-token work -o env", get.Options{IDToken: true, Output: "env"}, "work"},
		{"work --output json", get.Options{Output: "json"}, "work"},
		{"--output=env", get.Options{Output: "env"}, ""},
		{"-o header", get.Options{Output: "header"}, ""},
		{"-oheader", get.Options{Output: "header"}, ""},
		{"-o=header", get.Options{Output: "header"}, ""},
		{"-o=", get.Options{Output: "="}, ""}, // as pflag has it
		{"--scope --json", get.Options{Scope: "--json"}, ""},
		{"--target https://h/x work", get.Options{Target: "https://h/x"}, "work"},
		{"--target= -- -x", get.Options{}, "-x"},
		{"--scope a --audience=b=c", get.Options{Scope: "a", Audience: "b=c"}, ""},
		{"--min-ttl 1 --wait=1s", get.Options{MinTTL: get.Seconds{N: &second}, Wait: get.Seconds{N: &second}},
			""},
	} {
		got, profile, ok := parseGet(strings.Fields(tt.args))
		if !ok || profile != tt.profile || !cmp.Equal(got, tt.want) {
			t.Errorf("%q: %+v %q %v", tt.args, got, profile, ok)
		}
	}
	for _, args := range []string{"a b", "--help", "-h", "-h work", "--json=true", "--id-token=true", "--refused", "--outpu json", "--", "-x",
		"--output", "-o", "--min-ttl -1", "--wait 121", "--wait", "---json", "--=x", "-json"} {
		if _, _, ok := parseGet(strings.Fields(args)); ok != (args == "--") {
			t.Errorf("%q: %v", args, ok)
		}
	}
}

// What parseGet takes, package pflag takes for the same: groat-commands is the same command.
func FuzzParseGet(f *testing.F) {
	for _, seed := range []string{"", "work", "--json\nwork", "-oenv", "-o=", "-o\n=x", "--output=\nx", "--min-ttl\n5m",
		"--wait=0", "--\n-x", "a\n--\nb", "--scope\n--", "-", "--audience", "-o\n", "--json\n--json",
		"--id-token\n-o\njson", "-ojson\n-o=", "--target\nhttps://h/\nwork", "--target="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		args := strings.Split(text, "\n")
		if text == "" {
			args = nil
		}
		got, profile, ok := parseGet(args)
		if !ok {
			return
		}
		var want get.Options
		fs := pflag.NewFlagSet("get", pflag.ContinueOnError)
		fs.SetOutput(io.Discard)
		fs.Var(seconds{&want.MinTTL, frame.MaxMinTTL}, "min-ttl", "")
		fs.Var(seconds{&want.Wait, frame.MaxWait}, "wait", "")
		fs.StringVar(&want.Scope, "scope", "", "")
		fs.StringVar(&want.Audience, "audience", "", "")
		fs.StringVar(&want.Target, "target", "", "")
		fs.StringVarP(&want.Output, "output", "o", "", "")
		fs.BoolVar(&want.JSON, "json", false, "")
		fs.BoolVar(&want.IDToken, "id-token", false, "")
		if err := fs.Parse(args); err != nil {
			t.Fatalf("%q: pflag says %v", args, err)
		}
		operand := ""
		if fs.NArg() > 0 {
			operand = fs.Arg(0)
		}
		if !cmp.Equal(got, want) || fs.NArg() > 1 || operand != profile {
			t.Fatalf("%q: %+v %q, pflag %+v %q", args, got, profile, want, fs.Args())
		}
	})
}

// seconds is a [get.Seconds] as a flag.
type seconds struct {
	*get.Seconds
	max time.Duration
}

func (s seconds) Set(v string) error { return s.Seconds.Set(v, s.max) }
func (s seconds) Type() string       { return "duration" }
