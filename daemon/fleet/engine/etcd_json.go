package engine

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol/strictjson"
)

// The gateway's JSON is that of protobuf (https://protobuf.dev/programming-guides/json/): bytes are base64, 64-bit
// numbers are strings, and what is zero is left out. The messages are etcd's api/etcdserverpb/rpc.proto.

// appendBytes appends bytes as a JSON string.
func appendBytes[T string | []byte](dst []byte, b T) []byte {
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, []byte(b))
	return append(dst, '"')
}

// appendNumber appends a 64-bit number.
func appendNumber(dst []byte, n int64) []byte {
	return append(strconv.AppendInt(append(dst, '"'), n, 10), '"')
}

// rangeEnd returns the first key behind all that begin with prefix.
func rangeEnd(prefix string) string {
	end := []byte(prefix)
	for len(end) > 0 && end[len(end)-1] == 0xff {
		end = end[:len(end)-1]
	}
	if len(end) == 0 {
		return "\x00" // etcd's word for the end of the store
	}
	end[len(end)-1]++
	return string(end)
}

// rangeRequest asks for entries below prefix, from a key on, as of a revision; 0 is now.
func rangeRequest(from, prefix string, revision int64, limit int) []byte {
	b := appendBytes([]byte(`{"key":`), from)
	b = appendBytes(append(b, `,"range_end":`...), rangeEnd(prefix))
	b = appendNumber(append(b, `,"revision":`...), revision)
	b = appendNumber(append(b, `,"limit":`...), int64(limit))
	return append(b, '}')
}

// newerRequest asks whether an entry below prefix is newer than a revision, without its value.
func newerRequest(prefix string, revision int64) []byte {
	b := appendBytes([]byte(`{"key":`), prefix)
	b = appendBytes(append(b, `,"range_end":`...), rangeEnd(prefix))
	b = appendNumber(append(b, `,"min_mod_revision":`...), revision+1)
	return append(b, `,"limit":"1","keys_only":true}`...)
}

// watchRequest asks for what changes below prefix, from a revision on.
func watchRequest(prefix string, from int64) []byte {
	b := appendBytes([]byte(`{"create_request":{"key":`), prefix)
	b = appendBytes(append(b, `,"range_end":`...), rangeEnd(prefix))
	b = appendNumber(append(b, `,"start_revision":`...), from)
	return append(b, `,"progress_notify":true,"fragment":true}}`...)
}

// txnRequest asks for changes under conditions.
func txnRequest(conditions []Condition, changes []Change) []byte {
	b := []byte(`{"compare":[`)
	for i, c := range conditions {
		b = appendBytes(append(separate(b, i), `{"target":"MOD","result":"EQUAL","key":`...), c.Key)
		b = append(appendNumber(append(b, `,"mod_revision":`...), c.Revision), '}')
	}
	b = append(b, `],"success":[`...)
	for i, c := range changes {
		b = separate(b, i)
		if c.Value == nil {
			b = appendBytes(append(b, `{"request_delete_range":{"key":`...), c.Key)
		} else {
			b = appendBytes(append(b, `{"request_put":{"key":`...), c.Key)
			b = appendBytes(append(b, `,"value":`...), c.Value)
		}
		b = append(b, `}}`...)
	}
	return append(b, `]}`...)
}

// separate appends a comma between elements.
func separate(b []byte, i int) []byte {
	if i > 0 {
		b = append(b, ',')
	}
	return b
}

// header stands in every answer.
type header struct {
	Cluster  uint64 `json:"cluster_id,string"`
	Revision int64  `json:"revision,string"`
	Term     uint64 `json:"raft_term,string"`
}

func (h header) state(now time.Time) State {
	return State{Revision: h.Revision, Cluster: h.Cluster, Now: now, term: h.Term}
}

// keyValue is an entry as etcd gives it.
type keyValue struct {
	Name     string `json:"key"`
	Value    string `json:"value"`
	Revision int64  `json:"mod_revision,string"`
}

