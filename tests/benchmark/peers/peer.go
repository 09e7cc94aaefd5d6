// What the peers in Go have in common: a round, told by a line of the input. Built with each of them.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

type pool struct {
	acquire   func() interface{}
	release   func(interface{})
	statement func(interface{}) // what is done with one, or nil
	close     func()
}

var sink uint64

func check(failure error) {
	if failure != nil {
		panic(failure)
	}
}

func processor() time.Duration {
	var used syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func play(open func(slots int) pool) {
	for {
		var threads, slots, held int
		var steps, sleep uint64
		var seconds float64
		if _, end := fmt.Scan(&threads, &slots, &held, &steps, &sleep, &seconds); end != nil {
			return
		}
		all := open(slots)
		holders := make([]interface{}, slots)
		for i := range holders { // which opens them
			if i < held || os.Getenv("BENCHMARK_COLD") == "" {
				holders[i] = all.acquire()
			}
		}
		for _, each := range holders[held:] {
			if each != nil {
				all.release(each)
			}
		}
		holds := steps > 0 || sleep > 0 || all.statement != nil
		cycles, waits, ended := make([]uint64, threads), make([][]int64, threads), make([]time.Duration, threads)
		var over int32
		var left sync.WaitGroup
		begun, used, together := time.Now(), processor(), []int64{}
		for i := 0; i < threads; i++ {
			left.Add(1)
			go func(place int) {
				defer left.Done()
				count, mine := uint64(0), []int64{}
				for ; atomic.LoadInt32(&over) == 0; count++ {
					var asked time.Time
					timed := holds || count%1024 == 0
					if timed {
						asked = time.Now()
					}
					one := all.acquire()
					if timed {
						mine = append(mine, int64(time.Since(asked)))
					}
					if all.statement != nil {
						all.statement(one)
					}
					if steps > 0 {
						value := steps | 1
						for step := uint64(0); step < steps; step++ {
							value = value*6364136223846793005 + 1442695040888963407
						}
						atomic.StoreUint64(&sink, value)
					}
					if sleep > 0 {
						time.Sleep(time.Duration(sleep) * time.Microsecond)
					}
					all.release(one)
				}
				cycles[place], waits[place], ended[place] = count, mine, time.Since(begun)
			}(i)
		}
		time.Sleep(time.Duration(seconds * float64(time.Second)))
		atomic.StoreInt32(&over, 1)
		left.Wait()
		used = processor() - used
		last, after := time.Duration(0), []float64{}
		for i := range waits {
			after = append(after, ended[i].Seconds())
			together = append(together, waits[i]...)
			if ended[i] > last {
				last = ended[i]
			}
		}
		for _, each := range holders[:held] {
			all.release(each)
		}
		all.close()
		check(json.NewEncoder(os.Stdout).Encode(map[string]interface{}{
			"seconds": last.Seconds(), "processor": used.Seconds(), "ended": after, "cycles": cycles, "waits": together}))
	}
}
