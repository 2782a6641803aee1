package credential

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/ownfile"
	"github.com/groat-dev/groat/keystore/sealed"
)

// fault is what goes wrong at a step of the write order, and stays wrong until the process is killed.
type fault string

const (
	kill        fault = "SIGKILL"
	powerCut    fault = "power cut"
	diskFull    fault = "ENOSPC"
	badSync     fault = "EIO from fsync"
	bareFull    fault = "ENOSPC, with no room reserved and no spare file"
	bareBadSync fault = "EIO from fsync, with no spare file"
	lostAnswer  fault = "the connection breaks"
)

// bare reports whether the machine is one that has neither fallocate(2) nor a second file system.
func (f fault) bare() bool { return f == bareFull || f == bareBadSync }

// deadly faults end the process at the step itself. With the others it goes on, and is killed a second after the
// renewal is over.
func (f fault) deadly() bool { return f == kill || f == powerCut }

// cuts reports whether the fault breaks the connection, at the steps in which there is one.
func (f fault) cuts() bool { return f.deadly() || f == lostAnswer }

// step is a point of the write order, as ROTATION.md calls it.
type step string

const (
	beforeNote    step = "before the note"
	beforeUrgent  step = "before the note, and a caller has no token"
	noteTorn      step = "the note is written in part"
	noteWritten   step = "the note is written"
	onItsWay      step = "the request is on its way, not handled"
	handled       step = "the server has handled it, its answer is on its way"
	arrived       step = "the answer has arrived"
	written       step = "the record is written, not synced"
	readBack      step = "the record is synced, not read back"
	struckTorn    step = "nothing to replace: the note is struck out in part"
	beforePublish step = "before the access token is published"
	published     step = "published"
)

// tears are the steps at which a part of the record is written, and how many of its n bytes that is.
var tears = []struct {
	step step
	part func(n int) int
}{
	{"the record is written in part: 1 byte", func(int) int { return 1 }},
	{"the record is written in part: its head", func(int) int { return 32 }},
	{"the record is written in part: half", func(n int) int { return n / 2 }},
	{"the record is written in part: all but 1 byte", func(n int) int { return n - 1 }},
}

// The two writes that can cause a compaction: of the note, and of the record with the new refresh token.
const (
	withNote   = "compaction with the note: "
	withRecord = "compaction with the record: "
)

// compactions are the steps of a compaction.
var compactions = []string{
	"the new file is written in part", "the new file is written, not synced", "synced, not in place",
	"in place, its name not synced",
}

// crashHarness is one run: a session at a server, a process that renews it, a fault, and the next process.
type crashHarness struct {
	t       *testing.T
	dir     string // of the sealed file
	spare   string // the directory on another file system, which forgets everything when the power is cut
	seen    string // the directory that backups leave out
	server  *sandbox.Server
	network http.RoundTripper
	began   time.Time
	rotates bool
	step    step
	fault   fault

	mu      sync.Mutex
	armed   bool
	begun   chan struct{} // closed when the fault has begun
	ended   chan struct{} // closed when the first process's first renewal is over
	sent    bool          // the first process has sent its request
	process *process      // the first
}

var trialKey = keystore.SecretString("0123456789abcdef0123456789abcdef")

// at lets the fault begin if s is its step.
func (t *crashHarness) at(s step) {
	if s == t.step {
		t.begin()
	}
}

func (t *crashHarness) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.armed {
		return
	}
	t.armed = false
	t.process.disk.begin(t.fault)
	close(t.begun)
}

func (t *crashHarness) isArmed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.armed
}

func (t *crashHarness) sentAlready() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sent
}

// compaction is a step of the one that is under way.
func (t *crashHarness) compaction(what string) step {
	if t.sentAlready() {
		return step(withRecord + what)
	}
	return step(withNote + what)
}

// beforeSync is the step at which a file is about to be synced; fresh is a compaction's.
func (t *crashHarness) beforeSync(fresh bool) step {
	switch {
	case fresh:
		return t.compaction(compactions[1])
	case t.sentAlready():
		return written
	}
	return ""
}

