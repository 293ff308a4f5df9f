/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * quoin-saml: answers Quoin's questions about SAML 2.0 on a Unix socket, one to a connection. It keeps
 * nothing, opens no connection and reads no file. Each question is answered by a child of its own: whatever
 * an answer of a stranger does to the XML libraries ends with it, and so does their memory.
 */
#include <errno.h>
#include <glib.h>
#include <lasso/lasso.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "frame.h"
#include "verbs.h"

enum { CHILDREN = 8, BACKLOG = 64, CHILD_MIB = 256 };

static int fail(const char *what)
{
	fprintf(stderr, "quoin-saml: %s: %s\n", what, strerror(errno));
	return -1;
}

/* Under another name until it may be written to, so that no stale socket and no wrong mode is ever there. */
static int listen_at(const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int n = snprintf(at.sun_path, sizeof(at.sun_path), "%s.%ld", path, (long)getpid());

	if (n < 0 || (size_t)n >= sizeof(at.sun_path)) {
		errno = ENAMETOOLONG;
		return fail(path);
	}
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unlink(at.sun_path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 ||
	    chmod(at.sun_path, 0660) != 0 || listen(fd, BACKLOG) != 0 ||
	    rename(at.sun_path, path) != 0) {
		fail(path);
		unlink(at.sun_path);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

/* systemd's, as standard input. */
static int inherited(void)
{
	int listens = 0;
	socklen_t n = sizeof(listens);

	if (getsockopt(0, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n) == 0 && listens == 1)
		return 0;
	fputs(
	    "quoin-saml: standard input is no listening socket: name one with --listen\n", stderr);
	return -1;
}

/* Libraries say what they were given; that may be a person's name and address. */
static void say_nothing(const gchar *domain, GLogLevelFlags level, const gchar *text, gpointer data)
{
	(void)domain, (void)level, (void)text, (void)data;
}

static int answer(int fd)
{
	struct rlimit memory = {(rlim_t)CHILD_MIB << 20, (rlim_t)CHILD_MIB << 20};
	size_t n = 0;

#ifndef __SANITIZE_ADDRESS__
	if (setrlimit(RLIMIT_AS, &memory) != 0)
		return 1;
#else
	(void)memory;
#endif
	signal(SIGALRM, SIG_DFL);
	alarm(SAML_DEADLINE_S);
	char *question = frame_read(fd, &n);
	if (question == NULL)
		return 0;
	char *text = verb_answer(question, n);
	int status = text != NULL && frame_write(fd, text, strlen(text)) ? 0 : 1;
	free(text);
	free(question);
	return status;
}

/* Those that are done; with `all` places taken, waits for one. */
static int reap(int running)
{
	int status;
	pid_t pid;

	while (
	    running > 0 && (pid = waitpid(-1, &status, running >= CHILDREN ? 0 : WNOHANG)) != 0) {
		if (pid < 0 && errno == EINTR)
			continue;
		if (pid < 0)
			return 0;
		running--;
		if (WIFSIGNALED(status))
			fprintf(
			    stderr, "quoin-saml: an answer ended by signal %d\n", WTERMSIG(status));
	}
	return running;
}

static int serve(int listener)
{
	int running = 0;

	for (;;) {
		running = reap(running);
		int fd = accept(listener, NULL, NULL);
		if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (fd < 0)
			return fail("accept");
		pid_t pid = fork();
		if (pid == 0) {
			if (listener != 0)
				close(listener);
			_exit(answer(fd));
		}
		if (pid < 0)
			fail("fork");
		else
			running++;
		close(fd);
	}
}

int main(int argc, char **argv)
{
	int listener;

	if (argc == 3 && strcmp(argv[1], "--listen") == 0) {
		listener = listen_at(argv[2]);
	} else if (argc == 1) {
		listener = inherited();
	} else {
		fputs("usage: quoin-saml [--listen PATH]\n", stderr);
		return 2;
	}
	if (listener < 0)
		return 1;
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_DUMPABLE, 0);
	g_log_set_default_handler(say_nothing, NULL);
	if (lasso_init() != 0) {
		fputs("quoin-saml: lasso does not start\n", stderr);
		return 1;
	}
	return serve(listener) == 0 ? 0 : 1;
}
