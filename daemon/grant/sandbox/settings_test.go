package sandbox

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Every setting by its name and with a value that it cannot have.
func TestSettings(t *testing.T) {
	s := newPersonServer(t, Options{})
	for name, v := range map[string]string{
		"lifetime": "10s", "latency": "0s", "skew": "1h", "consent": "deny", "granted": "read", "require_par": "true",
		"refresh_always": "true", "rotate": "true", "until_used": "true", "keep_family": "true",
		"end_access": "true", "narrow": "true", "overlap": "3s",
		"idle": "4s", "absolute": "5s",
		"device_lifetime": "6s", "device_interval": "7s", "omit_interval": "true", "omit_complete": "true",
		"id_at_refresh": "false", "id_lifetime": "8s", "id_flaw": "aud", "roll_key": "keep",
	} {
		if err := s.Set(name, v); err != nil {
			t.Error(err)
		}
		if name == "granted" {
			continue // any text can be a scope
		}
		if err := s.Set(name, "x x"); err == nil {
			t.Errorf("%s takes anything", name)
		}
	}
	if len(s.settings()) != 23 {
		t.Errorf("%d settings, not all of them here", len(s.settings()))
	}
	if err := s.Set("nothing", "1s"); err == nil {
		t.Error("an unknown setting")
	}
	s.sess.mu.Lock()
	defer s.sess.mu.Unlock()
	wantMode := Refresh{
		Always: true, Rotate: true, UntilUsed: true, KeepFamily: true, EndAccess: true, Narrow: true,
		Overlap: 3 * time.Second, Idle: 4 * time.Second, Absolute: 5 * time.Second,
	}
	wantDevice := Device{Lifetime: 6 * time.Second, Interval: 7 * time.Second, OmitInterval: true, OmitComplete: true}
	if want := (idMode{omit: true, life: 8 * time.Second, flaw: IDAudience}); s.sess.id != want || s.rolled != 1 {
		t.Errorf("%+v, %d new keys", s.sess.id, s.rolled)
	}
	if s.sess.mode != wantMode || s.sess.device != wantDevice || s.sess.consent != ConsentDeny ||
		s.sess.granted != "read" || !s.sess.par {
		t.Errorf("%+v %+v", s.sess.mode, s.sess.device)
	}
}

// The control paths for persons.
func TestControlOfPersons(t *testing.T) {
	s := newPersonServer(t, Options{Control: true})
	control := func(path string, form url.Values, status int) {
		t.Helper()
		if r := postForm(t, s.URL()+"/sandbox/"+path, form); r.StatusCode != status {
			t.Errorf("%s %v: %s %s", path, form, r.Status, r.body)
		}
	}
	control("set", url.Values{"consent": {"form"}, "device_interval": {"1ms"}, "refresh_always": {"true"}}, 204)
	control("device", nil, 400) // none waits
	for allow, status := range map[string]int{"true": 200, "false": 400} {
		device := startDevice(t, s, nil)
		if r := send(t, "GET", s.URL()+"/sandbox/devices", ""); r.body != `["`+device.text(t, "user_code")+`"]`+"\n" {
			t.Errorf("devices: %s", r.body)
		}
		control("device", url.Values{"allow": {allow}}, 204)
		r := postForm(t, s.URL()+"/token", pollForm(device, t))
		if r.StatusCode != status {
			t.Errorf("%s: %s %s", allow, r.Status, r.body)
		}
		if status != 200 {
			continue
		}
		rt := r.text(t, "refresh_token")
		refresh(t, s, rt, nil)
		var uses map[string]int
		json.Unmarshal([]byte(send(t, "GET", s.URL()+"/sandbox/refresh", "").body), &uses)
		if uses[Digest(rt)] != 1 {
			t.Errorf("uses: %v", uses)
		}
		control("user", url.Values{"name": {alice}, "signed_out": {"true"}}, 204)
		refresh(t, s, rt, nil).refused(t, "signed out", 400, "invalid_grant")
	}
	key := s.APIKey(alice)
	control("key", url.Values{"value": {key}}, 204)
	if r := send(t, "GET", s.URL()+"/data/v1/x", "", "Authorization", "api-key "+key); r.StatusCode != 401 {
		t.Errorf("key: %s", r.Status)
	}
	if r := send(t, "GET", s.URL()+"/sandbox/devices", "", "Origin", "https://page.example"); r.StatusCode != 403 {
		t.Errorf("a web page: %s", r.Status)
	}
	if r := send(t, "GET", s.URL()+"/sandbox/nothing", ""); r.StatusCode != 404 {
		t.Errorf("unknown: %s", r.Status)
	}
}

// The process over https: curl knows the authority by the file, a client by its certificate, another by its key.
func TestProcessTLS(t *testing.T) {
	curl := tool(t, "curl")
	dir := t.TempDir()
	ca, machine, public := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "machine.pem"), filepath.Join(dir,
		"public.pem")
	k := newTestKeys(t)
	der, err := x509.MarshalPKIXPublicKey(&k.ec.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	base, end := startProcess(t, "-tls", "-ca-file", ca, "-tls-client", "machine="+machine, "-key-client",
		"signer="+public,
		"-web", "web:"+secret+"="+webCallback, "-static-key", "X-Key::dummy", "-password-grant", "-audience",
		"https://a.example",
		"-api-key", "dummy-key", "-assertion-audience", "issuer", "-set", "skew=0s")
	ask := func(args ...string) string {
		t.Helper()
		return command(t, "", curl, append([]string{"-sS", "--max-time", "30", "--cacert", ca}, args...)...)
	}
	form := "grant_type=client_credentials&client_id=machine"
	if out := ask("--cert", machine, "-d", form, base+"/token"); !strings.HasPrefix(base, "https://") ||
		!strings.Contains(out, "access_token") {
		t.Errorf("certificate: %s", out)
	}
	if out := ask("-d", form, base+"/token"); !strings.Contains(out, "invalid_client") {
		t.Errorf("no certificate: %s", out)
	}
	claims := assertionClaims("signer", base)
	claims["iat"], claims["exp"] = time.Now().Unix(), time.Now().Unix()+300
	signed := assertionForm(signWith(t, k.ec, "ES256", "ES256", map[string]any{}, claims)).Encode()
	if out := ask("-d", signed, base+"/token"); !strings.Contains(out, "access_token") {
		t.Errorf("key: %s", out)
	}
	person := url.Values{"grant_type": {"password"}, "client_id": {"web"}, "client_secret": {secret},
		"username": {alice}, "password": {alicePass}}
	if out := ask("-d", person.Encode(), base+"/token"); !strings.Contains(out, "access_token") {
		t.Errorf("password: %s", out)
	}
	if out := ask("-H", "X-Key: dummy", base+"/api/x"); !strings.Contains(out, `"api_key":true`) {
		t.Errorf("static key: %s", out)
	}
	if out := ask("-H", "Authorization: api-key dummy-key", base+"/data/x"); !strings.Contains(out, `"api_key":true`) {
		t.Errorf("API key: %s", out)
	}
	if out := ask(base + "/sandbox/ca"); out != string(must(os.ReadFile(ca))) {
		t.Errorf("ca: %s", out)
	}
	if err := end(); err != nil {
		t.Errorf("end: %v", err)
	}
}

func must[V any](v V, err error) V {
	if err != nil {
		panic(err)
	}
	return v
}
