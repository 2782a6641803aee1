package helper

import (
	"errors"
	"io"
	"strings"
	"time"

	"github.com/groat-dev/groat/protocol/frame"
	"github.com/groat-dev/groat/protocol/strictjson"
)

// KubectlEnv is the variable in which kubectl, like every program of client-go, says what it wants of a plugin:
// https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
const KubectlEnv = "KUBERNETES_EXEC_INFO"

// execGroup is the API group of an ExecCredential.
const execGroup = "client.authentication.k8s.io/"

// The errors of what stands in [KubectlEnv].
var (
	ErrExecInfo    = errors.New(KubectlEnv + " is no ExecCredential of client.authentication.k8s.io")
	ErrExecVersion = errors.New("this kubeconfig's user wants another apiVersion than " + execGroup + "v1 and v1beta1")
)

// maxExecInfo bounds what is read of the variable. Linux itself bounds one variable to 128 KiB (execve(2)).
const maxExecInfo = 256 << 10

// Kubectl answers kubectl as a credential plugin, with the access token of a profile, or with its ID token. Info is the
// value of [KubectlEnv]. Where it names the cluster (provideClusterInfo), the token is one for the cluster's URL, which
// the profile has to list; without a profile this chooses it.
//
// Whatever goes wrong, nothing is written to out; kubectl shows stderr and the exit code.
func Kubectl(d Daemon, profile string, idToken bool, info string, out io.Writer) error {
	version, server, err := readExecInfo(info)
	if err != nil {
		return err
	}
	wait := int64(Wait)
	params := frame.TokenParams{Profile: profile, Target: server, Wait: &wait}
	if idToken {
		params.TokenUse = frame.UseID
	}
	t, err := d.Token(params)
	if err != nil {
		return err
	}
	token, err := execToken(t, idToken)
	if err != nil {
		return err
	}
	end := time.Unix(t.ExpiresAt, 0).UTC()
	if t.ExpiresAt <= 0 || end.Year() > 9999 { // RFC 3339 §1
		return errBadToken
	}
	b := append([]byte(`{"apiVersion":"`+execGroup), version...)
	b = strictjson.AppendString(append(b, `","kind":"ExecCredential","status":{"token":`...), token)
	b = end.AppendFormat(append(b, `,"expirationTimestamp":"`...), time.RFC3339)
	_, err = out.Write(append(b, "\"}}\n"...))
	return err
}

// execToken returns what kubectl sends behind "Bearer", which is all of the header that the token wants to be sent as.
func execToken(t frame.Token, idToken bool) (string, error) {
	secret := t.AccessToken
	if idToken {
		secret = t.IDToken
	} else if err := sendable(t, "kubectl"); err != nil {
		return "", err
	}
	token, ok := strings.CutPrefix(t.Header, "Authorization: Bearer ")
	if !frame.ValidToken(secret) || !frame.ValidHeader(t.Header, secret) || !ok {
		return "", errBadToken
	}
	return token, nil
}

// readExecInfo returns the version that is to be answered, and the cluster's URL, if it is named.
func readExecInfo(info string) (version, server string, err error) {
	if info == "" {
		return "v1beta1", "", nil // kubectl says nothing of itself before 1.20, and knows no other one there
	}
	b := []byte(info)
	if len(b) > maxExecInfo || strictjson.Check(b) != nil || !strictjson.IsObject(b) {
		return "", "", ErrExecInfo
	}
	var kind string
	for name, value := range strictjson.Members(b) {
		switch string(name) {
		case "apiVersion":
			version, _ = strictjson.Text(value)
		case "kind":
			kind, _ = strictjson.Text(value)
		case "spec":
			if server, err = clusterServer(value); err != nil {
				return "", "", err
			}
		}
	}
	version, ok := strings.CutPrefix(version, execGroup)
	switch {
	case kind != "ExecCredential" || !ok:
		return "", "", ErrExecInfo
	case version != "v1" && version != "v1beta1":
		return "", "", ErrExecVersion
	}
	return version, server, nil
}

// clusterServer returns spec.cluster.server; it is empty where no cluster is named.
func clusterServer(spec []byte) (server string, err error) {
	for name, cluster := range strictjson.Members(spec) {
		if string(name) != "cluster" {
			continue
		}
		for name, value := range strictjson.Members(cluster) {
			if string(name) == "server" {
				server, _ = strictjson.Text(value)
			}
		}
		if server == "" {
			return "", ErrExecInfo // a cluster that cannot be told from another one
		}
	}
	return server, nil
}
