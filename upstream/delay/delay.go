package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"time"
)

// MaxWaitMS is the longest wait that may be asked for.
const MaxWaitMS = 60_000

// Delay waits, counts, and serves the JSON files below data/ and json/ of a directory if it has one.
type Delay struct {
	Counters Counters
	Files    *os.Root
}

// Handle gives the response to a request, or nil when the client is gone before its wait is over.
func (d *Delay) Handle(request *http.Request, client *Client) *http.Response {
	directory, _ := path.Split(request.URL.Path)
	switch route := request.Method + " " + request.URL.Path; {
	case route == "GET /":
		return d.wait(request, client)
	case route == "GET /healthz":
		return reply(http.StatusOK, map[string]string{"status": "ok"})
	case route == "GET /counters":
		return reply(http.StatusOK, d.Counters.Snapshot())
	case route == "POST /counters/reset":
		return reply(http.StatusOK, d.Counters.Reset())
	case request.Method == "GET" && d.Files != nil && (directory == "/data/" || directory == "/json/"):
		return d.file(request)
	}
	return failure(http.StatusNotFound, "no such route: "+request.Method+" "+request.URL.Path)
}

func (d *Delay) wait(request *http.Request, client *Client) *http.Response {
	milliseconds, err := waitMS(request.URL.RawQuery)
	if err != nil {
		d.Counters.Reject()
		return failure(http.StatusBadRequest, err.Error())
	}
	d.Counters.Enter(milliseconds)
	began := time.Now()
	answered := client.Wait(time.Duration(milliseconds) * time.Millisecond)
	// Before the answer is written, so that whoever has it no longer finds itself in flight.
	d.Counters.Leave(time.Since(began), !answered)
	if !answered {
		return nil
	}
	return reply(http.StatusOK, map[string]int{"waited_ms": milliseconds})
}

func (d *Delay) file(request *http.Request) *http.Response {
	d.Counters.File()
	file, err := d.Files.Open(strings.TrimPrefix(request.URL.Path, "/"))
	if err != nil {
		return failure(http.StatusNotFound, "no such file: "+request.URL.Path)
	}
	about, err := file.Stat()
	if err != nil || !about.Mode().IsRegular() {
		file.Close()
		return failure(http.StatusNotFound, "no such file: "+request.URL.Path)
	}
	return body(http.StatusOK, about.Size(), file)
}

// waitMS reads the one parameter: 1 to 10 ASCII digits up to MaxWaitMS.
func waitMS(query string) (int, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return 0, fmt.Errorf("malformed query: %w", err)
	}
	given := values["waitms"]
	if len(given) != 1 {
		return 0, fmt.Errorf("waitms must be given once, not %d times", len(given))
	}
	if !isNumber(given[0]) {
		return 0, fmt.Errorf("waitms must be 1 to 10 digits")
	}
	milliseconds, err := strconv.Atoi(given[0])
	if err != nil || milliseconds > MaxWaitMS {
		return 0, fmt.Errorf("waitms must be at most %d", MaxWaitMS)
	}
	return milliseconds, nil
}

// isNumber holds for 1 to 10 ASCII digits, the grammar of numbers everywhere in the matrix.
func isNumber(text string) bool {
	if len(text) < 1 || len(text) > 10 {
		return false
	}
	for _, character := range []byte(text) {
		if character < '0' || character > '9' {
			return false
		}
	}
	return true
}

// reply is a response with compact JSON.
func reply(status int, value any) *http.Response {
	content, err := json.Marshal(value)
	if err != nil {
		panic(err) // only types of this package come here
	}
	return body(status, int64(len(content)), io.NopCloser(bytes.NewReader(content)))
}

// failure is a response that says what was wrong.
func failure(status int, message string) *http.Response {
	return reply(status, map[string]string{"error": message})
}

func body(status int, length int64, content io.ReadCloser) *http.Response {
	return &http.Response{
		StatusCode:    status,
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        http.Header{"Content-Type": {"application/json"}},
		Body:          content,
		ContentLength: length,
	}
}
