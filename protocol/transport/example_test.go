package transport_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/groat-dev/groat/protocol/transport"
)

// A program keeps one client of groatd and one http.Client. Every request gets the current token, and one that the API
// refuses with 401 is repeated once with a better token.
func Example() {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer token-2" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, "%s with %s", r.Method, r.Header.Get("Authorization"))
	}))
	defer api.Close()
	stand := &groatd{current: 1, origins: []string{api.URL}} // a program calls protocol.Connect
	groat, end := stand.client()
	defer end()

	client := &http.Client{Transport: &transport.Transport{Client: groat, Profile: "work"}}
	resp, err := client.Get(api.URL + "/api/info")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Println(resp.Status)
	fmt.Println(string(body))
	// Output:
	// 200 OK
	// GET with Bearer token-2
}
