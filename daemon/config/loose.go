package config

import (
	"cmp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/groat-dev/groat/daemon/grant/preset"
	"github.com/groat-dev/groat/daemon/origin"
)

// table returns a file's keys without a look at what they are, or nil where it cannot be read or is no TOML.
func table(file string) map[string]any {
	text, err := read(file)
	if text == nil || err != nil {
		return nil
	}
	keys := map[string]any{}
	if toml.Unmarshal(text, &keys) != nil {
		return nil
	}
	return keys
}

// mayList returns the APIs that a profile lists which cannot be used, in the long form of package origin. known is
// false where they cannot be read from its table: it may list any. An address under a key that no profile has counts:
// the key may be a slip for "resources".
func mayList(table map[string]any) (apis []string, known bool) {
	said := map[string]any{}
	for key, value := range table {
		key = strings.ToLower(key) // as go-toml matches keys
		if _, twice := said[key]; twice {
			return nil, false
		}
		said[key] = value
	}
	names, listed, readable := keys(), false, table != nil
	add := func(word string) {
		api, err := origin.Resource(word)
		if err != nil {
			readable = false
			return
		}
		apis = append(apis, api)
	}
	for key, value := range said {
		words, isText := allText(value)
		switch {
		case key == "resources" || !slices.Contains(names, key) && Nearest(key, names) == "resources":
			listed, readable = true, readable && isText
			for _, w := range words {
				add(w)
			}
		case !slices.Contains(names, key):
			for _, w := range words {
				if api, err := origin.Resource(w); err == nil {
					apis = append(apis, api)
				}
			}
		}
	}
	if !listed {
		byDefault, isText := defaultAPIs(said)
		readable = readable && isText
		for _, w := range byDefault {
			add(w)
		}
	}
	return apis, readable
}

// listed is mayList for a profile that can be used.
func (p Profile) listed() (apis []string, known bool) {
	_, resources, err := p.Server()
	for _, r := range resources {
		api, failed := origin.Resource(r)
		apis, err = append(apis, api), cmp.Or(err, failed)
	}
	return apis, err == nil
}

// defaultAPIs returns the APIs of a profile whose table lists none, and whether they can be told.
func defaultAPIs(table map[string]any) (apis []string, known bool) {
	if backend, ok := table["backend"]; ok {
		apis, known = allText(backend)
		if !known {
			return nil, false
		}
	}
	name, named := table["provider"]
	if !named {
		_, described := table["token_endpoint"]
		return apis, described
	}
	provider, ok := name.(string)
	if !ok {
		return nil, false
	}
	authServer, isText := table["auth_server"].(string)
	if _, said := table["auth_server"]; said && !isText {
		return nil, false
	}
	p, ok := preset.Lookup(provider)
	return append(apis, p.At(authServer).Resources...), ok
}

// allText returns a text, or the texts of a list that has nothing else.
func allText(value any) (words []string, ok bool) {
	if word, ok := value.(string); ok {
		return []string{word}, true
	}
	list, ok := value.([]any)
	for _, v := range list {
		word, isText := v.(string)
		if !isText {
			return words, false
		}
		words = append(words, word)
	}
	return words, ok
}
