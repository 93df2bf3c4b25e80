package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// start serves a Delay on a free port until the test ends, and gives its address.
func start(t testing.TB, files *os.Root) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		NewServer((&Delay{Files: files}).Handle).Serve(ctx, listener)
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
	return listener.Addr().String()
}

// call sends one request on a connection of its own.
func call(t testing.TB, method, url string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(content)
}

// counts gives the counters without what the clock says, which no test can foretell.
func counts(t testing.TB, address string) Counts {
	t.Helper()
	found := allCounts(t, address)
	found.WaitedUS = 0
	return found
}

func allCounts(t testing.TB, address string) Counts {
	t.Helper()
	_, body := call(t, "GET", "http://"+address+"/counters")
	var found Counts
	if err := json.Unmarshal([]byte(body), &found); err != nil {
		t.Fatal(err)
	}
	return found
}

// until asks again and again, for at most ten seconds, whether the counters are as they should be.
func until(t testing.TB, address string, as func(Counts) bool) {
	t.Helper()
	var found Counts
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if found = counts(t, address); as(found) {
			return
		}
	}
	t.Fatalf("after 10 s the counters are %+v", found)
}

// dial opens a connection that the test writes requests to by itself.
func dial(t testing.TB, address string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

func send(t testing.TB, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

// receive reads one response and its body.
func receive(t testing.TB, reader *bufio.Reader) (*http.Response, string) {
	t.Helper()
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(content)
}

// ended fails the test unless the server has closed the connection.
func ended(t testing.TB, reader *bufio.Reader) {
	t.Helper()
	if rest, err := io.ReadAll(reader); err != nil || len(rest) > 0 {
		t.Fatalf("the connection goes on with %q, %v", rest, err)
	}
}

const get = "GET /?waitms=%d HTTP/1.1\r\nHost: delay\r\n\r\n"

func TestAnswersAfterTheTimeAskedFor(t *testing.T) {
	address := start(t, nil)
	for _, milliseconds := range []int{0, 1, 20, 150} {
		least := time.Hour
		for range 10 {
			began := time.Now()
			response, body := call(t, "GET", fmt.Sprintf("http://%s/?waitms=%d", address, milliseconds))
			late := time.Since(began) - time.Duration(milliseconds)*time.Millisecond
			if late < 0 {
				t.Fatalf("answered %d ms %v too early", milliseconds, -late)
			}
			least = min(least, late)
			if want := fmt.Sprintf(`{"waited_ms":%d}`, milliseconds); body != want || response.StatusCode != 200 {
				t.Fatalf("%d %s, want 200 %s", response.StatusCode, body, want)
			}
			if kind := response.Header.Get("Content-Type"); kind != "application/json" {
				t.Fatalf("Content-Type is %q", kind)
			}
		}
		// The best of ten: a busy machine makes any single one late.
		if least > 3*time.Millisecond {
			t.Errorf("%d ms are never less than %v late", milliseconds, least)
		}
	}
}

func TestRefusesWhatIsNotAWait(t *testing.T) {
	address := start(t, nil)
	queries := []string{
		"", "?", "?waitms", "?waitms=", "?waitms=-1", "?waitms=%2B1", "?waitms=+1", "?waitms=1.0", "?waitms=1e3",
		"?waitms=0x10", "?waitms=1_000", "?waitms=%201", "?waitms=1%20", "?waitms=1%00", "?waitms=abc",
		"?waitms=60001", "?waitms=9999999999", "?waitms=00000000001", "?waitms=99999999999999999999",
		"?waitms=%D9%A1", "?waitms=%EF%BC%91", "?waitms=1&waitms=1", "?waitms=1;x=2", "?waitms=%zz", "?WAITMS=1", "?ms=1",
	}
	for _, query := range queries {
		response, body := call(t, "GET", "http://"+address+"/"+query)
		var problem struct{ Error string }
		if err := json.Unmarshal([]byte(body), &problem); err != nil || problem.Error == "" {
			t.Errorf("%s: %q is not a JSON error", query, body)
		}
		if kind := response.Header.Get("Content-Type"); response.StatusCode != 400 || kind != "application/json" {
			t.Errorf("%s: %d %s, want 400 application/json", query, response.StatusCode, kind)
		}
	}
	if found := counts(t, address); found != (Counts{Rejected: len(queries)}) {
		t.Errorf("counters are %+v, want only %d rejected", found, len(queries))
	}
}

func TestTakesWhatIsAWait(t *testing.T) {
	address := start(t, nil)
	for _, query := range []string{"?waitms=0", "?waitms=0000000000", "?waitms=%30", "?waitms=1&other=2", "?waitms=01"} {
		if response, body := call(t, "GET", "http://"+address+"/"+query); response.StatusCode != 200 {
			t.Errorf("%s: %d %s", query, response.StatusCode, body)
		}
	}
	for _, longest := range []string{"60000", "0000060000"} {
		if milliseconds, err := waitMS("waitms=" + longest); milliseconds != MaxWaitMS || err != nil {
			t.Errorf("%s is read as %d, %v", longest, milliseconds, err)
		}
	}
}

func TestRoutes(t *testing.T) {
	address := start(t, nil)
	cases := []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/healthz", 200, `{"status":"ok"}`},
		{"GET", "/nowhere", 404, `{"error":"no such route: GET /nowhere"}`},
		{"POST", "/?waitms=1", 404, `{"error":"no such route: POST /"}`},
		{"GET", "/counters/reset", 404, `{"error":"no such route: GET /counters/reset"}`},
		{"GET", "/data/000.json", 404, `{"error":"no such route: GET /data/000.json"}`},
	}
	for _, each := range cases {
		response, body := call(t, each.method, "http://"+address+each.path)
		if response.StatusCode != each.status || body != each.body {
			t.Errorf("%s %s: %d %s, want %d %s", each.method, each.path, response.StatusCode, body, each.status, each.body)
		}
	}
	if found := counts(t, address); found != (Counts{}) {
		t.Errorf("counters are %+v, want nothing counted", found)
	}
}

func TestCountersTellWhatHappenedSinceTheReset(t *testing.T) {
	address := start(t, nil)
	call(t, "GET", "http://"+address+"/?waitms=0")
	var waiting sync.WaitGroup
	for range 7 {
		conn, reader := dial(t, address)
		send(t, conn, fmt.Sprintf(get, 400))
		waiting.Add(1)
		go func() {
			defer waiting.Done()
			_, _ = http.ReadResponse(reader, nil)
		}()
	}
	until(t, address, func(c Counts) bool { return c == Counts{Received: 8, AskedMS: 2800, InFlight: 7, MaxInFlight: 7} })

	_, body := call(t, "POST", "http://"+address+"/counters/reset")
	want := `^\{"received":8,"asked_ms":2800,"waited_us":\d+,"in_flight":7,"max_in_flight":7,"cancelled":0,"rejected":0,"files":0\}$`
	if !regexp.MustCompile(want).MatchString(body) {
		t.Errorf("the reset answers %s, want %s", body, want)
	}
	if found := counts(t, address); found != (Counts{InFlight: 7, MaxInFlight: 7}) {
		t.Errorf("after the reset: %+v, want only 7 in flight", found)
	}
	waiting.Wait()
	if found := counts(t, address); found != (Counts{MaxInFlight: 7}) {
		t.Errorf("after all were answered: %+v, want none in flight", found)
	}
}

func TestTheTimeOfEveryWaitIsCounted(t *testing.T) {
	address := start(t, nil)
	began := time.Now()
	for range 3 {
		call(t, "GET", "http://"+address+"/?waitms=40")
	}
	took := time.Since(began)
	found := allCounts(t, address)
	if waited := time.Duration(found.WaitedUS) * time.Microsecond; found.AskedMS != 120 || waited < 120*time.Millisecond || waited > took {
		t.Errorf("%d ms asked for took %s within %s", found.AskedMS, waited, took)
	}
}

func TestAClientThatGoesAwayIsNotWaitedFor(t *testing.T) {
	address := start(t, nil)
	conn, _ := dial(t, address)
	send(t, conn, fmt.Sprintf(get, MaxWaitMS))
	until(t, address, func(c Counts) bool { return c.InFlight == 1 })
	conn.Close()
	until(t, address, func(c Counts) bool { return c == Counts{Received: 1, AskedMS: MaxWaitMS, MaxInFlight: 1, Cancelled: 1} })
}

func TestAConnectionServesManyRequestsAndMayLieIdle(t *testing.T) {
	conn, reader := dial(t, start(t, nil))
	for number := range 2_000 {
		send(t, conn, fmt.Sprintf(get, number%2))
		if response, body := receive(t, reader); response.StatusCode != 200 || response.Close {
			t.Fatalf("request %d: %d %s, close %v", number, response.StatusCode, body, response.Close)
		}
		if number == 1_000 {
			time.Sleep(time.Second)
		}
	}
}

func TestRequestsSentAheadAreAnsweredInOrder(t *testing.T) {
	conn, reader := dial(t, start(t, nil))
	began := time.Now()
	send(t, conn, fmt.Sprintf(get+get+get, 60, 0, 40))
	for _, milliseconds := range []int{60, 0, 40} {
		if _, body := receive(t, reader); body != fmt.Sprintf(`{"waited_ms":%d}`, milliseconds) {
			t.Fatalf("answered %s out of order", body)
		}
	}
	if passed := time.Since(began); passed < 100*time.Millisecond {
		t.Errorf("waited %v, want 100 ms", passed)
	}
}

func TestClosesWhenTheClientAsks(t *testing.T) {
	address := start(t, nil)
	for _, request := range []string{
		"GET /?waitms=1 HTTP/1.1\r\nHost: delay\r\nConnection: close\r\n\r\n",
		"GET /?waitms=1 HTTP/1.0\r\n\r\n",
	} {
		conn, reader := dial(t, address)
		send(t, conn, request)
		if response, body := receive(t, reader); body != `{"waited_ms":1}` || !response.Close {
			t.Errorf("answered %s, close %v", body, response.Close)
		}
		ended(t, reader)
	}
}

func TestABodyIsReadOverBeforeTheNextRequest(t *testing.T) {
	conn, reader := dial(t, start(t, nil))
	send(t, conn, "POST /counters/reset HTTP/1.1\r\nHost: delay\r\nContent-Length: 4\r\n\r\nGET "+fmt.Sprintf(get, 0))
	receive(t, reader)
	if _, body := receive(t, reader); body != `{"waited_ms":0}` {
		t.Errorf("then answered %s", body)
	}
}

func TestRefusesWhatIsNotHTTPAndWhatHasNoEnd(t *testing.T) {
	address := start(t, nil)
	for _, text := range []string{"what?\r\n\r\n", "GET /?waitms=1 HTTP/1.1\r\nX: " + strings.Repeat("x", maxRequest)} {
		conn, reader := dial(t, address)
		send(t, conn, text)
		if response, body := receive(t, reader); response.StatusCode != 400 || !response.Close {
			t.Errorf("%d %s, close %v, want 400 and an end", response.StatusCode, body, response.Close)
		}
	}
}

func TestServesTheFilesOfADirectoryAndNothingBesides(t *testing.T) {
	directory := t.TempDir()
	content := strings.Repeat("x", 100_000)
	for _, name := range []string{"data/000.json", "json/small.json", "other/secret.json", "secret.json"} {
		path := filepath.Join(directory, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content+name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files, err := os.OpenRoot(directory)
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	conn, reader := dial(t, start(t, files))
	for path, status := range map[string]int{
		"/data/000.json": 200, "/json/small.json": 200, "/data/999.json": 404, "/data/": 404, "/data/..": 404,
		"/data/../secret.json": 404, "/data/..%2Fsecret.json": 404, "/other/secret.json": 404, "/secret.json": 404,
	} {
		send(t, conn, "GET "+path+" HTTP/1.1\r\nHost: delay\r\n\r\n")
		response, body := receive(t, reader)
		if response.StatusCode != status || response.Close {
			t.Errorf("%s: %d, want %d", path, response.StatusCode, status)
		}
		if status == 200 && body != content+path[1:] {
			t.Errorf("%s: the content differs", path)
		}
	}
	if found := counts(t, conn.RemoteAddr().String()); found != (Counts{Files: 5}) {
		t.Errorf("counters are %+v, want only 5 files", found)
	}
}

func BenchmarkRequest(b *testing.B) {
	conn, reader := dial(b, start(b, nil))
	for b.Loop() {
		send(b, conn, fmt.Sprintf(get, 0))
		receive(b, reader)
	}
}
