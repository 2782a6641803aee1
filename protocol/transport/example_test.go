package transport_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"

	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/transport"
)

// A program keeps one client of groatd and one http.Client. Every request gets the current token, and one that the API
// refuses with 401 is repeated once with a better token.
func Example() {
	groat, err := protocol.Connect(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	defer groat.Close()

	client := &http.Client{Transport: &transport.Transport{Client: groat, Profile: "work"}}
	resp, err := client.Get(apiURL + "/projects") // the API refuses the first token
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(resp.Status, string(body))
	// Output: 200 OK GET with Bearer token-2
}
