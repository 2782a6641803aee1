package protocol

import (
	"net"

	"golang.org/x/sys/unix"
)

// serverUID returns the user that called listen(2) on the other end.
func serverUID(conn *net.UnixConn) (int, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return -1, err
	}
	var cred *unix.Xucred
	var sockErr error
	err = raw.Control(func(fd uintptr) {
		cred, sockErr = unix.GetsockoptXucred(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	})
	if err == nil {
		err = sockErr
	}
	if err != nil {
		return -1, err
	}
	return int(cred.Uid), nil
}
