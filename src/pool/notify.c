#include "quoin/pool/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A path, or a name in the abstract namespace, which systemd writes with a leading @. */
static socklen_t address_of(const char *name, struct sockaddr_un *ret)
{
	size_t n = strlen(name);

	memset(ret, 0, sizeof(*ret));
	ret->sun_family = AF_UNIX;
	if ((name[0] != '/' && name[0] != '@') || n < 2 || n >= sizeof(ret->sun_path))
		return 0;
	memcpy(ret->sun_path, name, n);
	if (name[0] == '@')
		ret->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
}

int qn_notify(const char *state)
{
	const char *name = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to;

	if (name == NULL || *name == '\0')
		return 0;
	socklen_t n = address_of(name, &to);
	if (n == 0) {
		errno = EINVAL;
		return -1;
	}
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	/* Never wait for systemd: the master has workers to look after. */
	ssize_t sent = sendto(
	    fd, state, strlen(state), MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&to, n);
	int failed = errno;
	close(fd);
	errno = failed;
	return sent < 0 ? -1 : 0;
}

static int64_t number(const char *s)
{
	char *end;
	long long n;

	if (s == NULL || *s == '\0')
		return 0;
	errno = 0;
	n = strtoll(s, &end, 10);
	return *end != '\0' || errno != 0 || n < 0 ? 0 : n;
}

int64_t qn_notify_interval_us(void)
{
	const char *pid = getenv("WATCHDOG_PID");

	if (pid != NULL && number(pid) != getpid())
		return 0;
	return number(getenv("WATCHDOG_USEC")) / 2;
}
