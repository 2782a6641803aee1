package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

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

// plainUsage says in plain words what the argument parser says of the number of arguments and of a value that is no
// number. All else is said as the parser says it.
func plainUsage(command string, err error) string {
	var want, got int
	said := err.Error()
	// The texts are those of cobra's ExactArgs and MaximumNArgs (args.go).
	if n, _ := fmt.Sscanf(said, "accepts %d arg(s), received %d", &want, &got); n == 2 {
		return fmt.Sprintf("%s takes %s, and was given %s", command, arguments(want), arguments(got))
	}
	if n, _ := fmt.Sscanf(said, "accepts at most %d arg(s), received %d", &want, &got); n == 2 {
		return fmt.Sprintf("%s takes at most %s, and was given %s", command, arguments(want), arguments(got))
	}
	flag, ok := errors.AsType[*pflag.InvalidValueError](err)
	number, ok2 := errors.AsType[*strconv.NumError](err)
	if !ok || !ok2 {
		return said
	}
	name, value := "--"+flag.GetFlag().Name, flag.GetValue()
	switch {
	case errors.Is(number, strconv.ErrRange):
		return fmt.Sprintf("%s is a smaller number than %s", name, value)
	case number.Func == "ParseBool":
		return fmt.Sprintf("%s is true or false, not %q", name, value)
	case number.Func == "ParseUint":
		return fmt.Sprintf("%s is a whole number, 0 or more, not %q", name, value)
	}
	return fmt.Sprintf("%s is a whole number, not %q", name, value)
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
