package grant

import (
	"encoding/json"
	"net/url"
)

// form is an application/x-www-form-urlencoded body in the order in which its parameters were added, which is the
// order that the providers' own clients use; [url.Values] would sort.
type form []byte

// add appends a parameter. An empty value is not sent: at some servers an empty scope or audience is an error.
func (f form) add(name, value string) form {
	if value == "" {
		return f
	}
	if len(f) > 0 {
		f = append(f, '&')
	}
	f = append(f, name...)
	f = append(f, '=')
	return append(f, url.QueryEscape(value)...)
}

// append adds all parameters of g.
func (f form) append(g form) form {
	if len(f) > 0 && len(g) > 0 {
		f = append(f, '&')
	}
	return append(f, g...)
}

// object returns the parameters as a JSON object, for servers that want one.
func (f form) object() (form, error) {
	values, err := url.ParseQuery(string(f))
	if err != nil {
		return nil, err
	}
	members := make(map[string]string, len(values))
	for name := range values {
		members[name] = values.Get(name)
	}
	return json.Marshal(members)
}
