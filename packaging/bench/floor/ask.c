/* Ask is floor/net in C: what the request itself costs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv) {
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	const char *path = getenv("GROAT_SOCKET");
	char request[256], answer[4096];
	if (argc < 3 || path == NULL || strlen(path) >= sizeof to.sun_path)
		return 1;
	strcpy(to.sun_path, path);
	int n = snprintf(request, sizeof request,
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"token\",\"params\":{\"profile\":\"%s\"}}\n", argv[2]);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0 || write(fd, request, n) != n)
		return 1;
	ssize_t got = read(fd, answer, sizeof answer);
	return got > 0 && write(1, answer, got) == got ? 0 : 1;
}
