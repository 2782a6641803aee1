package sandbox

import (
	"net/http"
	"strings"
)

// The paths of a person's profile at EarthScope, and of the rest of its API.
const (
	EarthscopeProfilePath    = "/beta/user/profile"      // SDK 1.x
	EarthscopeOldProfilePath = "/user/profile/api/user/" // SDK 0.2
	earthscopeAPI            = "/beta/"
)

// earthscope answers the paths of EarthScope's API.
func (s *Server) earthscope(r *request) (answer, bool) {
	switch {
	case r.path == EarthscopeProfilePath, r.path == EarthscopeOldProfilePath:
		return only(r, "GET", s.earthscopeProfile), true
	case strings.HasPrefix(r.path, earthscopeAPI):
		return s.api(r), true
	}
	return answer{}, false
}

func (s *Server) earthscopeProfile(r *request) answer {
	j, why := s.bearer(r)
	if why != "" {
		return unauthorized(why)
	}
	u := s.userByID(personIn(j))
	if u == nil {
		return unauthorized("no such user")
	}
	name, _, _ := strings.Cut(u.Name, "@")
	return jsonAnswer(http.StatusOK, map[string]any{
		"first_name": name, "last_name": "Example", "country_code": "US", "region_code": "US-OR",
		"institution": "Example University", "work_sector": "Academia", "user_id": u.ID, "primary_email": u.Name,
		"created_at": "2023-11-14T22:13:20Z", "updated_at": "2023-11-14T22:13:20Z",
	})
}
