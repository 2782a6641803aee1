package member

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/groat-dev/groat/keystore"
)

func testCode(endpoints ...string) Code {
	return Code{
		Endpoints: endpoints, CA: CAHash([]byte("a certificate")), Fleet: strings.Repeat("ab", fleetSize),
		Secret: newSecret(),
	}
}

func typed(t *testing.T, c Code) string {
	t.Helper()
	text, err := c.Text()
	if err != nil {
		t.Fatal(err)
	}
	return text.Reveal()
}

func TestACodeIsReadBack(t *testing.T) {
	for _, endpoints := range [][]string{
		{"https://etcd.example.org:2379"}, {"https://etcd1.example.org:2379", "https://etcd2.example.org:12379"},
		{"http://127.0.0.1:2379"}, {"https://[::1]:2379"},
	} {
		for _, ca := range [][]byte{nil, CAHash([]byte("x"))} {
			c := testCode(endpoints...)
			c.CA = ca
			text := typed(t, c)
			spellings := []string{
				text, strings.ToLower(text), strings.ReplaceAll(text, "-", " "), strings.ReplaceAll(text, "-", ""),
				strings.NewReplacer("1", "l", "0", "o").Replace(text) + "\n",
			}
			for _, s := range spellings {
				got, err := ParseCode(keystore.SecretString(s))
				if err != nil {
					t.Fatalf("%q: %v", s, err)
				}
				if !slices.Equal(got.Endpoints, c.Endpoints) || got.Fleet != c.Fleet || !got.Secret.Equal(c.Secret) ||
					!slices.Equal(got.CA, c.CA) || got.id() != c.id() {
					t.Errorf("%q was read as %+v, want %+v", s, got, c)
				}
			}
		}
	}
}

// Every wrong character, and two neighbours that change places, are noticed and the group is named.
func TestATypoIsNamed(t *testing.T) {
	text := typed(t, testCode("https://etcd.example.org:2379"))
	groups := strings.Split(text, "-")
	for g, group := range groups {
		wrong := func(changed string) {
			t.Helper()
			all := slices.Clone(groups)
			all[g] = changed
			_, err := ParseCode(keystore.SecretString(strings.Join(all, "-")))
			typo, ok := errors.AsType[*TypoError](err)
			if !ok || typo.Group != g+1 {
				t.Errorf("group %d typed as %s for %s: %v", g+1, changed, group, err)
			}
			if ok && strings.Contains(typo.Error(), changed) {
				t.Errorf("the error quotes what was typed: %v", typo)
			}
		}
		for i := range group {
			for _, c := range alphabet {
				if byte(c) != group[i] {
					wrong(group[:i] + string(c) + group[i+1:])
				}
			}
			if i+1 < len(group)-1 && group[i] != group[i+1] {
				wrong(group[:i] + string(group[i+1]) + string(group[i]) + group[i+2:])
			}
		}
		wrong(group[:len(group)-1] + "U")
	}
}

func TestACodeThatIsNotWhole(t *testing.T) {
	text := typed(t, testCode("https://etcd.example.org:2379"))
	groups := strings.Split(text, "-")
	swapped := slices.Clone(groups)
	swapped[1], swapped[2] = swapped[2], swapped[1]
	for _, bad := range []string{
		"", " - ", groups[0], text[:len(text)-1], strings.Join(groups[1:], "-"), strings.Join(groups[:len(groups)-1], "-"),
		strings.Join(swapped, "-"), text + "-" + groups[0], strings.Repeat("0", 2*maxCode),
	} {
		if _, err := ParseCode(keystore.SecretString(bad)); err == nil {
			t.Errorf("%.40q was read", bad)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		b := []byte(text)
		for range 1 + r.IntN(6) {
			b[r.IntN(len(b))] = alphabet[r.IntN(len(alphabet))]
		}
		if _, err := ParseCode(keystore.NewSecret(b)); err == nil && string(b) != text {
			t.Errorf("a code with random errors was read: %s", b)
		}
	}
}
