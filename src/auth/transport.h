/* Names of enum qn_transport, as in WebAuthn's JSON. */
#ifndef QUOIN_AUTH_TRANSPORT_H
#define QUOIN_AUTH_TRANSPORT_H

#include "quoin/auth/webauthn.h"

extern const char *const qn_transport_names[QN_TRANSPORT__MAX];

#endif
