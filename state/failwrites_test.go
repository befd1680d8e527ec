package state

import (
	"os"
	"reflect"
	"syscall"
	"unsafe"
)

// failWrites makes page writes of bbolt answer an I/O error, by replacing the
// function that it keeps for its own tests. late means that the head of the
// file, which makes a transaction count, is written all the same.
func failWrites(s *Store, late bool) {
	ops := reflect.ValueOf(s.db).Elem().FieldByName("ops").FieldByName("writeAt")
	write := reflect.NewAt(ops.Type(), unsafe.Pointer(ops.UnsafeAddr())).Elem()
	write.Set(reflect.ValueOf(func(b []byte, off int64) (int, error) {
		if !late {
			return 0, syscall.EIO
		}
		n, err := s.file.WriteAt(b, off)
		if err == nil && off < int64(2*os.Getpagesize()) {
			err = syscall.EIO
		}
		return n, err
	}))
}
