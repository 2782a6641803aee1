package peer

// eachTCP finds nothing: this system shows other users' sockets to root only.
func eachTCP(func(socket) bool) {}

func single(asked []*question) (left []*question) { return asked }
