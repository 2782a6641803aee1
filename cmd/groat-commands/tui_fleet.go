package main

import (
	"bytes"
	"fmt"
	"time"

	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol"
)

// What is said about a fleet.

const (
	promptFleetCode     = "Code"
	promptFleetPassword = "Password of the engine's user"

	msgFleetEtcd      = "--etcd names the engine: https://HOST:2379, each of its nodes after a comma"
	msgFleetPassword  = "--password-stdin goes with --user"
	msgFleetCodeTwice = "the code is an argument or on stdin, not both"

	flagFleetEtcd     = "the engine's endpoints, such as `URL` https://etcd1.example.org:2379, separated by commas"
	flagFleetCA       = "a `file` with the authorities of the engine's certificates; without it the system's"
	flagFleetUser     = "the engine's `user`; its password is asked for"
	flagPasswordStdin = "read the password from stdin"
	flagCodeStdin     = "read the code from stdin, its first line where the password follows"
	flagFleetCert     = "a `file` with the certificate that this machine shows to the engine"
	flagFleetKey      = "the `file` of its private key"
	flagFleetName     = "this machine's `name` in the fleet (default: its host name)"
	flagFleetForget   = "erase what this machine has of the fleet, also where the engine does not answer"
)

var (
	helpFleet = help{
		short: "Share sign-ins among many machines",
		long: `Share sign-ins among many machines, on an etcd that all of them reach. One
machine creates the fleet, the others join it. A profile that is signed in with
"groat login NAME --fleet" is on all of them, and of all one asks the provider.

etcd sees sizes and times of what is written, and none of it.`,
		example: `  groat fleet create --etcd https://etcd1.example.org:2379 --user groat
  groat fleet join --user groat       # on each other machine
  groat login work --fleet            # once, on any of them`,
	}
	helpFleetCreate = help{
		short: "Create a fleet, with this machine in it",
		long: `Create a fleet, with this machine in it, and show a code for another one. The
engine is an etcd, version 3.4 or later; its user may read and write what begins
with /groat/.`,
		example: `  groat fleet create --etcd https://etcd1.example.org:2379 --user groat`,
	}
	helpFleetInvite = help{
		short: "Make a code for one machine to join with",
		long: `Make a code for one machine to join with. It is good once, for 15 minutes, and
until a machine is removed.`,
	}
	helpFleetJoin = help{
		short: "Join a fleet with a code of another machine",
		long: `Join a fleet with a code that "groat fleet invite" has made on another machine,
which must be running. The code is asked for, unless it is given.`,
		example: `  groat fleet join --user groat --ca ca.pem`,
	}
	helpFleetStatus = help{short: "Show the fleet, its machines and its profiles"}
	helpFleetRemove = help{
		short: "Remove another machine from the fleet",
		long: `Remove another machine from the fleet: the key is replaced, and nothing that is
written from then on can be read there. What it has read before it keeps: where
it was stolen, sign in again with --replace, and change the password of etcd's
user.`,
		example: `  groat fleet remove node7`,
	}
	helpFleetLeave = help{
		short: "Take this machine out of the fleet",
		long: `Take this machine out of the fleet, with the fleet's profiles. The last machine
that leaves deletes the fleet from its engine.`,
	}
)

// textFleet is the answer to a command about the fleet.
func textFleet(s screen, params protocol.FleetParams, r *protocol.FleetResult, now time.Time) []byte {
	var b bytes.Buffer
	switch params.Do {
	case protocol.FleetLeave:
		b.WriteString("this machine has left the fleet\n")
		if r.Waits {
			s.flow(&b, 0, 2, s.words("no other machine was running: the first that runs replaces the key"))
		}
		return b.Bytes()
	case protocol.FleetInvite, protocol.FleetCreate:
		return s.invitation(params, r)
	case protocol.FleetRemove:
		s.flow(&b, 0, 2, s.words(fmt.Sprintf("%s is removed: it can read nothing that is written from now on; what it "+
			"has read before it keeps", clean(params.Machine))))
		if r.Waits {
			s.flow(&b, 0, 2, s.words("not all is sealed with the new key yet: the machines that run go on with it"))
		}
	case protocol.FleetJoin:
		fmt.Fprintf(&b, "this machine is in the fleet as %s\n", clean(r.Machine))
	}
	if r.State == "none" {
		b.WriteString("this machine is in no fleet\n")
		return b.Bytes()
	}
	s.fleetState(&b, r)
	for _, m := range r.Machines {
		this := ""
		if m.This {
			this = ", this one"
		}
		fmt.Fprintf(&b, "machine %s%s\n", clean(m.Machine), this)
	}
	if r.More > 0 {
		fmt.Fprintf(&b, "and %d machines more\n", r.More)
	}
	for _, p := range r.Profiles {
		s.flow(&b, 0, 2, s.words("profile "+clean(p.Profile)+fleetWords(&p, now)))
	}
	return b.Bytes()
}

// fleetState says how the fleet is doing.
func (s screen) fleetState(b *bytes.Buffer, r *protocol.FleetResult) {
	what := "fleet: this machine is " + clean(r.Machine)
	if r.Message != "" {
		what = "fleet: " + sentence(r.Message)
	}
	s.flow(b, 0, 2, s.words(what))
	if r.Hint != "" && r.Hint != "groat fleet status" { // which this is
		s.hint(b, r.Hint)
	}
}

// fleetWords says who renewed a profile of the fleet, and what is wrong with it.
func fleetWords(p *protocol.FleetProfile, now time.Time) (words string) {
	if p.RenewedBy != "" {
		words = ", renewed by " + clean(p.RenewedBy)
	}
	if p.RenewedAt > 0 {
		words += " " + report.DurationWords(max(now.Unix()-p.RenewedAt, 0)) + " ago"
	}
	if p.Renewing != "" {
		words += ", " + clean(p.Renewing) + " renews it now"
	}
	if p.Hidden {
		words += "; hidden here by this machine's own profile of that name"
	}
	if p.Message != "" {
		words += "; " + sentence(p.Message)
	}
	return words
}

// invitation shows a code. It is the only thing on its line, so that it can be copied.
func (s screen) invitation(params protocol.FleetParams, r *protocol.FleetResult) []byte {
	var b bytes.Buffer
	if params.Do == protocol.FleetCreate {
		fmt.Fprintf(&b, "created a fleet, with this machine as %s\n", clean(r.Machine))
	}
	fmt.Fprintf(&b, "for one other machine, within %d minutes: groat fleet join, and this code\n",
		r.InvitationEndsIn/60)
	b.WriteString(clean(r.Invitation) + "\n")
	return b.Bytes()
}
