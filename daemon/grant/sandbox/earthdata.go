package sandbox

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// The paths of Earthdata Login's User Tokens API ([1]), and of an API that takes its tokens.
//
// [1]: https://urs.earthdata.nasa.gov/documentation/for_users/user_token
const (
	EarthdataFindPath   = "/api/users/find_or_create_token"
	EarthdataCreatePath = "/api/users/token"
	EarthdataListPath   = "/api/users/tokens"
	earthdataAPI        = "/search/" // CMR's
)

const (
	// EarthdataLifetime is how long a user token lives; EarthdataTokens is how many a person may have at a time.
	EarthdataLifetime = 60 * 24 * time.Hour
	EarthdataTokens   = 2
)

// userToken is one of a person's tokens.
type userToken struct {
	token string
	ends  time.Time
}

// earthdata answers Earthdata Login's paths.
func (s *Server) earthdata(r *request) (answer, bool) {
	switch {
	case r.path == EarthdataFindPath:
		return only(r, "POST", s.earthdataFind), true
	case r.path == EarthdataCreatePath:
		return only(r, "POST", s.earthdataCreate), true
	case r.path == EarthdataListPath:
		return only(r, "GET", s.earthdataList), true
	case strings.HasPrefix(r.path, earthdataAPI):
		j, why := s.believe(r)
		if why == "" && j.text("type") != "User" {
			why = "no user token"
		}
		if why != "" {
			return unauthorized(why), true
		}
		return jsonAnswer(http.StatusOK, map[string]any{"path": r.path, "uid": j.text("uid")}), true
	}
	return answer{}, false
}

// earthdataUser is the person of HTTP Basic (RFC 7617), or the refusal.
func (s *Server) earthdataUser(r *request) (*User, answer) {
	if name, password, err := basicCredentials(r.header); err == nil {
		if u := s.signIn(name, password); u != nil {
			return u, answer{}
		}
	}
	return nil, jsonAnswer(http.StatusUnauthorized, map[string]string{
		"error": "invalid_credentials", "error_description": "Invalid user credentials",
	})
}

// validTokens are a person's tokens that have not ended or been revoked, in the order in which they were made. The
// caller holds s.mu.
func (s *Server) validTokens(u *User, now time.Time) []userToken {
	all := slices.DeleteFunc(s.userTokens[u.Name], func(t userToken) bool {
		return !t.ends.After(now) || s.revoked[Digest(t.token)]
	})
	s.userTokens[u.Name] = all
	return slices.Clone(all)
}

// makeUserToken adds one that ends at a time. The caller holds s.mu.
func (s *Server) makeUserToken(u *User, now, ends time.Time) userToken {
	t := userToken{ends: ends, token: signRSA(s.key, map[string]string{"typ": "JWT", "alg": "RS256"}, map[string]any{
		"type": "User", "uid": u.Name, "iss": s.url, "iat": now.Unix(), "exp": ends.Unix(), "jti": newUUID(),
	})}
	s.userTokens[u.Name] = append(s.userTokens[u.Name], t)
	return t
}

// described is a token as the documentation's examples have it: the end is a day, the month first.
func (t userToken) described() map[string]string {
	return map[string]string{
		"access_token": t.token, "token_type": "Bearer", "expiration_date": t.ends.UTC().Format("01/02/2006"),
	}
}

func (s *Server) earthdataFind(r *request) answer {
	u, refusal := s.earthdataUser(r)
	if u == nil {
		return refusal
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if all := s.validTokens(u, r.now); len(all) > 0 {
		return jsonAnswer(http.StatusOK, all[0].described())
	}
	return jsonAnswer(http.StatusOK, s.makeUserToken(u, r.now, r.now.Add(EarthdataLifetime)).described())
}

func (s *Server) earthdataCreate(r *request) answer {
	u, refusal := s.earthdataUser(r)
	if u == nil {
		return refusal
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.validTokens(u, r.now)) >= EarthdataTokens {
		return jsonAnswer(http.StatusForbidden, map[string]string{
			"error": "max_token_limit", "error_description": "Max token limit for this user has been reached",
		})
	}
	return jsonAnswer(http.StatusOK, s.makeUserToken(u, r.now, r.now.Add(EarthdataLifetime)).described())
}

func (s *Server) earthdataList(r *request) answer {
	u, refusal := s.earthdataUser(r)
	if u == nil {
		return refusal
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []map[string]string{}
	for _, t := range s.validTokens(u, r.now) {
		list = append(list, t.described())
	}
	return jsonAnswer(http.StatusOK, list)
}

// AddUserToken gives a person one of Earthdata's tokens that ends after a time, as if it had been made on the page, and
// returns it.
func (s *Server) AddUserToken(name string, left time.Duration) string {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.makeUserToken(&User{Name: name}, now, now.Add(left)).token
}
