package jsonrpc

import (
	"strings"
	"testing"

	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/frame"
)

func TestReplies(t *testing.T) {
	result, err := AppendResult([]byte("x"), []byte(`"a"`), protocol.ReloadResult{Profiles: 3})
	if want := `x{"jsonrpc":"2.0","id":"a","result":{"profiles":3}}` + "\n"; string(result) != want || err != nil {
		t.Errorf("%s, %v", result, err)
	}
	if got, err := AppendResult([]byte("x"), []byte("1"), func() {}); string(got) != "x" || err == nil {
		t.Errorf("%s, %v", got, err)
	}
	for _, tt := range []struct {
		around any
		want   string
	}{
		{protocol.ReloadResult{Profiles: 3}, `x{"jsonrpc":"2.0","id":1,"result":{"profiles":3,"list":[1,2]}}` + "\n"},
		{struct{}{}, `x{"jsonrpc":"2.0","id":1,"result":{"list":[1,2]}}` + "\n"},
	} {
		got, err := AppendPage([]byte("x"), []byte("1"), tt.around, "list", []byte("[1,2]"))
		if string(got) != tt.want || err != nil {
			t.Errorf("%s, %v", got, err)
		}
	}
	if got, err := AppendPage([]byte("x"), []byte("1"), func() {}, "list", []byte("[]")); string(got) != "x" || err == nil {
		t.Errorf("%s, %v", got, err)
	}
	refusal := AppendError(nil, nil, protocol.NewError(protocol.Locked, "m", "h"))
	if want := `{"jsonrpc":"2.0","id":null,"error":{"code":-32004,"message":"m","data":{"kind":"locked","hint":"h"}}}` +
		"\n"; string(refusal) != want {
		t.Errorf("%s", refusal)
	}
	note, err := AppendNotification(nil, protocol.NotePrompt, protocol.LoginInputParams{LoginID: "L"})
	if want := `{"jsonrpc":"2.0","method":"prompt","params":{"login_id":"L"}}` + "\n"; string(note) != want ||
		err != nil {
		t.Errorf("%s, %v", note, err)
	}
	if got, err := AppendNotification(nil, "x", func() {}); got != nil || err == nil {
		t.Errorf("%s, %v", got, err)
	}
}

func TestOtherPlace(t *testing.T) {
	ours := frame.Place{Home: "/h", Configuration: "/c", State: "/s"}
	for raw, says := range map[string]string{
		`"0123456789abcdef"`: `from place "0123456789abcdef"`, `"a\u0062"`: `from place "ab"`,
		`1`:                                 "of an unknown form",
		`"` + strings.Repeat("x", 65) + `"`: "of an unknown form",
	} {
		e := OtherPlace(ours, PlaceID([]byte(raw)))
		if e.Kind() != protocol.Config || e.Data.Place == nil || *e.Data.Place != ours ||
			!strings.HasSuffix(e.Message, says) ||
			!strings.Contains(e.Message, ours.ID()) {
			t.Errorf("%+v", e)
		}
	}
}