// entry decodes one. The key must be below prefix: a node that gives others is not to be believed.
func (kv keyValue) entry(prefix string) (Entry, error) {
	name, err := decodeBytes(kv.Name)
	if err != nil {
		return Entry{}, err
	}
	value, err := decodeBytes(kv.Value)
	if err != nil {
		return Entry{}, err
	}
	if !strings.HasPrefix(string(name), prefix) || len(name) > MaxKey || len(value) > MaxValue || kv.Revision <= 0 {
		return Entry{}, errAnswer
	}
	return Entry{Key: string(name), Value: value, Revision: kv.Revision}, nil
}

// decodeBytes decodes base64 strictly: package base64 alone would pass over line ends. The result is never nil.
func decodeBytes(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, errAnswer
	}
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, errAnswer
	}
	return b, nil
}

// decode decodes an answer that two readers would understand alike.
func decode(body []byte, to any) error {
	if strictjson.Check(body) != nil || json.Unmarshal(body, to) != nil {
		return errAnswer
	}
	return nil
}

// found is what an answer to a range request has.
type found struct {
	entries []Entry
	more    bool // there are more entries
	state   State
}

// decodeRange decodes the answer to a range request for keys below prefix, from one on.
func decodeRange(a answer, from, prefix string) (found, error) {
	var said struct {
		Header header     `json:"header"`
		Found  []keyValue `json:"kvs"`
		More   bool       `json:"more"`
	}
	if err := decode(a.body, &said); err != nil {
		return found{}, err
	}
	f := found{more: said.More, state: said.Header.state(a.now)}
	if f.state.Revision <= 0 || f.state.Cluster == 0 || f.more && len(said.Found) == 0 {
		return found{}, errAnswer
	}
	for _, kv := range said.Found {
		e, err := kv.entry(prefix)
		if err != nil {
			return found{}, err
		}
		if e.Key < from {
			return found{}, errAnswer
		}
		f.entries = append(f.entries, e)
		from = e.Key + "\x00"
	}
	return f, nil
}

// decodeTxn decodes the answer to a transaction.
func decodeTxn(a answer) (swapped bool, state State, err error) {
	var said struct {
		Header    header `json:"header"`
		Succeeded bool   `json:"succeeded"`
	}
	if err := decode(a.body, &said); err != nil {
		return false, State{}, err
	}
	if said.Header.Revision <= 0 || said.Header.Cluster == 0 {
		return false, State{}, errAnswer
	}
	return said.Succeeded, said.Header.state(a.now), nil
}

// decodeToken returns the token that authenticate gives. It goes into a header line.
func decodeToken(body []byte) (keystore.Secret, bool) {
	if strictjson.Check(body) != nil {
		return keystore.Secret{}, false
	}
	for name, raw := range strictjson.Members(body) {
		if string(name) != "token" {
			continue
		}
		text, ok := strictjson.Text(raw)
		printable := strings.IndexFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
		return keystore.SecretString(text), ok && text != "" && printable && len(text) <= 8<<10
	}
	return keystore.Secret{}, false
}

// message is one line of a watch.
type message struct {
	Result struct {
		Header     header `json:"header"`
		Created    bool   `json:"created"`
		Canceled   bool   `json:"canceled"`
		Reason     string `json:"cancel_reason"`
		Compacted  int64  `json:"compact_revision,string"`
		Incomplete bool   `json:"fragment"` // more of the last revision follows
		Events     []struct {
			Type string   `json:"type"`
			KV   keyValue `json:"kv"`
		} `json:"events"`
	} `json:"result"`
	Error *struct {
		Code    int    `json:"grpc_code"`
		Newer   int    `json:"code"` // its name since 3.6
		Message string `json:"message"`
	} `json:"error"`
}

// entries returns the events of a message.
func (m *message) entries(prefix string) ([]Entry, error) {
	var all []Entry
	for _, event := range m.Result.Events {
		e, err := event.KV.entry(prefix)
		if err != nil {
			return nil, err
		}
		switch event.Type {
		case "", "PUT":
		case "DELETE":
			e.Value = nil
		default:
			return nil, errAnswer
		}
		all = append(all, e)
	}
	return all, nil
}
