package main

import (
	"strings"

	"github.com/groat-dev/groat/cmd/groat/get"
	"github.com/groat-dev/groat/protocol/frame"
)

// parseGet parses the arguments of "groat get" as package pflag does, which takes longer to start than groatd to
// answer. It reports false for what it does not know, and for what is wrong: groat-commands has the words for that.
func parseGet(args []string) (o get.Options, profile string, ok bool) {
	var operands []string
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			operands, args = append(operands, args...), nil
			continue
		case arg == "-" || !strings.HasPrefix(arg, "-"):
			operands = append(operands, arg)
			continue
		case arg == "--json":
			o.JSON = true
			continue
		case arg == "--id-token":
			o.IDToken = true
			continue
		}
		name, value, given := strings.Cut(arg, "=")
		if !strings.HasPrefix(arg, "--") { // -oVALUE, -o=VALUE
			name, value, given = arg[:2], arg[2:], len(arg) > 2
			if len(value) > 1 {
				value = strings.TrimPrefix(value, "=")
			}
		}
		if !given {
			if len(args) == 0 {
				return o, "", false
			}
			value, args = args[0], args[1:]
		}
		var err error
		switch name {
		case "--min-ttl":
			err = o.MinTTL.Set(value, frame.MaxMinTTL)
		case "--wait":
			err = o.Wait.Set(value, frame.MaxWait)
		case "--scope":
			o.Scope = value
		case "--audience":
			o.Audience = value
		case "--target":
			o.Target = value
		case "--output", "-o":
			o.Output = value
		default:
			return o, "", false
		}
		if err != nil {
			return o, "", false
		}
	}
	switch len(operands) {
	case 0:
		return o, "", true
	case 1:
		return o, operands[0], true
	}
	return o, "", false
}
