package parts

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// What a Secret Service is called on the bus (Secret Service API Draft 0.2).
const (
	standInName       = "org.freedesktop.secrets"
	standInRoot       = "/org/freedesktop/secrets"
	standInCollection = standInRoot + "/collection/login"
	standInInterface  = "org.freedesktop.Secret."
	nothing           = dbus.ObjectPath("/")
)

// serve puts the service on the bus.
func (s *StandIn) serve(t testing.TB, conn *dbus.Conn) {
	t.Helper()
	for _, e := range []struct {
		object any
		path   dbus.ObjectPath
		face   string
	}{
		{service{s}, standInRoot, standInInterface + "Service"},
		{collection{s}, standInCollection, standInInterface + "Collection"},
		{properties{s}, standInRoot, "org.freedesktop.DBus.Properties"},
		{properties{s}, standInCollection, "org.freedesktop.DBus.Properties"},
		{session{}, standInRoot + "/session/1", standInInterface + "Session"},
	} {
		if err := conn.Export(e.object, e.path, e.face); err != nil {
			t.Fatal(err)
		}
	}
	if reply, err := conn.RequestName(standInName, dbus.NameFlagDoNotQueue); err != nil ||
		reply != dbus.RequestNameReplyPrimaryOwner {
		t.Fatalf("the name of the Secret Service: %v, %v", reply, err)
	}
}

// export puts an item on the bus. s.mu is held.
func (s *StandIn) export(path dbus.ObjectPath) {
	s.conn.Export(item{s, path}, path, standInInterface+"Item")
	s.conn.Export(properties{s}, path, "org.freedesktop.DBus.Properties")
}

// name makes a path. s.mu is held.
func (s *StandIn) name(prefix string) dbus.ObjectPath {
	s.named++
	return dbus.ObjectPath(fmt.Sprint(prefix, s.named))
}

// begin is the start of each call: it takes its time, then returns the behaviour. end is the call's end.
func (s *StandIn) begin() (b Behaviour, end func()) {
	s.mu.Lock()
	b = s.behaviour
	s.pending++
	s.most = max(s.most, s.pending)
	s.mu.Unlock()
	time.Sleep(b.Delay) // it is what a test asks for, and no test waits for its end
	return b, func() {
		s.mu.Lock()
		s.pending--
		s.mu.Unlock()
	}
}

// ask lets a person decide on a change, and returns the path of the dialog, or makes the change where nobody is asked.
func (s *StandIn) ask(answer Answer, change func() any) (result any, prompt dbus.ObjectPath) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if answer == Unasked || s.conn == nil {
		return change(), nothing
	}
	prompt = s.name(standInRoot + "/prompt/")
	s.dialogs[prompt] = dialog{answer, change}
	s.conn.Export(question{s, prompt}, prompt, standInInterface+"Prompt")
	return nil, prompt
}

// complete ends a dialog.
func (s *StandIn) complete(prompt dbus.ObjectPath, agree bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, stands := s.dialogs[prompt]
	if !stands || s.conn == nil {
		return
	}
	delete(s.dialogs, prompt)
	var result any = ""
	if agree {
		result = d.agreed()
	}
	s.conn.Emit(prompt, standInInterface+"Prompt.Completed", !agree, dbus.MakeVariant(result))
}

type standInSecret struct {
	Session     dbus.ObjectPath
	Parameters  []byte
	Value       []byte
	ContentType string
}

// The objects on the bus, whose methods are the protocol's.
type (
	service    struct{ s *StandIn }
	collection struct{ s *StandIn }
	properties struct{ s *StandIn }
	session    struct{}
	item       struct {
		s    *StandIn
		path dbus.ObjectPath
	}
	question struct {
		s    *StandIn
		path dbus.ObjectPath
	}
)

func (session) Close() *dbus.Error { return nil }

func (o service) OpenSession(string, dbus.Variant) (dbus.Variant, dbus.ObjectPath, *dbus.Error) {
	_, end := o.s.begin()
	defer end()
	return dbus.MakeVariant(""), standInRoot + "/session/1", nil
}

func (o service) ReadAlias(string) (dbus.ObjectPath, *dbus.Error) {
	_, end := o.s.begin()
	defer end()
	return standInCollection, nil
}

