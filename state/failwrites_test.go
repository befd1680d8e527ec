package state

import (
	"os"
	"reflect"
	"syscall"
	"unsafe"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// hidden gives a field of bbolt's that it keeps for itself, for reading and
// setting.
func hidden[T any](db *bolt.DB, path ...string) *T {
	v := reflect.ValueOf(db).Elem()
	for _, name := range path {
		v = v.FieldByName(name)
	}
	return reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Interface().(*T)
}

// onWrite replaces the function by which bbolt writes pages, all of them, once
// a file is open.
func onWrite(s *Store, write func(page []byte, off int64) (int, error)) {
	*hidden[func([]byte, int64) (int, error)](s.db, "ops", "writeAt") = write
}

// heads is where the two pages end that make a transaction count. bbolt syncs
// the file before it writes one of them, and afterwards.
func heads() int64 { return int64(2 * os.Getpagesize()) }

// failWrites makes page writes of bbolt answer an I/O error. late means that the
// head of the file is written all the same.
func failWrites(s *Store, late bool) {
	onWrite(s, func(b []byte, off int64) (int, error) {
		if !late {
			return 0, syscall.EIO
		}
		n, err := s.file.WriteAt(b, off)
		if err == nil && off < heads() {
			err = syscall.EIO
		}
		return n, err
	})
}

// unsynced counts the pages of a file that the kernel has yet to write to the
// disk, or is writing.
func unsynced(f *os.File) (int, error) {
	var stat unix.Cachestat_t
	err := unix.Cachestat(uint(f.Fd()), &unix.CachestatRange{}, &stat, 0)
	return int(stat.Dirty + stat.Writeback), err
}
