// Command delay is the matrix's slow upstream: it waits as long as it is asked to, and counts.
//
//	delay [-addr HOST:PORT] [-files DIRECTORY]   serve until SIGTERM
//	delay get|post URL                           ask a server, for health checks and counters
//
// GET /?waitms=N answers {"waited_ms":N} after N milliseconds, 0 to 60000. GET /counters tells what happened since
// the last POST /counters/reset, which answers the counts that it ends. GET /healthz answers while the server does.
// With -files it also serves the JSON files in DIRECTORY's data/ and json/.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("delay: ")
	address := flag.String("addr", ":8080", "address to listen on; port 0 takes a free one")
	directory := flag.String("files", "", "serve the JSON files in `DIRECTORY`/data and /json as well")
	flag.Parse()

	var err error
	switch verb := flag.Arg(0); {
	case flag.NArg() == 0:
		err = serve(*address, *directory)
	case flag.NArg() == 2 && (verb == "get" || verb == "post"):
		err = ask(strings.ToUpper(verb), flag.Arg(1), os.Stdout)
	default:
		err = errors.New("usage: delay [-addr HOST:PORT] [-files DIRECTORY] | delay get|post URL")
	}
	if err != nil {
		log.Fatal(err)
	}
}

// serve answers requests until SIGTERM or SIGINT, then finishes those that wait; a second signal ends it at once.
func serve(address, directory string) error {
	delay := &Delay{}
	if directory != "" {
		files, err := os.OpenRoot(directory)
		if err != nil {
			return err
		}
		delay.Files = files
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	ctx, release := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	context.AfterFunc(ctx, release)
	fmt.Println("listening on", listener.Addr())
	NewServer(delay.Handle).Serve(ctx, listener)
	return nil
}

// ask sends one request and copies the answer's body; anything but a 2xx is an error.
func ask(method, url string, out io.Writer) error {
	request, err := http.NewRequest(method, url, nil)
	if err != nil {
		return err
	}
	// A transport of its own: what is asked is near, never behind a proxy that the environment names.
	client := http.Client{Transport: &http.Transport{}, Timeout: (MaxWaitMS + 5_000) * time.Millisecond}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(out, response.Body); err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return errors.New(response.Status)
	}
	return nil
}
