#!/bin/sh
# story.sh URL NAME PASSWORD: the way of a person through SpatiaFi's server, with curl alone. The password is a dummy.
set -eu
url=$1 name=$2 password=$3

fail() { echo "story: $*" >&2; exit 1; }
member() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
status() { curl -sS -o /dev/null -w '%{http_code}' --max-time 30 "$@"; }

[ "$(status "$url/api/info")" = 401 ] || fail "the API answers without a token"
[ "$(status -u "$name:wrong" "$url/api/v1/auth/jwt/token/basic")" = 401 ] || fail "a wrong password is accepted"

first=$(curl -sSf --max-time 30 -u "$name:$password" "$url/api/v1/auth/jwt/token/basic" | member access_token)
[ "$(curl -sSf --max-time 30 -H "Authorization: Bearer $first" "$url/api/v1/users/me" | member email)" = "$name" ] || fail "users/me"

[ "$(status -X POST -H "Authorization: Bearer $first" "$url/api/v1/clients")" = 307 ] || fail "no redirect to the slash"
client=$(curl -sSf --max-time 30 -X POST -H "Authorization: Bearer $first" "$url/api/v1/clients/")
id=$(printf %s "$client" | member client_id)
secret=$(printf %s "$client" | member client_secret)

token=$(curl -sSf --max-time 30 -u "$id:$secret" -d grant_type=client_credentials "$url/api/v1/auth/jwt/token" | member access_token)
[ "$(curl -sSf --max-time 30 -H "Authorization: Bearer $token" "$url/v1/raster/export/values?dataset=x" | member path)" = /v1/raster/export/values ] || fail "API"

curl -sSf --max-time 30 -d "token=$token" "$url/sandbox/revoke"
[ "$(status -H "Authorization: Bearer $token" "$url/api/info")" = 401 ] || fail "a revoked token is accepted"

password_token=$(curl -sSf --max-time 30 -d grant_type=password --data-urlencode "username=$name" --data-urlencode "password=$password" "$url/api/v1/auth/jwt/token" | member token_type)
[ "$password_token" = bearer ] || fail "password grant"
echo done
