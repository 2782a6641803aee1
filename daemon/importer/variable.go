package importer

import (
	"slices"
	"strings"
)

// apiKey is what a static key is for people; keyGrant is its kind of sign-in.
const (
	apiKey   = "API key"
	keyGrant = "api_key"
)

// ours are the variables that are looked at, by the program they are for.
var ours = [][]string{
	{"XDG_CONFIG_HOME", "TMPDIR", "APP_DIRECTORY"},
	{"SPATIAFI_CLIENT_ID", "SPATIAFI_CLIENT_SECRET", "CLIENT_ID", "CLIENT_SECRET", "USER_ID"},
	{"CLIMATE_ENGINE_API_KEY", "CLIMATE_ENGINE_API_TOKEN"},
	{"GS_OAUTH2_CLIENT_ID", "GS_OAUTH2_CLIENT_SECRET", "GS_OAUTH2_REFRESH_TOKEN"},
	{"PL_API_KEY", "PL_AUTH_API_KEY", "PL_AUTH_PROFILE", "PL_AUTH_CLIENT_ID", "PL_AUTH_CLIENT_SECRET"},
	planetSettings, earthscopeVariables, earthscopeOldVariables, sopsVariables,
}

// Variables returns the names of all that [Find], [Read] and [Parse] may ask [Env.Getenv] for. A caller whose environment is
// not the person's own has them sent: some hold secrets.
func Variables() []string {
	names := slices.Concat(ours...)
	slices.Sort(names)
	return slices.Compact(names)
}

// variables describes a copy in the environment.
func variables(holds string, names ...string) Copy {
	return Copy{
		Variables: names, Plain: true, Holds: []string{holds}, Remove: unset(names),
		Note: "every program that is started from this shell has them; remove the lines that set them (a start-up file of the shell, a .env file, a service's unit) too",
	}
}

func unset(names []string) string { return "unset " + strings.Join(names, " ") }

// set returns those of some variables that are not empty.
func (s *search) set(names ...string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return s.env.Getenv(name) == "" })
}
