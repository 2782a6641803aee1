//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/groat-dev/groat/packaging/bench/agent"
)

// patience bounds each command: compiling everything anew may take minutes.
const patience = 10 * time.Minute

// subject is the programs, and a groatd that has a token at hand.
type subject struct {
	root, dir string
	agent     *agent.Agent
	locked    string // groat with its symbols, and with its main goroutine kept in one thread
}

// api is what git asks about.
const api = "api.example.org"

func newSubject(root string) (s *subject, err error) {
	if root, err = filepath.Abs(root); err != nil {
		return nil, err
	}
	// Always as deep and as long as this: every directory on the way to the socket is looked at, every byte is hashed.
	dir := fmt.Sprintf("/tmp/groat-guard-%08x", rand.Uint32())
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	s = &subject{root: root, dir: dir, locked: filepath.Join(dir, "locked")}
	home, bin := filepath.Join(dir, "h"), filepath.Join(dir, "bin")
	err = os.Mkdir(home, 0o700)
	if err == nil {
		_, err = s.output(nil, "", "make", "--no-print-directory", "build", "BIN="+bin)
	}
	if err == nil {
		err = s.buildLocked()
	}
	if err == nil {
		s.agent, err = agent.New(agent.Options{Bin: bin, Dir: home, Servers: 1, Memory: true, API: "https://" + api})
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *subject) close() error {
	var err error
	if s.agent != nil {
		err = s.agent.Close()
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// buildLocked builds groat with its symbols, and with its main goroutine kept in one thread: valgrind loses it from
// sight when the runtime goes on with it in another one.
func (s *subject) buildLocked() error {
	const lock = "package main\n\nimport \"runtime\"\n\nfunc init() { runtime.LockOSThread() }\n"
	return agent.BuildWith(s.root, s.locked, "./cmd/groat", "lock.go", lock)
}

// output runs a command in the repository and returns what it prints; a nil environment is this process's.
func (s *subject) output(env []string, stdin string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdin = s.root, env, strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), err
}

const asked = "protocol=https\nhost=" + api + "\n\n"

func (s *subject) measure() (figures, error) {
	get := []string{s.locked, "get", agent.First}
	git := []string{s.locked, "helper", "git", "get"}
	const hits = 1000
	hit, err := s.benchmark("./daemon/broker", "CacheHit", hits)
	if err != nil {
		return nil, err
	}
	answer, err := s.benchmark("./daemon", "Answer", hits)
	if err != nil {
		return nil, err
	}
	all := figures{{name: toolchainName, value: toolchain()}}
	for _, count := range []func() (figure, error){
		s.size,
		s.calls,
		func() (figure, error) { return s.instructions("instructions of groat get", "", "main.main", get, 1) },
		func() (figure, error) {
			return s.instructions("instructions of git-credential-groat get", asked, "main.main", git, 1)
		},
		func() (figure, error) {
			const token = "github.com/groat-dev/groat/daemon/broker.(*Broker).Token"
			return s.instructions("instructions of a token at hand, in groatd", "", token, hit, hits)
		},
		func() (figure, error) { return s.allocations("allocations of a token at hand, in groatd", hit) },
		func() (figure, error) { return s.allocations("allocations of a whole answer, in groatd", answer) },
	} {
		f, err := count()
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

// benchmark builds the tests of a package, and returns the command that runs one of its benchmarks so many times.
func (s *subject) benchmark(dir, name string, times int) ([]string, error) {
	program := filepath.Join(s.dir, name+".test")
	_, err := s.output(nil, "", "go", "test", "-c", "-o", program, dir)
	return []string{program, "-test.run", "^$", "-test.bench", "^Benchmark" + name + "$", "-test.benchmem",
		"-test.benchtime", strconv.Itoa(times) + "x"}, err
}

var allocated = regexp.MustCompile(`(\d+) allocs/op`)

func (s *subject) allocations(name string, benchmark []string) (figure, error) {
	out, err := s.output(s.agent.Env, "", benchmark...)
	m := allocated.FindStringSubmatch(out)
	if err != nil || m == nil {
		return figure{}, errors.Join(err, fmt.Errorf("%s: no figure in\n%s", name, out))
	}
	return figure{name: name, value: m[1]}, nil
}

func (s *subject) size() (figure, error) {
	info, err := os.Stat(s.agent.Groat)
	if err != nil {
		return figure{}, err
	}
	return figure{name: "bytes of groat", value: strconv.FormatInt(info.Size(), 10)}, nil
}

var collected = regexp.MustCompile(`Collected : (\d+)`)

// instructions counts what a function and all that it calls execute, in one of so many calls. It is tried until runs
// agree: now and then the runtime does something of its own within the function.
func (s *subject) instructions(name, stdin, function string, command []string, times int64) (figure, error) {
	const most = 40
	var counts []int64
	var last error
	tables := map[int64]string{}
	profile := filepath.Join(s.dir, "callgrind.out")
	env := append(slices.Clip(s.agent.Env), "GOMAXPROCS=1", "GOGC=off",
		"GODEBUG=asyncpreemptoff=1") // valgrind takes some signals of the runtime's for an error of its own
	for range most {
		out, err := s.output(env, stdin, append([]string{"valgrind", "--tool=callgrind", "--toggle-collect=" + function,
			"--callgrind-out-file=" + profile}, command...)...)
		m := collected.FindStringSubmatch(out)
		if err != nil || m == nil || m[1] == "0" {
			last = errors.Join(err, fmt.Errorf("%s: valgrind counts nothing\n%s", name, out))
			continue
		}
		n, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil {
			return figure{}, err
		}
		n /= times
		counts = append(counts, n)
		if tables[n], err = s.output(nil, "", "callgrind_annotate", "--inclusive=yes", profile); err != nil {
			return figure{}, err
		}
		if n, ok := agreed(counts); ok {
			return figure{name: name, value: strconv.FormatInt(n, 10), where: top(tables[n])}, nil
		}
	}
	return figure{}, errors.Join(last, fmt.Errorf("%s: runs do not agree: %d", name, counts))
}

// agreed returns the least of enough counts that others are near, from above: what the runtime does within the function
// only adds to it, and a count that is cut short stands alone.
func agreed(counts []int64) (int64, bool) {
	const enough, others, near = 9, 3, 100 // within a hundredth
	sorted := slices.Sorted(slices.Values(counts))
	for i := 0; len(sorted) >= enough && i+others < len(sorted); i++ {
		if sorted[i+others]-sorted[i] <= sorted[i]/near {
			return sorted[i], true
		}
	}
	return 0, false
}

var ofFunction = regexp.MustCompile(`(?m)^ *[\d,]+ +\( ?[\d.]+%\).*$`)

// top is the top of callgrind's table.
func top(table string) string {
	lines := ofFunction.FindAllString(table, 25)
	return strings.Join(lines, "\n")
}

// call is a line of strace's: the process, the call, its first argument that is quoted.
var call = regexp.MustCompile(`^(?:\[pid +\d+\] +|\d+ +)?(\w+)\((.*)`)

// calls counts the system calls by which "groat get" finds and asks groatd. The runtime's own, for memory, threads and
// clocks, are not repeatable and are left out, and so is what it reads of /proc and /sys at its start.
func (s *subject) calls() (figure, error) {
	const traced = "trace=openat,open,stat,lstat,newfstatat,statx,readlink,readlinkat,access,faccessat,faccessat2," +
		"socket,connect,bind,getsockopt,setsockopt,read,write,sendto,recvfrom,sendmsg,recvmsg,poll,ppoll,select," +
		"pselect6,epoll_create,epoll_create1,epoll_ctl,epoll_wait,epoll_pwait,epoll_pwait2,eventfd,eventfd2," +
		"pipe,pipe2,execve,fork,vfork"
	out, err := s.output(s.agent.Env, "", "strace", "-f", "-qq", "-e", traced, "-e", "signal=none", s.agent.Groat,
		"get", agent.First)
	if err != nil {
		return figure{}, err
	}
	return figure{name: "system calls of groat get", value: count(out)}, nil
}

func count(trace string) string {
	counts := map[string]int{}
	connected := false
	for line := range strings.Lines(trace) {
		m := call.FindStringSubmatch(line)
		if m == nil {
			continue // the token, or the rest of a call that was interrupted
		}
		name, arguments := m[1], m[2]
		connected = connected || name == "connect"
		switch {
		case strings.Contains(arguments, `"/proc/`), strings.Contains(arguments, `"/sys/`):
		case name == "execve", (name == "read" || name == "write") && !connected:
		default:
			counts[name]++
		}
	}
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(&b, "%s %d, ", name, counts[name])
	}
	return strings.TrimSuffix(b.String(), ", ")
}
