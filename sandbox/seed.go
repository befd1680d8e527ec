package sandbox

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"
)

// What an org looks like is a pure function of the seed and an index, so that no
// row has to be held. The domains keep the derived numbers apart.
const (
	domainOrg uint64 = iota + 1
	domainInstance
	domainAccountBase
	domainAccountTimes
	domainVisibility
	domainCustomer
	domainSecret
	domainOrder
	domainLocator
)

const (
	instances       = 4  // instance codes (characters 4–6 of an id) in one org
	lettersPerBlock = 26 // pairs of accounts in each run of 62 numbers
	firstCustomerID = 1000001
	sharedStampRun  = 500 // accounts loaded at once share one SystemModstamp

	// Seconds from one record to the next. MaxRecords of them end before 2026, as
	// nothing may have been made in the future.
	accountStep  = 10
	customerStep = 14
)

var (
	accountEpoch  = time.Date(2019, 1, 1, 0, 0, 0, 0, time.UTC)
	customerEpoch = time.Date(2016, 1, 1, 0, 0, 0, 0, time.UTC)
)

type seeding struct {
	seed  uint64
	codes [instances]string // ascending, so that ids of class k sort before those of k+1
	bases [instances]uint64 // first running number of each code, a multiple of 62
}

func newSeeding(seed uint64) seeding {
	s := seeding{seed: seed}
	codes := make([]string, 0, instances)
	for i := 0; len(codes) < instances; i++ {
		h := s.hash(domainInstance, i)
		// A digit, an upper-case and a lower-case letter in turn, as pods are named.
		code := string([]byte{base62Digits[h%10], base62Digits[10+(h>>8)%26], base62Digits[36+(h>>16)%26]})
		if !slices.Contains(codes, code) {
			codes = append(codes, code)
		}
	}
	slices.Sort(codes)
	copy(s.codes[:], codes)
	for k := range s.bases {
		const low, high = 62 * 62 * 62 * 62, 7 * 62 * 62 * 62 * 62
		s.bases[k] = (low + s.hash(domainAccountBase, k)%(high-low)) / 62 * 62
	}
	return s
}

// hash mixes the seed, a domain and an index (splitmix64).
func (s seeding) hash(domain uint64, i int) uint64 {
	z := s.seed*0x9e3779b97f4a7c15 + domain*0xd1342543de82ef95 + uint64(i)*0xbf58476d1ce4e5b9 + 0x632be59bd9b4e019
	for range 2 {
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		z ^= z >> 31
	}
	return z
}

// Accounts come in pairs: 2m and 2m+1 have 15-character ids that differ only in
// the case of the last letter. Ids whose last character is a digit never exist.
func (s seeding) accountID(i int) string {
	return string(s.appendAccountID(make([]byte, 0, 18), i))
}

// appendAccountID is accountID for those who write millions of them.
func (s seeding) appendAccountID(b []byte, i int) []byte {
	pair := i / 2
	class, q := pair%instances, pair/instances
	digit := 10 + q%lettersPerBlock
	if i%2 == 1 {
		digit += 26
	}
	return s.appendID(b, class, uint64(q/lettersPerBlock)*62+uint64(digit))
}

func (s seeding) idFromNumber(class int, offset uint64) string {
	return string(s.appendID(make([]byte, 0, 18), class, offset))
}

func (s seeding) appendID(b []byte, class int, offset uint64) []byte {
	start := len(b)
	b = append(b, accountPrefix...)
	b = append(b, s.codes[class]...)
	b = appendBase62(b, s.bases[class]+offset, 9)
	return appendSuffix(b, b[start:])
}

// accountIndex is the inverse of accountID, without a look at whether so many
// accounts exist.
func (s seeding) accountIndex(id string) (int, bool) {
	id18, ok := to18(id)
	if !ok || id18[:3] != accountPrefix {
		return 0, false
	}
	class := slices.Index(s.codes[:], id18[3:6])
	n, ok := fromBase62(id18[6:15])
	if class < 0 || !ok || n < s.bases[class] {
		return 0, false
	}
	offset := n - s.bases[class]
	block, digit := offset/62, int(offset%62)
	if digit < 10 || block > 1<<40 {
		return 0, false
	}
	pair := (int(block)*lettersPerBlock+(digit-10)%26)*instances + class
	if digit >= 36 {
		return 2*pair + 1, true
	}
	return 2 * pair, true
}

