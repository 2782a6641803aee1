package main

import (
	"bytes"
	_ "embed"
	"strings"

	"github.com/spf13/cobra"
)

// shells are those that groat has a completion for.
var shells = []string{"bash", "zsh", "fish"}

func (a *app) completionCommand() *cobra.Command {
	cmd := command("completion bash|zsh|fish", helpCompletion, cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		func(cmd *cobra.Command, args []string) error {
			script, err := completion(cmd.Root(), args[0])
			if err != nil {
				return err
			}
			return a.write(script)
		})
	cmd.ValidArgs = shells
	return cmd
}

// completion returns the script by which a shell completes groat's commands.
func completion(root *cobra.Command, shell string) ([]byte, error) {
	var b bytes.Buffer
	switch shell {
	case "zsh":
		err := root.GenZshCompletion(&b)
		return b.Bytes(), err
	case "fish":
		err := root.GenFishCompletion(&b, true)
		return b.Bytes(), err
	}
	if err := root.GenBashCompletionV2(&b, true); err != nil {
		return nil, err
	}
	// The line that calls the function, which is the only one with this word.
	text := b.String()
	if at := strings.Index(text, bashNeeds); at >= 0 {
		begin := strings.LastIndex(text[:at], "\n") + 1
		_, rest, _ := strings.Cut(text[at:], "\n")
		text = text[:begin] + bashWords + rest
	}
	return []byte(text), nil
}

// bashNeeds is the function that cobra's script takes from the package bash-completion, which not every machine has,
// and bashWords does the same. Where the package is there, the script calls another function of it.
const bashNeeds = "_get_comp_words_by_ref"

//go:embed completion.bash
var bashWords string
