// name: pgx
// kind: barges
// package: golang-github-jackc-pgx-v4-dev golang-go
// does: statements coroutines
package main

import (
	"context"
	"os"

	"github.com/jackc/pgx/v4/pgxpool"
)

func main() {
	sql := os.Getenv("BENCHMARK_STATEMENT")
	if sql == "" {
		sql = "select 1"
	}
	play(func(slots int) pool {
		config, failure := pgxpool.ParseConfig(os.Args[1])
		check(failure)
		config.MaxConns = int32(slots)
		all, failure := pgxpool.ConnectConfig(context.Background(), config)
		check(failure)
		return pool{
			acquire: func() interface{} {
				one, failure := all.Acquire(context.Background())
				check(failure)
				return one
			},
			release: func(one interface{}) { one.(*pgxpool.Conn).Release() },
			statement: func(one interface{}) {
				var number int
				check(one.(*pgxpool.Conn).QueryRow(context.Background(), sql).Scan(&number))
			},
			close: all.Close,
		}
	})
}
