package main

import (
	"testing"

	"github.com/groat-dev/groat/packaging/testing/tier"
)

// What a cold request and a token at hand cost does not grow without someone noticing.
func TestItStaysSo(t *testing.T) {
	tier.Needs(t, "valgrind", "strace")
	const root = "../../.."
	bounds, err := readBounds(root)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSubject(root)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	now, err := s.measure()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range now {
		t.Logf("%s: %s", f.name, f.value)
		if err := f.exceeds(bounds.value(f.name)); err != nil {
			t.Errorf("%v\nIf that is worth it: make bounds, which also shows where it goes\n%s", err, f.where)
		}
	}
	if len(now) != len(bounds) {
		t.Errorf("%d figures are measured, and %d have bounds", len(now), len(bounds))
	}
}

func TestExceeds(t *testing.T) {
	for _, tt := range []struct {
		is, bound string
		within    bool
	}{
		{"100", "100", true}, {"102", "100", true}, {"103", "100", false}, {"1", "100", true}, {"100", "", false},
		{"read 1", "read 1", true}, {"read 2", "read 1", false}, {"go1.2 linux/amd64", "go1.1 linux/amd64", false},
	} {
		if err := (figure{name: "x", value: tt.is}).exceeds(tt.bound); (err == nil) != tt.within {
			t.Errorf("%s beside %s: %v", tt.is, tt.bound, err)
		}
	}
}

func TestCount(t *testing.T) {
	const trace = `execve("/bin/groat", ["groat"], 0x7) = 0
openat(AT_FDCWD, "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", O_RDONLY) = 3
read(3, "2097152\n", 20)                = 8
[pid 12] newfstatat(AT_FDCWD, "/run", {st_mode=S_IFDIR|0755, ...}, AT_SYMLINK_NOFOLLOW) = 0
[pid 12] newfstatat(AT_FDCWD, "/run/user", {st_mode=S_IFDIR|0755, ...}, AT_SYMLINK_NOFOLLOW) = 0
[pid 12] socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0) = 5
[pid 12] connect(5, {sa_family=AF_UNIX, sun_path="/run/s"}, 49) = 0
[pid 12] write(5, "{}"..., 2) = 2
[pid 12] read(5,  <unfinished ...>
[pid 12] <... read resumed>"{}", 4096) = 2
abc.def
`
	if got := count(trace); got != "connect 1, newfstatat 2, read 1, socket 1, write 1" {
		t.Error(got)
	}
}

func TestAgreed(t *testing.T) {
	for _, tt := range []struct {
		counts []int64
		want   int64 // 0: they do not agree
	}{
		{[]int64{1000, 1001, 1002, 1003, 1004, 1000, 1000, 1000}, 0}, // not enough
		{[]int64{1009, 1001, 1002, 1003, 1004, 1100, 1200, 1300, 1400}, 1001},
		{[]int64{1004, 20, 1000, 1003, 400, 1001, 1002, 1050, 1060}, 1000},
		{[]int64{1, 2, 3, 4, 5, 6, 7, 8, 9}, 0},
	} {
		if got, ok := agreed(tt.counts); got != tt.want || ok != (tt.want != 0) {
			t.Errorf("%d: %d, %v", tt.counts, got, ok)
		}
	}
}

func TestOrMore(t *testing.T) {
	one := figures{{name: "a", value: "1"}, {name: "b", value: "9"}, {name: "c", value: "read 1"}}
	two := figures{{name: "a", value: "2"}, {name: "b", value: "8"}, {name: "c", value: "read 2"}}
	if got := one.orMore(two); got.value("a") != "2" || got.value("b") != "9" || got.value("c") != "read 2" ||
		len(figures(nil).orMore(one)) != 3 {
		t.Errorf("%+v", got)
	}
}
