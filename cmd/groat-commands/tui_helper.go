package main

// What "--help" says of the helpers of other programs.
var (
	helpHelper = help{
		short: "Answer another program in its own credential protocol",
		long: `Answer another program in its own credential protocol: it gets a fresh token for
what a profile lists (--api), and nothing for anything else. A helper never asks
a person, and ends within 10 seconds.

Some programs need none, and run "groat get" themselves: rclone
(bearer_token_command, which it runs again after a 401; 1.60 takes no quotes;
"groat setup rclone" writes it), and coding agents that want a headers command,
which is one that prints one JSON object.`,
		example: `  rclone config create data webdav url=https://dav.example.com vendor=other \
    "bearer_token_command=groat get --target https://dav.example.com"
  groat get work --output json-header`,
	}
	helpHelperGit = help{
		short: "Answer git: credential.helper",
		long: `Answer git as a credential helper, for the servers that a profile lists and no
other.

Put the program on PATH as git-credential-groat (a link to groat) and scope it
to the server.

Of several profiles that list a server, the user name that git has chooses (in
the URL, or credential.URL.username): a profile's name or its account; then the
path, with credential.URL.useHttpPath; then GROAT_PROFILE. Where none does, git
gets nothing and groat names them. A user name that no profile is known by gets
the token of the only one there is, and groat says whose that is.`,
		example: `  git config --global --add credential.https://git.example.com.helper ""
  git config --global --add credential.https://git.example.com.helper groat`,
	}
	helpHelperDocker = help{
		short: "Answer docker, podman and skopeo: credHelpers",
		long: `Answer docker, podman and skopeo as a credential helper, for the registries that
a profile lists and no other. The registry gets the access token as a password,
beside the user name oauth2 (oauth2accesstoken at Google's registries).

Put the program on PATH as docker-credential-groat (a link to groat), and name
it for the registry in credHelpers of ~/.docker/config.json; not as credsStore,
for it lists no servers and keeps no passwords. "docker logout" makes groat get
another token.`,
		example: `  groat login work --api https://registry.example.com
  {"credHelpers": {"registry.example.com": "groat"}}`,
	}
	helpHelperKubectl = help{
		short: "Answer kubectl: users[].user.exec of a kubeconfig",
		long: `Answer kubectl, and other programs with a kubeconfig, as a credential plugin:
with the access token of PROFILE, or with its ID token, which is what a cluster
with OIDC wants.

With provideClusterInfo: true the token is given for the cluster's URL only,
which a profile has to list (--api); PROFILE is then needed only where several
do. A kubectl that runs nothing but what stands in credentialPluginAllowlist of
its kuberc (1.35 and later) wants "name: groat" there.`,
		example: `  kubectl config set-credentials me \
    --exec-api-version=client.authentication.k8s.io/v1 \
    --exec-interactive-mode=Never --exec-command=groat --exec-arg=helper \
    --exec-arg=kubectl --exec-arg=work --exec-arg=--id-token`,
	}
	helpHelperCurl = help{
		short: "Print the option for curl that sends a token: curl -K -",
		long: `Print the option for curl that sends the token for a URL, which a profile has to
list (--api); for any other URL nothing, so that curl asks without a token.

curl drops Authorization where a server sends it elsewhere (-L), and no other
header field: do not use -L with an API key that goes into one of its own.`,
		example: `  groat helper curl https://api.example.com/v1/me |
    curl -K - https://api.example.com/v1/me`,
	}
	helpHelperGo = help{
		short: "Answer the go command: GOAUTH",
		long: `Answer the go command (1.24 and later) about a URL that a server has refused:
with the token for the API of a profile (--api) that the URL is part of, which
the go command then sends to all of that API. Without a URL, as before the first
request, it prints nothing.

The go command asks for servers with https:// only, and shows what is wrong with
-x only.`,
		example: `  groat login work --api https://goproxy.example.com
  go env -w GOAUTH='groat helper go' GOPROXY=https://goproxy.example.com`,
	}
	helpHelperCargo = help{
		short: "Answer cargo: credential-provider",
		long: `Answer cargo (1.74 and later) as a credential provider, for the registries whose
index a profile lists and no other. The index says where else cargo sends the
token: to its "dl" and "api" addresses. An argument behind the program's name in
the configuration is the profile.

Put the program on PATH as cargo-credential-groat (a link to groat), or let
"groat setup cargo" do that. "cargo login" and "cargo logout" are refused:
"groat login" does that.`,
		example: `  groat login work --api https://crates.example.com/index
  [registries.work]
  index = "sparse+https://crates.example.com/index/"
  credential-provider = ["cargo-credential-groat"]`,
	}
	helpHelperKeyring = help{
		short: "Answer pip and uv as the program keyring",
		long: `Answer pip and uv in place of the program keyring: with the token as the
password for an index that a profile lists, sent by HTTP Basic. pip asks only if
the URL has a user name (23.1 and later with "--keyring-provider subprocess",
before that without --no-input). It must be one that the server takes beside a
token: oauth2 where any is, oauth2accesstoken at Google's, __token__ at others.
A profile's name chooses the profile. A server's name without https:// gets
nothing.

Put the program as keyring (a link to groat) into a directory of its own, and
that on PATH for pip alone: everything else wants the real keyring. Passwords
are not stored.`,
		example: `  mkdir -p ~/.local/lib/groat-keyring
  ln -s "$(command -v groat)" ~/.local/lib/groat-keyring/keyring
  PATH=~/.local/lib/groat-keyring:$PATH pip install NAME \
    --index-url https://oauth2@pypi.example.com/simple/`,
	}
)

const (
	flagKubectlIDToken = "the ID token instead of the access token"
	flagCargoPlugin    = "cargo's own, with which it calls every provider"
)
