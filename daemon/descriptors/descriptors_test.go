package descriptors

import (
	"fmt"
	"testing"
)

func TestA28DescriptorsForConnections(t *testing.T) {
	for _, c := range []struct {
		limit uint64
		want  int
	}{
		{1, 1}, {16, 8}, {64, 32}, {100, 50}, {128, 64}, {256, 192}, {1024, 896}, {4096, 3584}, {20000, 18976},
		{524288, 523264}, {1 << 63, 1<<20 - 1024},
	} {
		t.Run(fmt.Sprint(c.limit), func(t *testing.T) {
			if got := ofLimit(c.limit); got != c.want {
				t.Errorf("connections may take %d of %d descriptors, want %d", got, c.limit, c.want)
			}
		})
	}
	if got := Limit(); got < 1 {
		t.Errorf("this process has %d for connections", got)
	}
}
