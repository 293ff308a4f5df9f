/* What people make passwords of, and the walks over a keyboard. */
#ifndef QUOIN_AUTH_COMMONWORDS_H
#define QUOIN_AUTH_COMMONWORDS_H

/* Lower-case letters; both lists end with NULL. */
extern const char *const common_words[];
/* Runs of neighbouring keys (unshifted, US layout) and the alphabet. */
extern const char *const common_walks[];

#endif
