#include "daemon.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LINE = 3, MESSAGE = 8192, PATIENCE_MS = 15000 };

/*
 * What the keeper is asked: 'r'un, 'd'o, 'w'ait, 'q'uit; then the arguments, each ended by a NUL. It
 * quits as well when nobody has the other end of its line any more.
 */
struct keeper {
	const char *dir;
	int stop;
	pid_t pid;
};

/* Whose program it is: the invoker's, or that of somebody without rights. */
static const struct passwd *nobody_of_root(void)
{
	if (getuid() != 0)
		return NULL;
	const struct passwd *p = getpwnam("postgres");
	return p != NULL ? p : getpwnam("nobody");
}

static void become(const char *dir)
{
	const struct passwd *p = nobody_of_root();

	if (p != NULL &&
	    (setgroups(0, NULL) != 0 || setgid(p->pw_gid) != 0 || setuid(p->pw_uid) != 0))
		_exit(126);
	if (chdir(dir) != 0)
		_exit(126);
	clearenv();
	setenv("PATH", "/usr/local/bin:/usr/bin:/bin", 1);
	setenv("HOME", dir, 1);
	setenv("LC_ALL", "C.UTF-8", 1);
	setenv("TZ", "UTC", 1);
}

static pid_t spawn(const struct keeper *k, char **argv)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	become(k->dir);
	int log = open("log", O_WRONLY | O_CREAT | O_APPEND, 0600),
	    null = open("/dev/null", O_RDONLY);
	if (log < 0 || null < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
		_exit(126);
	execvp(argv[0], argv);
	_exit(127);
}

static int await(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

static int answer(struct keeper *k, char *message, size_t n)
{
	char *argv[64];
	size_t args = 0;

	for (size_t i = 1; i < n && args < 63; i += strlen(message + i) + 1)
		argv[args++] = message + i;
	argv[args] = NULL;
	if (message[0] == 'd')
		return await(spawn(k, argv));
	if (message[0] == 'r')
		return k->pid = spawn(k, argv);
	pid_t pid = k->pid;
	k->pid = 0;
	return await(pid);
}

static bool over(pid_t pid)
{
	for (int i = 0; i < PATIENCE_MS / 5; i++) {
		if (waitpid(pid, NULL, WNOHANG) != 0)
			return true;
		poll(NULL, 0, 5);
	}
	return false;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
	(void)st;
	(void)flag;
	(void)at;
	return remove(path);
}

static void keep(struct keeper *k)
{
	char message[MESSAGE];
	ssize_t n;

	setsid();
	while ((n = read(LINE, message, sizeof(message) - 1)) > 0 && message[0] != 'q') {
		message[n] = '\0';
		int result = answer(k, message, (size_t)n);
		if (write(LINE, &result, sizeof(result)) != sizeof(result))
			break;
	}
	if (k->pid > 0) {
		kill(k->pid, k->stop);
		kill(k->pid, SIGCONT);
		if (!over(k->pid)) {
			kill(k->pid, SIGKILL);
			await(k->pid);
		}
	}
	nftw(k->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	_exit(0);
}

void daemon_new(struct daemon *d, int stop)
{
	struct keeper k = {.dir = d->dir, .stop = stop};
	const struct passwd *p = nobody_of_root();
	int line[2];

	*d = (struct daemon){.dir = "/tmp/quoin-test-XXXXXX"};
	assert_non_null(mkdtemp(d->dir));
	if (p != NULL)
		assert_return_code(chown(d->dir, p->pw_uid, p->pw_gid), errno);
	assert_return_code(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, line), errno);
	fflush(NULL);
	d->keeper = fork();
	assert_return_code(d->keeper, errno);
	if (d->keeper == 0) {
		/* dup2 of a descriptor to itself would leave it to close on exec, which is as well.
		 */
		if (line[1] != LINE && dup3(line[1], LINE, O_CLOEXEC) < 0)
			_exit(1);
		close_range(LINE + 1, ~0U, 0);
		keep(&k);
	}
	close(line[1]);
	d->line = line[0];
}

void daemon_free(struct daemon *d)
{
	if (d->keeper == 0)
		return;
	/* Told, as a child of the test's may still have the line. */
	if (send(d->line, "q", 1, MSG_NOSIGNAL) != 1)
		perror("the keeper is gone");
	close(d->line);
	await(d->keeper);
	*d = (struct daemon){.pid = 0};
}

static int ask(const struct daemon *d, char what, const char *const *argv)
{
	char message[MESSAGE];
	size_t n = 1;
	int result = -1;

	message[0] = what;
	for (; argv != NULL && *argv != NULL; argv++) {
		size_t len = strlen(*argv) + 1;
		assert_true(n + len < sizeof(message));
		memcpy(message + n, *argv, len);
		n += len;
	}
	assert_int_equal(write(d->line, message, n), n);
	assert_int_equal(read(d->line, &result, sizeof(result)), sizeof(result));
	return result;
}

void daemon_run(struct daemon *d, const char *const *argv)
{
	assert_int_equal(d->pid, 0);
	d->pid = ask(d, 'r', argv);
	assert_true(d->pid > 0);
}

int daemon_do(struct daemon *d, const char *const *argv)
{
	return ask(d, 'd', argv);
}

void daemon_kill(struct daemon *d, int sig)
{
	assert_true(d->pid > 0); /* 0 is everybody of our group */
	assert_return_code(kill(d->pid, sig), errno);
	kill(d->pid, SIGCONT);
	ask(d, 'w', NULL);
	d->pid = 0;
}

static bool stopped(const char *stat_file)
{
	char text[512] = "";
	FILE *f = fopen(stat_file, "re");

	if (f == NULL)
		return true; /* that thread is gone */
	size_t n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	const char *state = strrchr(text, ')'); /* "PID (name) S ..." */
	return state != NULL && state[1] == ' ' && state[2] == 'T';
}

void process_freeze(pid_t pid)
{
	char pattern[64];
	bool all = false;

	assert_true(pid > 0);
	assert_return_code(kill(pid, SIGSTOP), errno);
	snprintf(pattern, sizeof(pattern), "/proc/%d/task/*/stat", (int)pid);
	for (int i = 0; !all; i++) {
		glob_t threads;
		assert_in_range(i, 0, PATIENCE_MS);
		assert_int_equal(glob(pattern, 0, NULL, &threads), 0);
		all = true;
		for (size_t t = 0; t < threads.gl_pathc; t++)
			all = stopped(threads.gl_pathv[t]) && all;
		globfree(&threads);
		if (!all)
			poll(NULL, 0, 1);
	}
}

void process_thaw(pid_t pid)
{
	kill(pid, SIGCONT);
}

void daemon_show_log(const struct daemon *d)
{
	char path[64], text[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/log", d->dir);
	f = fopen(path, "re");
	if (f == NULL)
		return;
	if (fseek(f, -(long)sizeof(text), SEEK_END) != 0)
		rewind(f);
	size_t n = fread(text, 1, sizeof(text), f);
	fwrite(text, 1, n, stderr);
	fclose(f);
}
