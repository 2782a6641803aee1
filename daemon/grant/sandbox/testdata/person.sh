#!/bin/sh
# person.sh URL NAME PASSWORD: what a person does at Auth0's dialect, with curl alone: a device is connected by its forms, its
# session refreshed, rotated, and lost when an old refresh token comes again. The password is a dummy. The server: -dialect
# auth0 -public native -set rotate=true -set device_interval=1ms.
set -eu
url=$1 name=$2 password=$3

fail() { echo "person: $*" >&2; exit 1; }
member() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
curl() { command curl -sS --max-time 30 "$@"; }
handle() { sed -n 's/.*name="request" value="\([^"]*\)".*/\1/p'; }
poll() { curl -w ' %{http_code}' -d client_id=native -d "device_code=$code" --data-urlencode grant_type=urn:ietf:params:oauth:grant-type:device_code "$url/oauth/token"; }
refresh() { curl -w ' %{http_code}' -d client_id=native -d grant_type=refresh_token -d "refresh_token=$1" "$url/oauth/token"; }

device=$(curl -f -d client_id=native -d scope='openid offline_access' --data-urlencode audience=https://api.earthscope.org "$url/oauth/device/code")
code=$(printf %s "$device" | member device_code)
page=$(printf %s "$device" | member verification_uri_complete)

case $(poll) in *authorization_pending*' 403') ;; *) fail "not pending" ;; esac
request=$(curl -f "$page" | handle)
curl -f -d "request=$request" --data-urlencode "login=$name" --data-urlencode "password=$password" "$url/u/login" | grep -q 'id="allow"' || fail "no consent page"
curl -f -d "request=$request" -d consent=allow "$url/u/login" | grep -q connected || fail "not connected"

token=$(poll)
token=${token% 200}
access=$(printf %s "$token" | member access_token)
first=$(printf %s "$token" | member refresh_token)
[ "$(curl -f -H "Authorization: Bearer $access" "$url/beta/user/profile" | member primary_email)" = "$name" ] || fail "profile"

second=$(refresh "$first")
second=$(printf %s "${second% 200}" | member refresh_token)
[ "$second" != "$first" ] || fail "no rotation"
case $(refresh "$first") in *invalid_grant*' 403') ;; *) fail "reuse is accepted" ;; esac
case $(refresh "$second") in *invalid_grant*' 403') ;; *) fail "the family outlives reuse" ;; esac
[ "$(curl -f "$url/sandbox/refresh" | python3 -c 'import json, sys; print(sorted(json.load(sys.stdin).values()))')" = "[1, 2]" ] || fail "counts"
echo done
