// The pool of pgx.
// name: puddle
// kind: barges
// package: golang-github-jackc-puddle-dev golang-go
package main

import (
	"context"

	"github.com/jackc/puddle"
)

func main() {
	play(func(slots int) pool {
		all := puddle.NewPool(func(context.Context) (interface{}, error) { return new(int), nil }, func(interface{}) {}, int32(slots))
		return pool{
			acquire: func() interface{} {
				one, failure := all.Acquire(context.Background())
				check(failure)
				return one
			},
			release: func(one interface{}) { one.(*puddle.Resource).Release() },
			close:   all.Close,
		}
	})
}
