package parts

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/groat-dev/groat/packaging/testing/tier"
)

// Network is some machines, which are network namespaces, on one switch. They are numbered from 1.
type Network struct {
	name, prefix string
}

// networks counts the networks of this process: two have different names.
var networks atomic.Int64

// StartNetwork makes a network of so many machines, at most 200, for as long as the test runs. It needs root.
func StartNetwork(t testing.TB, machines int) *Network {
	t.Helper()
	tier.Needs(t, "iproute2")
	tier.NeedsRoot(t)
	pid, number := os.Getpid(), networks.Add(1)
	n := &Network{
		name:   fmt.Sprintf("g%d-%d", pid%1_000_000, number), // an interface's name has 15 characters
		prefix: fmt.Sprintf("10.%d.%d", 100+(pid>>8+int(number))%100, pid&0xff),
	}
	start(t, "iproute2", exec.Command(path("network.sh"), n.name, n.prefix, strconv.Itoa(machines)))
	return n
}

// Address returns a machine's address, or with 0 that of the test's own process.
func (n *Network) Address(machine int) string {
	if machine == 0 {
		machine = 254
	}
	return n.prefix + "." + strconv.Itoa(machine)
}

// Command returns a command that runs on a machine.
func (n *Network) Command(machine int, name string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", n.machine(machine), name}, args...)...)
}

// Cut separates two machines from each other: nothing that the first sends arrives.
func (n *Network) Cut(t testing.TB, machine, from int) {
	t.Helper()
	run(t, command(t, "ip", "-n", n.machine(machine), "route", "add", "blackhole", n.Address(from)))
}

// Mend ends what Cut began.
func (n *Network) Mend(t testing.TB, machine, from int) {
	t.Helper()
	run(t, command(t, "ip", "-n", n.machine(machine), "route", "delete", "blackhole", n.Address(from)))
}

// Listen listens at an address of a machine's own, such as 127.0.0.1:80, from the test's process.
func (n *Network) Listen(t testing.TB, machine int, address string) net.Listener {
	t.Helper()
	type result struct {
		listener net.Listener
		err      error
	}
	done := make(chan result)
	go func() {
		// The thread is in another network from now on, and ends with the goroutine.
		runtime.LockOSThread()
		space, err := os.Open("/run/netns/" + n.machine(machine))
		if err != nil {
			done <- result{nil, err}
			return
		}
		defer space.Close()
		if err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- result{nil, err}
			return
		}
		listener, err := net.Listen("tcp", address)
		done <- result{listener, err}
	}()
	r := <-done
	if r.err != nil {
		t.Fatal(r.err)
	}
	t.Cleanup(func() { r.listener.Close() })
	return r.listener
}

func (n *Network) machine(i int) string { return n.name + "-" + strconv.Itoa(i) }
