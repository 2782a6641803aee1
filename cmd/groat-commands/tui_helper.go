package main

// What "--help" says of the helpers of other programs.
var (
	helpHelper = help{
		short: "Answer another program in its own credential protocol",
		long: `Answer another program in its own credential protocol: it gets a fresh token for what a profile
lists (--api), and nothing for anything else. A helper never asks a person, and ends within 10 seconds.`,
	}
	helpHelperGit = help{
		short: "Answer git: credential.helper",
		long: `Answer git as a credential helper, for the servers that a profile lists and no other.

Put the program on PATH as git-credential-groat (a link to groat) and scope it to the server.`,
		example: `  git config --global --add credential.https://git.example.com.helper ""
  git config --global --add credential.https://git.example.com.helper groat`,
	}
	helpHelperDocker = help{
		short: "Answer docker, podman and skopeo: credHelpers",
		long: `Answer docker, podman and skopeo as a credential helper, for the registries that a profile lists
and no other. The registry gets the access token as a password, beside the user name oauth2
(oauth2accesstoken at Google's registries).

Put the program on PATH as docker-credential-groat (a link to groat), and name it for the
registry in credHelpers of ~/.docker/config.json; not as credsStore, for it lists no servers and
keeps no passwords. "docker logout" makes groat get another token.`,
		example: `  groat login work --api https://registry.example.com
  {"credHelpers": {"registry.example.com": "groat"}}`,
	}
	helpHelperKubectl = help{
		short: "Answer kubectl: users[].user.exec of a kubeconfig",
		long: `Answer kubectl, and other programs with a kubeconfig, as a credential plugin: with the access
token of PROFILE, or with its ID token, which is what a cluster with OIDC wants.

With provideClusterInfo: true the token is given for the cluster's URL only, which a profile has
to list (--api); PROFILE is then needed only where several do. A kubectl that runs nothing but
what stands in credentialPluginAllowlist of its kuberc (1.35 and later) wants "name: groat" there.`,
		example: `  kubectl config set-credentials me --exec-api-version=client.authentication.k8s.io/v1 \
    --exec-interactive-mode=Never --exec-command=groat --exec-arg=helper --exec-arg=kubectl \
    --exec-arg=work --exec-arg=--id-token`,
	}
	helpHelperCurl = help{
		short: "Print the option for curl that sends a token: curl -K -",
		long: `Print the option for curl that sends the token for a URL, which a profile has to list (--api);
for any other URL nothing, so that curl asks without a token.

curl drops Authorization where a server sends it elsewhere (-L), and no other header field: do
not use -L with an API key that goes into one of its own.`,
		example: `  groat helper curl https://api.example.com/v1/me | curl -K - https://api.example.com/v1/me`,
	}
)

const flagKubectlIDToken = "the ID token instead of the access token"
