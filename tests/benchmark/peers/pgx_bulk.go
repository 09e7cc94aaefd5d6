// name: pgx
// kind: peer
// does: bulk
// tasks: read copy_in pipeline
// package: golang-github-jackc-pgx-v4-dev golang-go
// whole: a program of its own
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v4"
)

func check(failure error) {
	if failure != nil {
		panic(failure)
	}
}

func processor() float64 {
	var used syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()).Seconds()
}

func made(count int) [][]interface{} {
	all := make([][]interface{}, count)
	for i := range all {
		at := time.UnixMicro(1700000000000000 + int64(i)*1234567)
		all[i] = []interface{}{int32(i), "name " + strconv.Itoa(i%1000), at, float64(i) / 8}
	}
	return all
}

func do(task string, connection *pgx.Conn, data [][]interface{}) float64 {
	background := context.Background()
	switch task {
	case "read":
		rows, failure := connection.Query(background, "select id, name, at, value from bulk")
		check(failure)
		sum := 0.0
		for rows.Next() {
			var id int32
			var name string
			var at time.Time
			var value float64
			check(rows.Scan(&id, &name, &at, &value))
			sum += float64(id) + float64(len(name)) + float64(at.UnixMicro()%1000) + value
		}
		check(rows.Err())
		return sum
	case "copy_in":
		_, failure := connection.CopyFrom(background, pgx.Identifier{"into_bulk"}, []string{"id", "name", "at", "value"}, pgx.CopyFromRows(data))
		check(failure)
	case "pipeline":
		for begin := 0; begin < len(data); begin += 1000 {
			batch := &pgx.Batch{}
			for i := begin; i < begin+1000 && i < len(data); i++ {
				batch.Queue("insert into into_bulk values ($1, $2, $3, $4)", data[i]...)
			}
			check(connection.SendBatch(background, batch).Close())
		}
	}
	return float64(len(data))
}

func main() {
	connection, failure := pgx.Connect(context.Background(), os.Args[1])
	check(failure)
	var data [][]interface{}
	for {
		var task string
		var count int
		if _, end := fmt.Scan(&task, &count); end != nil {
			return
		}
		if len(data) != count {
			data = made(count)
		}
		used := processor()
		outcome := do(task, connection, data)
		fmt.Println(strconv.FormatFloat(outcome, 'f', -1, 64), processor()-used)
	}
}
