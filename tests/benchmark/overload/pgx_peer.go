// pgx, as its defaults are. See ./run for what it reads and prints.
// package: golang-github-jackc-pgx-v4-dev golang-go
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v4/pgxpool"
)

type caller struct{ came, hold float64 }

func call(pool *pgxpool.Pool, one caller) string {
	asked := time.Now()
	connection, failure := pool.Acquire(context.Background())
	granted := time.Now()
	if failure == nil {
		_, failure = connection.Exec(context.Background(), "select pg_sleep($1)", one.hold)
		connection.Release()
	}
	fate := "served"
	if failure != nil {
		fate = "failed"
	}
	return fmt.Sprint(one.came, granted.Sub(asked).Seconds(), time.Since(granted).Seconds(), " ", fate)
}

func main() {
	var callers []caller
	for {
		var one caller
		if _, end := fmt.Scan(&one.came, &one.hold); end == io.EOF {
			break
		}
		callers = append(callers, one)
	}
	config, failure := pgxpool.ParseConfig(os.Args[1])
	if failure != nil {
		panic(failure)
	}
	size, _ := strconv.Atoi(os.Args[2])
	config.MaxConns, config.MinConns = int32(size), int32(size)
	pool, failure := pgxpool.ConnectConfig(context.Background(), config)
	if failure != nil {
		panic(failure)
	}
	for pool.Stat().TotalConns() < int32(size) {
		time.Sleep(10 * time.Millisecond)
	}
	said := make([]string, len(callers))
	var left sync.WaitGroup
	begun := time.Now()
	for i, one := range callers {
		time.Sleep(time.Until(begun.Add(time.Duration(one.came * float64(time.Second)))))
		left.Add(1)
		go func(place int, one caller) {
			defer left.Done()
			said[place] = call(pool, one)
		}(i, one)
	}
	left.Wait()
	for _, line := range said {
		fmt.Println(line)
	}
}
