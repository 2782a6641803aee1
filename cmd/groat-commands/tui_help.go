package main

// help is what "--help" says of a command.
type help struct{ short, long, example string }

var (
	helpRoot = help{
		short: "OAuth access tokens, always fresh",
		long: `groat hands out OAuth access tokens that are good for at least the time you ask
for.

Sign in once with "groat login"; from then on "groat get" prints an access token
at once. groatd keeps the tokens fresh and your App Credentials in the keychain;
groat starts it when it is needed.`,
	}
	helpGet = help{
		short: "Print an access token",
		long: `Print an access token that is good for at least --min-ttl, and nothing else.
With --id-token, print the ID token that came with it.

Programs read the other formats: a shell's eval "export", "curl -K -" "curl",
and a coding agent's headers command "json-header", an object of header fields.
An API key, and a token with characters that RFC 6750 does not allow, is printed
as header, curl, json-header or json only.

PROFILE is the one of GROAT_PROFILE, or the only one there is, if it is not
given.`,
		example: `  groat get spatiafi --min-ttl 5m
  groat get spatiafi --output header |
    curl -H @- 'https://api.spatiafi.com/api/info?item_id=demo'
  eval "$(groat get spatiafi --output export)"
  printf %s "$TOKEN" | groat get spatiafi --refused`,
	}
	helpLogin = help{
		short: "Sign in: create a profile, or renew one; list the providers",
		long: `Sign in, and stay signed in: groatd keeps the session, the App Credentials or
the key, and access tokens come from there.

Without PROFILE, list the providers that groat knows, how each signs in, and how
any other server is used. At a terminal groat then asks for the provider, and
for whatever else a sign-in lacks. A profile named like a provider has that
provider.

A browser is opened where you sit in front of one. On another machine, over ssh
or with --no-browser, groat shows a code for any browser, or the address to
open; what the browser ended at can be pasted back. A password is used once and
then forgotten. Secrets are asked for at a hidden prompt, or read from stdin
with --secret-stdin; there is no flag for one.

Signing in again uses what is there, and asks only where that has ended. A
client, key or API key is given up for another one only after a question, or
with --replace. A profile has one sign-in at a time: --cancel ends the one that
is under way.`,
		example: `  groat login
  groat login spatiafi --provider spatiafi --username me@example.com
  groat login planet --provider planet-user
  groat login lab --issuer https://login.example.com --client-id app1 \
    --client-auth none
  groat login work --token-url https://login.example.com/token \
    --client-auth client_secret_basic --client-id app1`,
	}
	helpLogout = help{
		short: "End a profile's session and forget it on this machine",
		long: `End a profile's session at its provider, and forget the profile on this machine.

Where the provider cannot delete App Credentials, they go on existing there:
groat shows their id and asks first. Where the provider cannot be reached
nothing is forgotten, unless you say --keep-remote.

Tools that are set up for the profile, and files that are kept of it, stay as
they are; groat names each with the command that ends it.`,
	}
	helpImport = help{
		short: "Take over credentials that other programs keep on this machine",
		long: `Take over credentials that other programs keep on this machine: SpatiaFi's and
Climate Engine's App Credentials, the profiles of Planet's and EarthScope's
programs, API keys in variables.

groat shows what there is and which server it is for, asks about each, and tries
it out before it keeps it. What would go to another server than the provider's
own is asked about also with --yes, or named with --trust. It changes and
deletes nothing of the other program's: in the end it names what is still
readable in a file, who reads it, and the command that removes it.`,
		example: `  groat import --dry-run
  groat import
  groat import --from ~/project/app_credentials.json`,
	}
	helpList   = help{short: "List the profiles"}
	helpStatus = help{
		short: "Show how the profiles and groatd are doing",
		long: `Show how the profiles and groatd are doing: first the profiles that need you,
each with the command to type, then the others, then groatd and its keystore.

A terminal gets lines of its width, a bar of each token's remaining life, and
colours unless NO_COLOR is set. A pipe gets one line a profile, and below it
what is to be said of it. Programs read --json.`,
	}
	helpWhoami = help{short: "Show who a profile is at its provider"}
	helpWatch  = help{
		short: "Print a line of JSON for each change of a profile",
		long: `Print a line of JSON with what a profile is like, and one for each change of it,
as long as groat is not interrupted. No line holds a token: "groat get" prints
it at once.

The member "event" is state, renewed, blocked, healed, expired, forgotten,
removed, added, dropped or disconnected; after the last two groat goes on, with
a state. Watching uses no access token: one that nothing else uses is not
renewed after an hour.`,
		example: `  groat watch spatiafi
  groat watch spatiafi --once`,
	}
	helpReload      = help{short: "Make groatd read its configuration again"}
	helpKeystore    = help{short: "Show or choose where App Credentials are kept"}
	helpKeystoreUse = help{
		short: "Choose where App Credentials are kept",
		long: `Choose where App Credentials are kept:

  keychain  the keychain of the desktop (Secret Service, macOS Keychain)
  sealed    an encrypted file, its key from --passphrase or --key-file
  memory    nowhere: they are gone when groatd ends`,
	}
	helpKeystoreMove = help{
		short: "Move all credentials to another keystore",
		long: `Move all credentials to another keystore: they are copied, read back, used from
there, and then erased where they were.

Where one cannot be copied nothing is moved. A move that was interrupted is
finished by the same command.`,
		example: `  groat keystore move sealed --passphrase
  groat keystore move keychain`,
	}
	helpKeystorePassphrase = help{
		short: "Change the passphrase of the sealed keystore",
		long:  `Change the passphrase of the sealed keystore: everything in it is sealed anew.`,
	}
	helpBackup = help{
		short: "Write permanent credentials to a file, sealed with a passphrase",
		long: `Write the permanent credentials, and the profiles they belong to, to a file that
a passphrase opens: App Credentials, client secrets, private keys and API keys,
for "groat restore" on another machine.

Sessions are not in it: they belong to one machine. groat names them, with the
command that signs in again.`,
		example: `  groat backup ~/groat.backup`,
	}
	helpRestore = help{
		short: "Restore credentials from a file of groat backup",
		long: `Restore the credentials in a file that "groat backup" wrote, and their profiles.

groat shows what is in the file, and the server that each credential is sent to,
and asks. What is here already is replaced only where you say so.`,
		example: `  groat restore ~/groat.backup
  groat restore ~/groat.backup --replace work`,
	}
	helpUnlock = help{
		short: "Unlock the keystore",
		long: `Unlock the keystore: the desktop's keychain, or the sealed file with its
passphrase.`,
	}
	helpCompletion = help{
		short: "Print the script by which a shell completes groat's commands",
		long: `Print the script by which a shell completes groat's commands, flags, providers
and, while groatd runs, profiles. "make install" and the packages put it in
place; these commands do it by hand.

For bash the package bash-completion is not needed.`,
		example: `  eval "$(groat completion bash)"
  groat completion zsh > ~/.zfunc/_groat
  groat completion fish > ~/.config/fish/completions/groat.fish`,
	}
	helpVersion = help{short: "Print the version"}
)

