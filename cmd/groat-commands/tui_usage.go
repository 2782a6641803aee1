package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/groat-dev/groat/protocol/visible"
)

// textNoCommand takes the words behind "groat".
func textNoCommand(words []string) string {
	return "there is no command " + visible.Name(strings.Join(words, " "))
}

// printUsage writes what follows a command's description in its help: cobra's own sections, in lines of 80 columns.
func printUsage(c *cobra.Command) error {
	var b bytes.Buffer
	b.WriteString("Usage:\n")
	if c.Runnable() {
		fmt.Fprintf(&b, "  %s\n", c.UseLine())
	}
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "  %s [command]\n", c.CommandPath())
	}
	if c.HasExample() {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", c.Example)
	}
	if c.HasAvailableSubCommands() {
		b.WriteString("\nAvailable Commands:\n")
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() || sub.Name() == "help" {
				fmt.Fprintf(&b, "  %s %s\n", padded(sub.Name(), sub.NamePadding()), sub.Short)
			}
		}
	}
	if c.HasAvailableLocalFlags() {
		b.WriteString("\nFlags:\n")
		for line := range strings.Lines(c.LocalFlags().FlagUsagesWrapped(usualWidth)) {
			b.WriteString(strings.TrimRight(line, " \n") + "\n")
		}
	}
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\nUse \"%s [command] --help\" for more information about a command.\n", c.CommandPath())
	}
	_, err := c.OutOrStdout().Write(b.Bytes())
	return err
}

// plainUsage says in plain words what the argument parser says of a command's arguments and flags.
func plainUsage(cmd *cobra.Command, args []string, err error) string {
	command := cmd.CommandPath()
	var want, got int
	said := err.Error()
	// The texts are those of cobra's ExactArgs and MaximumNArgs, NoArgs and OnlyValidArgs (args.go).
	if n, _ := fmt.Sscanf(said, "accepts %d arg(s), received %d", &want, &got); n == 2 {
		return fmt.Sprintf("%s takes %s, and was given %s", command, arguments(want), arguments(got))
	}
	if n, _ := fmt.Sscanf(said, "accepts at most %d arg(s), received %d", &want, &got); n == 2 {
		return fmt.Sprintf("%s takes at most %s, and was given %s", command, arguments(want), arguments(got))
	}
	for _, word := range args {
		quoted := fmt.Sprintf("%q", word)
		switch {
		case said == "invalid argument "+quoted+fmt.Sprintf(" for %q", command) && len(cmd.ValidArgs) > 0:
			return fmt.Sprintf("%s takes %s, not %s", command, alternatives(cmd.ValidArgs), visible.Quote(word))
		case !strings.HasPrefix(said, "unknown command "+quoted):
		case cmd.HasSubCommands():
			return fmt.Sprintf("there is no command %s %s", command, visible.Name(word))
		default:
			return fmt.Sprintf("%s takes no argument, and was given %s", command, visible.Quote(word))
		}
	}
	plain, parser := plainFlag(command, err)
	if parser == nil {
		return said
	}
	return plain + strings.TrimPrefix(said, parser.Error()) // with what a command has added
}

// plainFlag says in plain words what pflag says of a flag, and returns pflag's own error; nil where it is none.
func plainFlag(command string, err error) (string, error) {
	if e, ok := errors.AsType[*pflag.NotExistError](err); ok {
		name := "--" + e.GetSpecifiedName()
		if e.GetSpecifiedShortnames() != "" {
			name = "-" + e.GetSpecifiedName()
		}
		return command + " has no flag " + visible.Name(name), e
	}
	if e, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		return "--" + e.GetFlag().Name + " needs a value", e
	}
	e, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return "", nil
	}
	name, value := "--"+e.GetFlag().Name, visible.Quote(e.GetValue())
	number, ok := errors.AsType[*strconv.NumError](e.Unwrap())
	switch {
	case !ok:
		return fmt.Sprintf("%s cannot be %s: %s", name, value, e.Unwrap()), e
	case errors.Is(number, strconv.ErrRange):
		return fmt.Sprintf("%s is a smaller number than %s", name, visible.Name(e.GetValue())), e
	case number.Func == "ParseBool":
		return fmt.Sprintf("%s is true or false, not %s", name, value), e
	case number.Func == "ParseUint":
		return fmt.Sprintf("%s is a whole number, 0 or more, not %s", name, value), e
	}
	return fmt.Sprintf("%s is a whole number, not %s", name, value), e
}

// alternatives lists words of which one is meant.
func alternatives(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

func arguments(n int) string {
	switch n {
	case 0:
		return "none"
	case 1:
		return "1 argument"
	}
	return strconv.Itoa(n) + " arguments"
}
