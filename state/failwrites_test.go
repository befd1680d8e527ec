package state

import (
	"reflect"
	"syscall"
	"unsafe"
)

// failWrites makes every page write of bbolt fail, by replacing the function
// that it keeps for its own tests.
func failWrites(s *Store) {
	ops := reflect.ValueOf(s.db).Elem().FieldByName("ops").FieldByName("writeAt")
	write := reflect.NewAt(ops.Type(), unsafe.Pointer(ops.UnsafeAddr())).Elem()
	write.Set(reflect.ValueOf(func([]byte, int64) (int, error) { return 0, syscall.EIO }))
}
