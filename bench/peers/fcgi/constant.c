/* A constant FastCGI reply by libfcgi and nothing else: constant SOCKET WORKERS. */
#include <fcgiapp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static int serve(int sock)
{
	FCGX_Request r;
	if (FCGX_Init() != 0 || FCGX_InitRequest(&r, sock, 0) != 0)
		return 1;
	while (FCGX_Accept_r(&r) == 0) {
		FCGX_PutS("Content-Type: application/json\r\n\r\n{\"status\":\"alive\"}", r.out);
		FCGX_Finish_r(&r);
	}
	return 1;
}

int main(int argc, char **argv)
{
	int sock = argc == 3 ? FCGX_OpenSocket(argv[1], 4096) : -1;
	if (sock < 0) {
		fprintf(stderr, "usage: constant SOCKET WORKERS\n");
		return 2;
	}
	for (int i = atoi(argv[2]); i > 0; i--)
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			_exit(serve(sock));
		}
	wait(NULL); /* no worker leaves unless something is wrong */
	return 1;
}