// torn is how much of n bytes is written where the harness's step is in the middle of this write, else -1.
func (t *crashHarness) torn(fresh bool, n int) int {
	switch sent := t.sentAlready(); {
	case !t.isArmed():
	case fresh && t.step == t.compaction(compactions[0]):
		return n / 2
	case fresh:
	case !sent && t.step == noteTorn, sent && !t.rotates && t.step == struckTorn:
		return n / 2
	case sent && t.rotates:
		for _, tear := range tears {
			if tear.step == t.step {
				return tear.part(n)
			}
		}
	}
	return -1
}

// RoundTrip is the first process's network.
func (p *process) RoundTrip(r *http.Request) (*http.Response, error) {
	t := p.harness
	t.at(noteWritten)
	if p.disk.isDead() {
		return nil, errKilled
	}
	if t.isArmed() && t.fault.cuts() {
		switch t.step {
		case onItsWay:
			t.server.Script(t.server.TokenPath(), sandbox.Fault{Cut: sandbox.CutAfterBody})
		case handled:
			t.server.Script(t.server.TokenPath(), sandbox.Fault{Cut: sandbox.CutAfterHandling})
		}
	}
	t.mu.Lock()
	t.sent = true
	t.mu.Unlock()
	resp, err := t.network.RoundTrip(r)
	for _, s := range []step{onItsWay, handled, arrived} {
		t.at(s)
	}
	if p.disk.isDead() {
		if err == nil {
			resp.Body.Close()
		}
		return nil, errKilled
	}
	return resp, err
}

// process is the part of groatd that a rotation needs: a broker, a keystore's file, and the network.
type process struct {
	*Source
	harness *crashHarness
	disk    *disk
	store   *sealed.Store
	pending *keystore.PendingStore // over store
	b       *broker.Broker
}

func (t *crashHarness) start() *process {
	t.t.Helper()
	p := &process{harness: t, disk: newDisk(t)}
	var err error
	if p.store, err = t.open(p.disk); err != nil {
		t.t.Fatal(err)
	}
	client := grant.NewHTTPClient(new(grant.Network))
	client.Transport = p
	p.pending = &keystore.PendingStore{Store: p.store}
	p.Source = &Source{
		Profile: "p", Store: p.pending, Endpoint: grant.NewEndpoint(t.described(), client, t.now),
	}
	p.b = broker.New(t.now)
	p.b.Draw = func() float64 { return 0.5 }
	p.b.Put(map[string]broker.Source{"p": p})
	t.t.Cleanup(func() { // where the test did not come to it
		p.disk.kill(kill)
		p.b.Close(context.Background())
	})
	return p
}

// files are those of the keystore, as groatd arranges them.
func (t *crashHarness) files(disk ownfile.Disk) sealed.Files {
	f := sealed.Files{Path: t.sealed(), RollbackDir: t.seen, Disk: disk}
	if !t.fault.bare() {
		f.FallbackDir = t.spare
	}
	return f
}

// open opens the keystore's files, or makes them.
func (t *crashHarness) open(disk ownfile.Disk) (*sealed.Store, error) {
	s := sealed.New(sealed.Options{Files: t.files(disk), Key: fixedKey{}})
	return s, s.Unlock(t.t.Context(), fixedKey{})
}

// fixedKey returns trialKey.
type fixedKey struct{}

func (fixedKey) Key(context.Context, bool) (keystore.Secret, error) { return trialKey.Clone(), nil }

func (t *crashHarness) sealed() string { return filepath.Join(t.dir, "sealed") }

// recover does what a daemon does at its start.
func (p *process) recover() error {
	names, err := p.pending.InDoubt(p.harness.t.Context())
	p.b.Recover(names...)
	return err
}

// Obtain implements [broker.Source].
func (p *process) Obtain(ctx context.Context, r grant.Request, need broker.Need) (grant.Token, error) {
	t := p.harness
	t.at(beforeNote)
	t.at(beforeUrgent)
	token, err := p.Source.Obtain(ctx, r, need)
	t.at(beforePublish)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended != nil && t.process == p {
		close(t.ended)
		t.ended = nil
	}
	return token, err
}

// get asks for a token as a program does.
func (p *process) get(t *testing.T) (grant.Token, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return p.b.Token(ctx, broker.Query{Profile: "p", MinTTL: broker.Unset})
}

