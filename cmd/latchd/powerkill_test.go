package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"latchd/latch"
)

// TestKilledBeforeSync kills latchd when it has written the head of a transaction
// and not synced it yet. What the next process shows of it, it has to have made
// durable: the power goes right behind.
func TestKilledBeforeSync(t *testing.T) {
	needStrace(t)
	disk := newPowerDisk(t, "ext4")
	pace := time.Second
	// Which of the threads syncs is chance; mostly it is one.
	for seed := range uint64(20) {
		p := newPowered(t, disk, &pace, seed)
		p.off = make(chan struct{})
		p.addSome(1)
		path, customers := p.csvOf(p.next(5))
		p.begin(customers...)
		if _, _, code, _ := p.traced(injection{"fdatasync", "SIGKILL", "2"}, "request", "import", path); code != -1 {
			continue // no thread synced twice
		}
		var shown []latch.Request
		if err := json.Unmarshal(p.run("--output", "json", "request", "list"), &shown); err != nil {
			t.Fatal(err)
		}
		if len(shown) != 1+len(customers) {
			continue // it died before it wrote the head
		}
		p.acknowledge()
		if err := disk.cut(); err != nil {
			t.Fatal(err)
		}
		disk.restart()
		if faults := p.faults(); faults != nil {
			t.Errorf("what was shown was not durable:\n%s", strings.Join(faults, "\n"))
		}
		return
	}
	t.Error("it was never killed between the head and its sync")
}