// Flags; a word in back quotes stands for the value.
const (
	flagMinTTL      = "the `time` that the access token must still be good for (300 or 5m)"
	flagWait        = "how much `time` to wait for an access token"
	flagScope       = "`scope`s, separated by spaces, instead of the profile's own"
	flagAudience    = "an `audience` instead of the profile's own"
	flagTarget      = "the `URL` that the access token is for: the profile is the one that lists it (--api)"
	flagOutput      = "`format` of the output: token (the default), header, json, env, export, curl or json-header"
	flagGetJSON     = "the same as --output json"
	flagIDToken     = "the ID token, which says who signed in, instead of the access token (kubectl, AWS, IAP)"
	flagRefused     = "read a token that an API refused from stdin, and get another one"
	flagJSON        = "print JSON"
	flagVersion     = "print the version"
	flagOnce        = "end after the first change"
	flagYes         = "do not ask"
	flagProvider    = "a `provider` that groat knows: \"groat login\" lists them"
	flagUsername    = "`user` name of your account at the provider"
	flagClientID    = "client `id` of App Credentials that you have"
	flagSecretStdin = "read the password or client secret from stdin"
	flagNewClient   = "create new App Credentials although there are some (they are permanent at the provider)"
	flagReplace     = "give up the client, key or API key that the profile has, without a question, once the new " +
		"one works"
	flagCancel     = "end the sign-in of the profile that is under way elsewhere; nothing else is changed"
	flagIssuer     = "`URL` of any other server, whose endpoints it publishes"
	flagTokenURL   = "`URL` of the token endpoint of any other server"
	flagAuthServer = "another `URL` of the same provider (staging, tests)"
	flagBackend    = "`URL` of an openEO back end, which says where its people sign in"
	flagClientAuth = "`method`: client_secret_basic, client_secret_post, client_secret_jwt, private_key_jwt, " +
		"tls_client_auth, self_signed_tls_client_auth or none"
	flagGrant     = "the `way` to sign in, where there is more than one: \"groat login\" lists them"
	flagNoBrowser = "open no browser: show a code or an address instead"
	flagKey       = "`file` of a private key (PEM), or of a service account (JSON)"
	flagKeyAlg    = "the `algorithm` to sign with, where the server wants another than the usual one (RS256, " +
		"PS256, HS512, …)"
	flagAuthorizationEndpoint = "`URL` of the page that a browser signs in at, where the server does not publish it"
	flagDeviceEndpoint        = "`URL` where a sign-in with a code begins, where the server does not publish it"
	flagPAREndpoint           = "`URL` that takes a browser's sign-in beforehand, where the server does not publish it"
	flagRevocationEndpoint    = "`URL` that ends a session, where the server does not publish it"
	flagUserinfoEndpoint      = "`URL` that says who you are, where the server does not publish it"
	flagPAR                   = "`when` a browser's sign-in is sent to the server beforehand: always or never; else " +
		"wherever the server takes it"
	flagAssertionFile = "`file` of an assertion that another program keeps fresh (Kubernetes, CI); read for each " +
		"request"
	flagTargetAudience = "whom a service account's ID tokens are for: the client id of an IAP, or the `audience` of " +
		"another service"
	flagResourceIndicator = "the `URL` of the API that access tokens are for (RFC 8707)"
	flagWiderScope        = "take access tokens that may do more than was asked for without a word"
	flagStrictScope       = "refuse access tokens that may do more than was asked for"
	flagSet               = "another key of the profile, as `KEY=VALUE`; may be repeated (groat profile show " +
		"lists the keys)"
	flagBasic = "the `form` of id and secret for client_secret_basic: form (encoded, as RFC 6749 wants) " +
		"or raw (as they are, which many servers want)"
	flagAssertionAudience = "what the client's assertions, or a key's, are for: `issuer`, endpoint (the token " +
		"endpoint), called (the one that is called) or a URL"
	flagKeyID    = "the `id` by which the server knows the key"
	flagRedirect = "the `URL` on this machine that the client is registered with, where that is not any port " +
		"of 127.0.0.1"
	flagCertificate = "`file` of the client's certificate, for tls_client_auth"
	flagSubject     = "the `person` whom a service account speaks for"
	flagHeader      = "the `name` of the header field that an API key goes into"
	flagPrefix      = "the `word` before an API key in its header field"
	flagKeystore    = "where credentials are kept from now on: keychain, passphrase, key-file or memory"
	flagFleet       = "the profile is the fleet's: all its machines have it"
	flagEphemeral   = "keep this profile in memory only: it is gone when groatd ends"
	flagKeepRemote  = "leave the session at the provider as it is"
	flagFrom        = "`path` of a file to look at instead of all known places; - is stdin"
	flagDryRun      = "only show what there is"
	flagYesImport   = "take all that needs no answer from you, without asking"
	flagImportTrust = "an `origin` that a credential may be sent to although only the other program's file names " +
		"it; may be repeated"
	flagImportProvider = "the `provider`, where a credential could be for more than one"
	flagAPI            = "an API's `ORIGIN` (https://host), or one with a path (https://host/team), whose requests " +
		"get the access token; adds to what there is; may be repeated"
	flagResource        = "the older name of --api for an `ORIGIN`"
	flagTrust           = "another host's `ORIGIN` that this sign-in may use; may be repeated"
	flagPassphrase      = "protect the sealed keystore with a passphrase"
	flagPassphraseStdin = "read the passphrase from stdin"
	flagTwoPassphrases  = "read the old passphrase and the new one from two lines of stdin"
	flagForce           = "replace the file, where there is one"
	flagYesRestore      = "restore all that replaces nothing, without asking"
	flagReplaceHere     = "the `profile` whose credential here is replaced; may be repeated"
	flagKeyFile         = "protect the sealed keystore with a key file that only you can read"
)
