// Man writes groat's manual and the completions for shells, each from the one text there is: groat(1) from what --help
// says of each command and from daemon/grant/preset/RECIPES.md, groatd(8) from groatd's own -h, groat-config(5) from
// daemon/config/KEYS.md, groat-protocol(7) from protocol/PROTOCOL.md. What stands nowhere else is in the .md files
// beside this program.
//
//	man -bin DIR -out DIR [-release VERSION] [-date 2006-01-02]
//
// It runs the groat-commands and groatd in the directory of -bin, and reads the pages of the repository that it is run
// in. The same programs and pages give the same files.
package main

import (
	"bytes"
	"embed"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cpuguy83/go-md2man/v2/md2man"
)

//go:embed groat.md groatd.md groat-config.md groat-protocol.md
var texts embed.FS

func main() {
	var g generator
	flag.StringVar(&g.bin, "bin", "bin", "the `directory` of groat-commands and groatd")
	flag.StringVar(&g.out, "out", "", "the `directory` to write to")
	flag.StringVar(&g.release, "release", "dev", "the `version` in the foot of each page")
	flag.StringVar(&g.date, "date", "", "the `date` in the foot of each page")
	flag.Parse()
	if err := g.write(); err != nil {
		fmt.Fprintln(os.Stderr, "man:", err)
		os.Exit(1)
	}
}

type generator struct{ bin, out, release, date string }

// page is one of the manual.
type page struct {
	name, section, title string
	// parts replace the lines "<!-- NAME -->" of the page's own text.
	parts map[string]func() (string, error)
}

func (g *generator) pages() []page {
	return []page{
		{"groat", "1", "User Commands", map[string]func() (string, error){
			"about": g.about, "commands": g.commands, "recipes": fromFile("daemon/grant/preset/RECIPES.md", -1)}},
		{"groatd", "8", "System Administration", map[string]func() (string, error){"flags": g.daemonFlags}},
		{"groat-config", "5", "File Formats", map[string]func() (string, error){
			"keys": fromFile("daemon/config/KEYS.md", 1), "network": g.networkKeys}},
		{"groat-protocol", "7", "Protocols", map[string]func() (string, error){
			"protocol": fromFile("protocol/PROTOCOL.md", 1)}},
	}
}

func (g *generator) write() error {
	for _, p := range g.pages() {
		text, err := g.markdown(p)
		if err != nil {
			return fmt.Errorf("%s(%s): %w", p.name, p.section, err)
		}
		name := filepath.Join("man", "man"+p.section, p.name+"."+p.section)
		if err := g.put(name, roff(text)); err != nil {
			return err
		}
	}
	for _, c := range []struct{ shell, name string }{
		{"bash", "bash-completion/completions/groat"},
		{"zsh", "zsh/site-functions/_groat"},
		{"fish", "fish/vendor_completions.d/groat.fish"},
	} {
		script, err := g.groat("completion", c.shell)
		if err != nil {
			return err
		}
		if err := g.put(c.name, []byte(script)); err != nil {
			return err
		}
	}
	return nil
}

func (g *generator) put(name string, text []byte) error {
	path := filepath.Join(g.out, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}

// markdown returns a page's whole text.
func (g *generator) markdown(p page) (string, error) {
	own, err := texts.ReadFile(p.name + ".md")
	if err != nil {
		return "", err
	}
	text := string(own)
	for name, part := range p.parts {
		mark := "<!-- " + name + " -->\n"
		if strings.Count(text, mark) != 1 {
			return "", fmt.Errorf("%s.md has no line %q", p.name, strings.TrimSpace(mark))
		}
		made, err := part()
		if err != nil {
			return "", err
		}
		text = strings.Replace(text, mark, made, 1)
	}
	// md2man makes the title line of it, .TH in man(7).
	head := fmt.Sprintf("# %s %s %q \"groat %s\" %q\n\n", p.name, p.section, g.date, escaped(g.release), p.title)
	return head + text, nil
}

// roff renders Markdown as a page of the manual: ragged, and with no word divided, since people copy from it.
func roff(text string) []byte {
	title, body, _ := bytes.Cut(md2man.Render([]byte(plain(text))), []byte("\n.SH"))
	return slices.Concat(title, []byte("\n.nh\n.ad l\n.SH"), body)
}
