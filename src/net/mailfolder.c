/* Mail as files, ID.eml: whole or not there, and there for good once it counts as sent. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mail.h"

enum { DIR_MODE = 0700, FILE_MODE = 0600 }; /* tokens are in them */

static int open_folder(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0 || errno != ENOENT || mkdir(dir, DIR_MODE) != 0)
		return fd;
	return open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static bool write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, p, n);
		if (done < 0 && errno != EINTR)
			return false;
		if (done > 0) {
			p += done;
			n -= (size_t)done;
		}
	}
	return true;
}

static bool store(int folder, const char *id, const struct qn_buf *b)
{
	char part[64], name[64];

	snprintf(part, sizeof(part), ".%s.part", id);
	snprintf(name, sizeof(name), "%s.eml", id);
	int fd =
	    openat(folder, part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
	if (fd < 0)
		return false;
	int err = write_all(fd, b->p, b->n) && fsync(fd) == 0 ? 0 : errno;
	if (close(fd) != 0 && err == 0)
		err = errno;
	if (err == 0 && (renameat(folder, part, folder, name) != 0 || fsync(folder) != 0))
		err = errno;
	if (err != 0)
		unlinkat(folder, part, 0);
	errno = err;
	return err == 0;
}

void send_to_folder(struct sending *s, const char *dir)
{
	int folder = open_folder(dir);
	struct qn_buf b;

	qn_buf_init(&b, QN_MESSAGE_MAX);
	if (!qn_message_compose(s->arena, s->message, &b))
		sending_ends(s, QN_MAIL_FAILED, "the mail is too large");
	else if (folder < 0 || !store(folder, s->message->id, &b))
		sending_ends(
		    s, QN_MAIL_LATER, qn_printf(s->arena, "QUOIN_MAIL_DIR: %s", strerror(errno)));
	if (b.p != NULL)
		explicit_bzero(b.p, b.n);
	qn_buf_done(&b);
	if (folder >= 0)
		close(folder);
}