func (p *process) mustGet(t *testing.T) {
	t.Helper()
	if _, err := p.get(t); err != nil {
		t.Fatal(err)
	}
}

// kill ends the process; what it still does has no effect.
func (p *process) kill() {
	p.harness.t.Helper()
	if err := errors.Join(p.disk.kill(p.harness.fault), p.b.Close(p.harness.t.Context())); err != nil {
		p.harness.t.Fatal(err)
	}
}

func (t *crashHarness) now() clock.Instant {
	now := time.Now()
	return clock.Instant{Wall: now, Boot: time.Hour + now.Sub(t.began)}
}

func (t *crashHarness) described() grant.Server {
	return grant.Server{
		Issuer: t.server.URL(), TokenEndpoint: t.server.URL() + t.server.TokenPath(), ClientAuth: grant.None,
	}
}

// newCrashHarness must be called inside a bubble.
func newCrashHarness(t *testing.T, mode sandbox.Refresh, s step, f fault) *crashHarness {
	t.Helper()
	top, err := os.MkdirTemp(memoryDisk(), "groat-harness-")
	if err != nil {
		t.Fatal(err)
	}
	dir, spare, seen := filepath.Join(top, "state"), filepath.Join(top, "run"), filepath.Join(top, "cache")
	for _, d := range []string{dir, spare, seen} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	server := sandbox.New(sandbox.Options{
		Refresh: mode, PasswordGrant: true, Clients: []sandbox.Client{{ID: "app", Method: sandbox.None}},
		Users: []sandbox.User{{Name: "alice@example.com", Password: "dummy-password"}},
	})
	r := &crashHarness{
		t: t, dir: dir, spare: spare, seen: seen, server: server, began: time.Now(), rotates: mode.Rotate, step: s,
		fault: f,
		begun: make(chan struct{}), ended: make(chan struct{}),
		network: &http.Transport{DialContext: server.StartPipe(), DisableKeepAlives: true},
	}
	t.Cleanup(func() {
		server.Close()
		os.RemoveAll(top)
	})
	return r
}

// memoryDisk is a directory for files that need no real disk, where there is one.
func memoryDisk() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return ""
}

