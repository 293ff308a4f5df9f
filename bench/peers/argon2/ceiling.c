/* How many passwords the machine can verify a second, and nothing else: ceiling SECONDS PROCESSES KIB PASSES. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static const char password[] = "Correct-horse-7-battery";

static int verify(const char *hash, double seconds, double *ret_rate)
{
	double began = now(), took;
	int n = 0;
	do {
		if (crypto_pwhash_argon2id_str_verify(hash, password, strlen(password)) != 0)
			return 1;
		n++;
		took = now() - began;
	} while (took < seconds);
	*ret_rate = n / took;
	return 0;
}

int main(int argc, char **argv)
{
	char hash[crypto_pwhash_argon2id_STRBYTES];
	double sum = 0;
	if (argc != 5 || sodium_init() < 0) {
		fprintf(stderr, "usage: ceiling SECONDS PROCESSES KIB PASSES\n");
		return 2;
	}
	long n = strtol(argv[2], NULL, 10);
	int failed = 0, status;
	double *rate = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (rate == MAP_FAILED || n < 1 || n > 256 ||
	    crypto_pwhash_argon2id_str(hash, password, strlen(password), strtoull(argv[4], NULL, 10),
		(size_t)strtoull(argv[3], NULL, 10) * 1024) != 0)
		return 1;
	for (long i = 0; i < n; i++)
		if (fork() == 0)
			_exit(verify(hash, atof(argv[1]), &rate[i]));
	for (long i = 0; i < n; i++) {
		if (wait(&status) < 0 || status != 0)
			failed = 1;
		sum += rate[i];
	}
	printf("%.2f\n", sum);
	return failed;
}
