/* Echo answers each read from its one client with a line of as many bytes as it is told: what the kernel takes. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv) {
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	char request[4096], answer[65536];
	if (argc < 3 || strlen(argv[1]) >= sizeof at.sun_path)
		return 1;
	strcpy(at.sun_path, argv[1]);
	size_t length = strtoul(argv[2], NULL, 10);
	if (length == 0 || length > sizeof answer)
		return 1;
	memset(answer, 'x', length - 1);
	answer[length - 1] = '\n';
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof at) < 0 || listen(listener, 1) < 0)
		return 1;
	if (write(1, "\n", 1) != 1) /* it can be connected to */
		return 1;
	int fd = accept(listener, NULL, NULL);
	while (fd >= 0 && read(fd, request, sizeof request) > 0)
		if (write(fd, answer, length) != (ssize_t)length)
			return 1;
	return fd < 0;
}
