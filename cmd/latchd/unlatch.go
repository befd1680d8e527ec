package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"latchd/syncer"
)

// unlatchMax is how many customers Stax Bill's import takes at once
// (https://support.staxbill.com/hc/en-us/articles/33331699722899).
const unlatchMax = 5000

// unlatchHeader names the columns of Stax Bill's Manage Salesforce sheet that
// take an account off: the word clear does.
var unlatchHeader = []string{"Fusebill ID", "SalesforceID", "TargetSalesforceID"}

// unlatchFiles are the files for Stax Bill's own import.
type unlatchFiles struct {
	names []string
	files []*os.File
	now   *csv.Writer // of the file that is being written
	n     int         // rows written
}

// newUnlatchFiles makes as many files as n rows want, all of them or none; one
// that is there is never written over.
func newUnlatchFiles(path string, n int) (*unlatchFiles, error) {
	f := &unlatchFiles{}
	ext := filepath.Ext(path)
	for i := range (n + unlatchMax - 1) / unlatchMax {
		name := path
		if i > 0 {
			name = fmt.Sprintf("%s-%d%s", strings.TrimSuffix(path, ext), i+1, ext)
		}
		file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			for k, made := range f.files {
				_ = made.Close()
				_ = os.Remove(f.names[k]) // empty, and ours
			}
			if errors.Is(err, os.ErrExist) {
				return nil, &usageError{fmt.Sprintf("%s is there already, and is not written over", name), "name another file with --unlatch-csv; nothing was filed"}
			}
			return nil, cannotMake(name, err, "nothing was filed")
		}
		f.names, f.files = append(f.names, name), append(f.files, file)
	}
	return f, nil
}

// add writes the row of one customer.
func (f *unlatchFiles) add(s syncer.UndoStep) error {
	if f.n%unlatchMax == 0 {
		i := f.n / unlatchMax
		if i == len(f.files) {
			return fmt.Errorf("more customers are to be unlatched than were shown; run the undo once more for those behind %s", s.Customer)
		}
		if err := f.flush(); err != nil {
			return err
		}
		f.now = csv.NewWriter(f.files[i])
		if err := f.now.Write(unlatchHeader); err != nil {
			return err
		}
	}
	f.n++
	return f.now.Write([]string{s.Customer.String(), string(s.From), "clear"})
}

func (f *unlatchFiles) flush() error {
	if f.now == nil {
		return nil
	}
	f.now.Flush()
	return f.now.Error()
}

// end completes the files, also behind an error; nil has none.
func (f *unlatchFiles) end(err error) error {
	if f == nil {
		return err
	}
	err = errors.Join(err, f.flush())
	for _, file := range f.files {
		err = errors.Join(err, file.Sync(), file.Close())
	}
	if err != nil {
		return fmt.Errorf("%w; %s may not be whole: remove it and run the undo again, which files nothing twice", err, strings.Join(f.names, ", "))
	}
	return nil
}
