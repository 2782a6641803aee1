package setup

import (
	"context"
	"path/filepath"
	"strings"
)

// docker asks the helper that credHelpers of its config.json names for a registry, by the name behind
// "docker-credential-" (https://docs.docker.com/reference/cli/docker/login/#credential-helpers). Podman, buildah and
// skopeo read the same file (containers-auth.json(5)).
var docker = &Tool{Name: "docker", Programs: []string{"docker", "podman", "skopeo", "buildah"}, NamesNone: true,
	Want: wantDocker}

// dockerHelper is the program that docker runs for the name "groat".
const dockerHelper = "docker-credential-groat"

func wantDocker(_ context.Context, m *Machine, p Profile) ([]File, error) {
	dir := m.Getenv("DOCKER_CONFIG")
	if dir == "" {
		dir = filepath.Join(m.Home, ".docker")
	}
	f := File{Path: filepath.Join(dir, "config.json"), Format: "members"}
	f.Parse = func(_ context.Context, content []byte) error {
		if len(strings.TrimSpace(string(content))) == 0 {
			return nil
		}
		_, _, err := objectOf(content, "credHelpers")
		return err
	}
	for _, api := range p.APIs {
		_, host, _ := strings.Cut(api, "://")
		if !strings.Contains(host, "/") { // docker names no path, so none could be told from another
			f.Settings = append(f.Settings, Setting{Name: "credHelpers/" + host, Value: `"groat"`})
		}
	}
	if len(f.Settings) == 0 {
		return nil, nil
	}
	link, err := m.link(dockerHelper)
	if err != nil {
		return nil, err
	}
	return append([]File{f}, link...), nil
}