func (o service) SearchItems(attributes map[string]string) (unlocked, locked []dbus.ObjectPath, _ *dbus.Error) {
	b, end := o.s.begin()
	defer end()
	if b.Unreadable {
		return nil, nil, dbus.NewError("org.freedesktop.DBus.Error.Failed", []any{"it cannot be read"})
	}
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	found := o.s.find(attributes)
	if b.Locked || b.ItemsLocked {
		return []dbus.ObjectPath{}, found, nil
	}
	return found, []dbus.ObjectPath{}, nil
}

func (o service) Unlock(objects []dbus.ObjectPath) ([]dbus.ObjectPath, dbus.ObjectPath, *dbus.Error) {
	b, end := o.s.begin()
	defer end()
	shut := func(path dbus.ObjectPath) bool {
		if path == standInCollection {
			return b.Locked
		}
		return b.Locked || b.ItemsLocked
	}
	if !slices.ContainsFunc(objects, shut) {
		return objects, nothing, nil
	}
	_, prompt := o.s.ask(b.Unlock, func() any {
		o.s.behaviour.Locked, o.s.behaviour.ItemsLocked = false, false
		return objects
	})
	if prompt == nothing {
		return objects, nothing, nil
	}
	return []dbus.ObjectPath{}, prompt, nil
}

func (o collection) SearchItems(attributes map[string]string) ([]dbus.ObjectPath, *dbus.Error) {
	_, end := o.s.begin()
	defer end()
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	return append([]dbus.ObjectPath{}, o.s.find(attributes)...), nil
}

func (o collection) CreateItem(sender dbus.Sender, ps map[string]dbus.Variant, secret standInSecret,
	replace bool) (dbus.ObjectPath, dbus.ObjectPath, *dbus.Error) {
	b, end := o.s.begin()
	defer end()
	o.s.mu.Lock()
	o.s.written++
	attributes, _ := ps[standInInterface+"Item.Attributes"].Value().(map[string]string)
	old := nothing
	for _, path := range o.s.find(attributes) {
		if replace && maps.Equal(o.s.items[path].attributes, attributes) {
			old = path
		}
	}
	answer := b.Create
	if old != nothing {
		answer = b.Overwrite
		if o.s.items[old].writer == sender {
			answer = Unasked
		}
	}
	o.s.mu.Unlock()
	if b.Refuse != nil {
		return nothing, nothing, b.Refuse
	}
	if b.Alter {
		secret.Value = append([]byte("~"), secret.Value...)
	}
	made, prompt := o.s.ask(answer, func() any {
		switch {
		case b.Forget:
			return nothing
		case old == nothing:
			return o.s.add(attributes, secret.Value, sender)
		}
		o.s.items[old].value, o.s.items[old].writer = secret.Value, sender
		return old
	})
	if path, ok := made.(dbus.ObjectPath); ok {
		return path, prompt, nil
	}
	return nothing, prompt, nil
}

func (o item) GetSecret(session dbus.ObjectPath) (standInSecret, *dbus.Error) {
	_, end := o.s.begin()
	defer end()
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	i := o.s.items[o.path]
	if i == nil {
		return standInSecret{}, dbus.NewError(standInInterface+"Error.NoSuchObject", []any{"it is gone"})
	}
	return standInSecret{session, []byte{}, i.value, "text/plain"}, nil
}

func (o item) Delete() (dbus.ObjectPath, *dbus.Error) {
	b, end := o.s.begin()
	defer end()
	o.s.mu.Lock()
	o.s.written++
	o.s.mu.Unlock()
	if b.Refuse != nil {
		return nothing, b.Refuse
	}
	_, prompt := o.s.ask(b.Delete, func() any {
		if !b.Forget {
			delete(o.s.items, o.path)
		}
		return ""
	})
	return prompt, nil
}

// Prompt shows the dialog.
func (o question) Prompt(string) *dbus.Error {
	o.s.mu.Lock()
	o.s.asked++
	answer := o.s.dialogs[o.path].answer
	o.s.mu.Unlock()
	if answer == Agreed || answer == Dismissed {
		go o.s.complete(o.path, answer == Agreed) // after the reply, as others do
	}
	return nil
}

// Dismiss takes it away.
func (o question) Dismiss() *dbus.Error {
	o.s.complete(o.path, false)
	return nil
}

func (o properties) Get(_, name string) (dbus.Variant, *dbus.Error) {
	b, end := o.s.begin()
	defer end()
	switch name {
	case "Locked":
		return dbus.MakeVariant(b.Locked), nil
	case "Collections":
		return dbus.MakeVariant([]dbus.ObjectPath{standInCollection}), nil
	}
	return dbus.Variant{}, dbus.NewError("org.freedesktop.DBus.Error.UnknownProperty", nil)
}
