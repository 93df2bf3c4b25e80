package main

import (
	"sync"
	"time"
)

// Counts is what /counters answers: everything since the last reset.
type Counts struct {
	Received    int `json:"received"`      // waits asked for, in good form
	AskedMS     int `json:"asked_ms"`      // how long they were asked for, all together
	WaitedUS    int `json:"waited_us"`     // how long those took that are over, by this server's clock, in microseconds
	InFlight    int `json:"in_flight"`     // waiting now; a reset leaves it alone
	MaxInFlight int `json:"max_in_flight"` // most that waited at the same time
	Cancelled   int `json:"cancelled"`     // of those received: the client went away before its answer
	Rejected    int `json:"rejected"`      // answered 400; not in received
	Files       int `json:"files"`         // static files asked for; not in received
}

// Counters keeps Counts for many requests at once, so that every snapshot is consistent in itself.
type Counters struct {
	mu     sync.Mutex
	counts Counts
}

// Enter notes that a wait begins, and how long it was asked for.
func (c *Counters) Enter(milliseconds int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.Received++
	c.counts.AskedMS += milliseconds
	c.counts.InFlight++
	c.counts.MaxInFlight = max(c.counts.MaxInFlight, c.counts.InFlight)
}

// Leave notes that a wait is over, how long it took, and whether its client was gone by then.
func (c *Counters) Leave(waited time.Duration, cancelled bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.InFlight--
	c.counts.WaitedUS += int(waited.Microseconds())
	if cancelled {
		c.counts.Cancelled++
	}
}

// Reject notes a request in bad form.
func (c *Counters) Reject() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.Rejected++
}

// File notes a request for a static file.
func (c *Counters) File() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.Files++
}

// Snapshot gives all counts at one instant.
func (c *Counters) Snapshot() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts
}

// Reset starts counting anew and gives the counts that ended: what waits now stays in flight and is the most so far.
func (c *Counters) Reset() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	ended := c.counts
	c.counts = Counts{InFlight: ended.InFlight, MaxInFlight: ended.InFlight}
	return ended
}