// slots is the size of the id space that n accounts live in: walking slots
// upwards meets the ids in ascending order (of their bytes).
func slots(n int) int { return instances * blocksPerClass(n) * 62 }

func blocksPerClass(n int) int { return (n+1)/2/instances/lettersPerBlock + 1 }

// slotIndex is the account in a slot, or -1.
func slotIndex(slot, n int) int {
	perClass := blocksPerClass(n) * 62
	class, offset := slot/perClass, slot%perClass
	block, digit := offset/62, offset%62
	if digit < 10 {
		return -1
	}
	i := 2 * ((block*lettersPerBlock+(digit-10)%26)*instances + class)
	if digit >= 36 {
		i++
	}
	if i >= n {
		return -1
	}
	return i
}

// slotAt is the first slot whose id is not less than id, a 15- or 18-character
// one of any shape.
func (s seeding) slotAt(id string, n int) int {
	low, high := 0, slots(n)
	perClass := blocksPerClass(n) * 62
	for low < high {
		mid := int(uint(low+high) >> 1)
		if s.idFromNumber(mid/perClass, uint64(mid%perClass)) < id {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// accountTimes gives CreatedDate and SystemModstamp in seconds since 1970. Every
// second run of sharedStampRun accounts was loaded at once and shares one stamp,
// as after a data load.
func (s seeding) accountTimes(i int) (created, modified int64) {
	created = accountEpoch.Unix() + int64(i)*accountStep
	if run := i / sharedStampRun; run%2 == 1 {
		last := accountEpoch.Unix() + int64((run+1)*sharedStampRun)*accountStep
		return created, last + int64(s.hash(domainAccountTimes, -run)%86400)
	}
	return created, created + int64(s.hash(domainAccountTimes, i)%(90*86400))
}

func (s seeding) accountName(i int) string {
	h := s.hash(domainAccountTimes, i) >> 20
	return fmt.Sprintf("%s %s %07d", companyFirst[h%uint64(len(companyFirst))], companySecond[(h>>8)%uint64(len(companySecond))], i)
}

var (
	companyFirst  = []string{"Stolen", "Northern", "Copper", "Willow", "Harbour", "Granite", "Crimson", "Maple", "O'Neill", "Zürich", "Silver", "Prairie"}
	companySecond = []string{"Bikes", "Logistics", "Analytics", "Foods", "Telecom", "Robotics", "Media & Co", "Clinics", "Timber", "Energy"}
	firstNames    = []string{"Ada", "Grace", "Linus", "Margaret", "Ken", "Barbara", "Edsger", "Frances"}
	lastNames     = []string{"Moreau", "Okafor", "Lindqvist", "Tanaka", "Novak", "Silva", "Murphy", "Haddad"}
)

// customerTimes gives createdTimestamp and modifiedTimestamp. Both depend on the
// seed: two Stax Bill accounts number their customers alike, but have not made
// them at the same instants.
func (s seeding) customerTimes(i int) (created, modified time.Time) {
	h := s.hash(domainCustomer, i)
	const ticks = 10_000_000 // Stax Bill shows up to seven decimals
	created = customerEpoch.Add(time.Duration(i)*customerStep*time.Second + time.Duration(h%(customerStep*ticks))*100)
	modified = created.Add(time.Duration(h>>24%(200*86400*ticks)) * 100)
	return created, modified
}

// visible says whether account i stays in sight when percent are hidden.
func (s seeding) visible(i, percent int) bool {
	return percent == 0 || s.hash(domainVisibility, i)%100 >= uint64(percent)
}

func (s seeding) record(prefix string, which int) string {
	id15 := prefix + s.codes[which%instances] + base62(62*62*62+s.hash(domainOrg, which)%(60*62*62*62*62), 9)
	return id15 + suffixOf(id15)
}

func (s seeding) secret(which, length int) string {
	var b strings.Builder
	for i := 0; b.Len() < length; i++ {
		b.WriteString(base62(s.hash(domainSecret, which*1000+i)%(62*62*62*62*62*62*62*62), 8))
	}
	return b.String()[:length]
}

// apiKey looks as Stax Bill's own do: base64 of "0:" and a secret, hence "MDp…".
func (s seeding) apiKey() string {
	return base64.StdEncoding.EncodeToString([]byte("0:" + s.secret(9, 37)))
}
