#include "quoin/pool/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "quoin/base/log.h"

/* A full backlog is a 502 at once; the kernel cuts this to net.core.somaxconn. */
enum { BACKLOG = 4096 };

static int refuse(int fd, const char *what, const char *path)
{
	int failed = errno;

	qn_log(QN_ERROR, "cannot listen at %s: %s: %s", path, what, strerror(failed));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* The permissions are right before anybody can connect: until listen(2) everyone is refused. */
static int listen_at(const char *path, unsigned mode)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return refuse(fd, "socket", path);
	memcpy(at.sun_path, path, strlen(path) + 1);
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0)
		return refuse(fd, "bind", path);
	if (chmod(path, (mode_t)mode) != 0)
		return refuse(fd, "chmod", path);
	if (listen(fd, BACKLOG) != 0)
		return refuse(fd, "listen", path);
	return fd;
}

int pool_socket_bind(const char *path, unsigned mode)
{
	char temp[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int n = snprintf(temp, sizeof(temp), "%s.%ld", path, (long)getpid());

	if (n < 0 || (size_t)n >= sizeof(temp)) {
		qn_log(
		    QN_ERROR, "cannot listen at %s: the path is too long for a Unix socket", path);
		return -1;
	}
	unlink(temp); /* of a process that had this pid and was killed just here */
	int fd = listen_at(temp, mode);
	if (fd < 0) {
		unlink(temp);
		return -1;
	}
	if (rename(temp, path) == 0)
		return fd;
	refuse(fd, "rename", path);
	unlink(temp);
	return -1;
}

static int option(int fd, int name)
{
	int value = 0;
	socklen_t n = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &n) == 0 ? value : -1;
}

static const char *fault_of(int fd)
{
	struct stat st;
	int family;

	if (fstat(fd, &st) != 0)
		return "is closed";
	if (!S_ISSOCK(st.st_mode))
		return "is not a socket";
	if (option(fd, SO_TYPE) != SOCK_STREAM)
		return "is not a stream socket";
	if (option(fd, SO_ACCEPTCONN) != 1)
		return "is a socket, but not a listening one";
	family = option(fd, SO_DOMAIN);
	return family == AF_UNIX || family == AF_INET ? NULL
	                                              : "is neither a Unix nor an IPv4 socket";
}

int pool_socket_inherit(int fd)
{
	const char *fault = fault_of(fd);
	int flags;

	if (fault != NULL) {
		qn_log(QN_ERROR,
		    "descriptor %d %s: hand over a listening socket (StandardInput=socket) or name one "
		    "with --listen",
		    fd, fault);
		return -1;
	}
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
		qn_log(QN_ERROR, "descriptor %d: %s", fd, strerror(errno));
		return -1;
	}
	return fd;
}
