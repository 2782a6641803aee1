// Sbom prints what programs are made of, as a bill of materials in CycloneDX 1.5 (JSON). It reads what the go command
// has written into each program: the version of Go, and each module with its version and hash.
//
//	sbom -release VERSION PROGRAM...
package main

import (
	"debug/buildinfo"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// The members of CycloneDX 1.5 that are used here (cyclonedx.org/docs/1.5/json).
type bom struct {
	Format       string       `json:"bomFormat"`
	Spec         string       `json:"specVersion"`
	Version      int          `json:"version"`
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	Component component `json:"component"`
}

type component struct {
	Type       string     `json:"type"`
	Ref        string     `json:"bom-ref"`
	Name       string     `json:"name"`
	Version    string     `json:"version"`
	PURL       string     `json:"purl,omitempty"`
	Properties []property `json:"properties,omitempty"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn"`
}

func main() {
	release := flag.String("release", "dev", "the `version` of the programs")
	flag.Parse()
	b, err := read(*release, flag.Args())
	if err == nil {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		err = out.Encode(b)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func read(release string, programs []string) (*bom, error) {
	whole := component{Type: "application", Ref: "package", Name: "groat", Version: release}
	b := &bom{Format: "CycloneDX", Spec: "1.5", Version: 1, Metadata: metadata{whole}}
	add := func(c component) string {
		if !slices.ContainsFunc(b.Components, func(have component) bool { return have.Ref == c.Ref }) {
			b.Components = append(b.Components, c)
		}
		return c.Ref
	}
	contains := dependency{Ref: whole.Ref}
	for _, path := range programs {
		info, err := buildinfo.ReadFile(path)
		if err != nil {
			return nil, err
		}
		name := filepath.Base(path)
		contains.DependsOn = append(contains.DependsOn,
			add(component{Type: "application", Ref: name, Name: name, Version: release}))
		uses := dependency{Ref: name, DependsOn: []string{add(module("std", info.GoVersion, ""))}}
		for _, m := range info.Deps {
			if m.Replace != nil {
				m = m.Replace
			}
			uses.DependsOn = append(uses.DependsOn, add(module(m.Path, m.Version, m.Sum)))
		}
		b.Dependencies = append(b.Dependencies, uses)
	}
	b.Dependencies = append(b.Dependencies, contains)
	return b, nil
}

// module describes a module of Go. Its hash is that of go.sum, which is none of a file: CycloneDX has no name for it.
func module(path, version, sum string) component {
	c := component{Type: "library", Name: path, Version: version}
	c.PURL = "pkg:golang/" + path + "@" + version // github.com/package-url/purl-spec, golang
	c.Ref = c.PURL
	if sum != "" {
		c.Properties = []property{{"go:sum", sum}}
	}
	return c
}