// signIn stores a session and returns its first access token.
func (t *crashHarness) signIn() grant.Token {
	t.t.Helper()
	sent := t.now()
	form := url.Values{
		"grant_type": {"password"}, "client_id": {"app"}, "username": {"alice@example.com"},
		"password": {"dummy-password"},
	}
	resp, err := (&http.Client{Transport: t.network}).Post(t.described().TokenEndpoint,
		"application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
	if err != nil {
		t.t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
		Life    int64  `json:"expires_in"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Refresh == "" {
		t.t.Fatalf("HTTP %d, %v", resp.StatusCode, err)
	}
	server := t.described()
	item := server.NewItem("app", grant.ByDeviceCode)
	item.RefreshToken = keystore.SecretString(answer.Refresh)
	store, err := t.open(nil)
	if err == nil {
		err = errors.Join(store.Set(t.t.Context(), "p", item), t.fill(store), store.Close())
	}
	if err != nil {
		t.t.Fatal(err)
	}
	return grant.Token{
		Access: keystore.SecretString(answer.Access), Type: "Bearer", Sent: sent,
		Lifetime: time.Duration(answer.Life) * time.Second,
	}
}

// fill makes the file such that it is compacted with the note, or with the record behind it, where the step asks for
// that.
func (t *crashHarness) fill(store *sealed.Store) error {
	const compactedAbove = 64 << 10
	size := func() int64 {
		info, err := os.Stat(t.sealed())
		if err != nil {
			t.t.Fatal(err)
		}
		return info.Size()
	}
	put := func(n int64) error {
		return store.Set(t.t.Context(), "filler",
			keystore.Item{ClientID: strings.Repeat("x", int(n)), APIKey: keystore.SecretString("filler")})
	}
	var target int64
	switch {
	case strings.HasPrefix(string(t.step), withNote):
		target = compactedAbove + 1
	case strings.HasPrefix(string(t.step), withRecord):
		target = compactedAbove - 1
	default:
		return nil
	}
	for size() < target-12<<10 {
		if err := put(4 << 10); err != nil {
			return err
		}
	}
	before := size()
	if err := put(1); err != nil {
		return err
	}
	record := size() - before - 1 // of an item with an empty name
	if err := put(target - size() - record); err != nil {
		return err
	}
	if size() != target {
		return fmt.Errorf("the file has %d bytes, want %d", size(), target)
	}
	return nil
}

// outcome is what became of a session.
type outcome string

const (
	kept      outcome = "kept"
	lost      outcome = "lost"
	unreached outcome = "–"
)

// run lets the first process come to the step, and says what the second one, which starts after pause, finds.
func (t *crashHarness) run(pause time.Duration) outcome {
	t.t.Helper()
	first := t.signIn()
	p := t.start()
	t.process = p
	ended := t.ended
	t.mu.Lock()
	t.armed = true
	t.mu.Unlock()
	if t.step == beforeUrgent {
		go p.b.Token(t.t.Context(), broker.Query{Profile: "p", MinTTL: broker.Unset})
	} else {
		p.b.Install("p", p, first)
	}
	select {
	case <-t.begun:
	case <-ended:
	}
	if !t.fault.deadly() || t.isArmed() {
		<-ended
		synctest.Wait()
	}
	t.at(published)
	if t.isArmed() {
		p.b.Close(t.t.Context())
		p.disk.kill(kill)
		return unreached
	}
	switch {
	case t.fault == lostAnswer: // it lives on
		time.Sleep(time.Minute)
	case !t.fault.deadly():
		time.Sleep(time.Second)
	}
	p.kill()
	time.Sleep(pause)
	return t.after()
}

// after is the second process, and an hour of its life.
func (t *crashHarness) after() outcome {
	t.t.Helper()
	p := t.start()
	defer func() {
		p.b.Close(t.t.Context())
		p.store.Close()
	}()
	if err := p.recover(); err != nil {
		t.t.Fatal(err)
	}
	if t.fault != powerCut { // it may undo the note too; then a caller asks at once
		time.Sleep(time.Minute)
	}
	result := t.ask(p)
	time.Sleep(15 * time.Minute) // in which it is renewed once more, by the newest refresh token
	if again := t.ask(p); again != result {
		t.t.Errorf("first %s, then %s", result, again)
	}
	if n := p.Requests(); result == kept && n != 2 || result == lost && n != 1 {
		t.t.Errorf("%d requests in a quarter of an hour with a session that is %s", n, result)
	}
	t.judge()
	return result
}

// ask asks as a person's program does, and says what became of the session.
func (t *crashHarness) ask(p *process) outcome {
	t.t.Helper()
	_, err := p.get(t.t)
	if err == nil {
		return kept
	}
	refusal, ok := errors.AsType[*grant.Error](err)
	if !ok || refusal.Code != "invalid_grant" {
		t.t.Errorf("worse than a new sign-in: %v", err)
	}
	// A note that was not synced may be gone after a power cut; one that could not be written is not there.
	noted := t.fault != powerCut && !(t.fault == bareFull && t.step == beforeUrgent)
	if noted && (!errors.Is(err, broker.ErrRotationLost) || !errors.Is(err, keystore.ErrUnanswered)) {
		t.t.Errorf("the loss is not explained: %v", err)
	}
	return lost
}

// judge checks the requests to the server: no refresh token comes after a newer one, and each process sends one once,
// or once more where the first process lived on without an answer.
func (t *crashHarness) judge() {
	t.t.Helper()
	if !t.rotates {
		return
	}
	var order []string // :: digests, as they came first
	uses, twice := map[string]int{}, 0
	for _, e := range t.server.Log() {
		if e.Refresh == "" {
			continue
		}
		if uses[e.Refresh]++; uses[e.Refresh] == 1 {
			order = append(order, e.Refresh)
		} else if twice++; order[len(order)-1] != e.Refresh {
			t.t.Error("an older refresh token was presented after a newer one")
		}
		if n := uses[e.Refresh]; n > 3 || n > 2 && t.fault != lostAnswer {
			t.t.Errorf("a refresh token was presented %d times", n)
		}
	}
	if twice > 1 && t.fault != lostAnswer {
		t.t.Errorf("%d refresh tokens were presented twice", twice)
	}
}
