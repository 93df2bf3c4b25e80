package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// directory is where the tests of the program as a whole build it.
var directory string

func TestMain(m *testing.M) {
	var err error
	if directory, err = os.MkdirTemp("", "delay-"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(directory)
	os.Exit(code)
}

// buildOnce never uses the race detector, which would distort the program's memory.
var buildOnce = sync.OnceValues(func() (string, error) {
	binary := filepath.Join(directory, "delay")
	output, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, output)
	}
	return binary, nil
})

func build(t *testing.T) string {
	t.Helper()
	binary, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// run starts the program on a free port and gives it with the address that it prints.
func run(t *testing.T) (*exec.Cmd, string) {
	t.Helper()
	command := exec.Command(build(t), "-addr", "127.0.0.1:0")
	command.Stderr = os.Stderr
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill() })
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	address, found := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if !found {
		t.Fatalf("the first line is %q", line)
	}
	return command, address
}

func TestSIGTERMDrains(t *testing.T) {
	server, address := run(t)
	_, idle := dial(t, address)
	used, usedReader := dial(t, address)
	send(t, used, fmt.Sprintf(get, 0))
	receive(t, usedReader)
	waiting, reader := dial(t, address)
	send(t, waiting, fmt.Sprintf(get, 700))
	until(t, address, func(c Counts) bool { return c.InFlight == 1 })

	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ended(t, idle)
	ended(t, usedReader)
	if conn, err := net.Dial("tcp", address); err == nil {
		conn.Close()
		t.Error("still accepts connections")
	}
	if response, body := receive(t, reader); body != `{"waited_ms":700}` || !response.Close {
		t.Errorf("answered %s, close %v", body, response.Close)
	}
	if err := server.Wait(); err != nil {
		t.Errorf("ended with %v, want exit code 0", err)
	}
}

func TestASecondSignalEndsAtOnce(t *testing.T) {
	server, address := run(t)
	_, idle := dial(t, address)
	waiting, _ := dial(t, address)
	send(t, waiting, fmt.Sprintf(get, MaxWaitMS))
	until(t, address, func(c Counts) bool { return c.InFlight == 1 })
	_ = server.Process.Signal(syscall.SIGTERM)
	ended(t, idle) // so the first signal has been heard
	_ = server.Process.Signal(syscall.SIGTERM)
	_ = server.Wait()
	if status := server.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGTERM {
		t.Errorf("ended with %v", server.ProcessState)
	}
}

func TestAsksAServer(t *testing.T) {
	_, address := run(t)
	for _, each := range []struct {
		verb, path, output string
		code               int
	}{
		{"get", "/healthz", `{"status":"ok"}`, 0},
		{"get", "/?waitms=2", `{"waited_ms":2}`, 0},
		{"post", "/counters/reset", `{"received":1,"asked_ms":2,"waited_us":N,"in_flight":0,"max_in_flight":1,"cancelled":0,"rejected":0,"files":0}`, 0},
		{"get", "/nowhere", `{"error":"no such route: GET /nowhere"}`, 1},
	} {
		command := exec.Command(build(t), each.verb, "http://"+address+each.path)
		raw, _ := command.Output()
		output := regexp.MustCompile(`"waited_us":\d+`).ReplaceAllString(string(raw), `"waited_us":N`)
		if code := command.ProcessState.ExitCode(); output != each.output || code != each.code {
			t.Errorf("%s %s: %q, exit code %d", each.verb, each.path, output, code)
		}
	}
}

func TestSaysWhatIsWrongInOneLine(t *testing.T) {
	_, taken := run(t)
	for _, arguments := range [][]string{
		{"-addr", taken}, {"-files", "/no/such/directory"}, {"serve"}, {"get"}, {"get", "http://127.0.0.1:1/"},
	} {
		command := exec.Command(build(t), arguments...)
		output, err := command.CombinedOutput()
		if err == nil || strings.Count(string(output), "\n") != 1 || !strings.HasPrefix(string(output), "delay: ") {
			t.Errorf("%v: %q, %v", arguments, output, err)
		}
	}
}

const (
	many     = 10_000
	mostRSS  = 200 << 10 // KiB
	spareFDs = 200
)

// TestTenThousandWaits holds 10 000 requests in flight twice over the same connections: a pool that is warm.
func TestTenThousandWaits(t *testing.T) {
	if testing.Short() {
		t.Skip("takes about ten seconds")
	}
	allowDescriptors(t, many+spareFDs)
	server, address := run(t)
	connections := make([]net.Conn, many)
	readers := make([]*bufio.Reader, many)
	for i := range connections {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		defer conn.Close()
		connections[i], readers[i] = conn, bufio.NewReader(conn)
	}
	for range 2 {
		for _, conn := range connections {
			send(t, conn, fmt.Sprintf(get, 4_000))
		}
		until(t, address, func(c Counts) bool { return c.InFlight == many })
		for _, reader := range readers {
			if _, body := receive(t, reader); body != `{"waited_ms":4000}` {
				t.Fatalf("answered %s", body)
			}
		}
	}
	peak := peakRSS(t, server.Process.Pid)
	t.Logf("peak resident memory with %d waiting requests: %d MiB", many, peak>>10)
	if peak >= mostRSS {
		t.Errorf("that is not below %d MiB", mostRSS>>10)
	}
}

// allowDescriptors raises this process's limit of open files, which the programs it starts inherit.
func allowDescriptors(t *testing.T, wanted uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Skipf("the limit of open files is unknown: %v", err)
	}
	if limit.Cur >= wanted {
		return
	}
	raised := syscall.Rlimit{Cur: wanted, Max: max(wanted, limit.Max)}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised); err != nil {
		t.Skipf("needs %d open files, may have %d: %v (ulimit -Hn)", wanted, limit.Max, err)
	}
}

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peakRSS is the most memory in KiB that a process has had resident so far.
func peakRSS(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skipf("only Linux tells a process's memory: %v", err)
	}
	peak, err := strconv.Atoi(string(highWater.FindSubmatch(status)[1]))
	if err != nil {
		t.Fatal(err)
	}
	return peak
}
