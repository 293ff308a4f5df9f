/* QR codes as SVG, drawn here, so that a secret in one never goes to somebody's script or picture. */
#ifndef QUOIN_AUTH_QR_H
#define QUOIN_AUTH_QR_H

#include "quoin/base/arena.h"

#define QN_QR_MOST 1000 /* bytes of text */

/*
 * An SVG document in the arena: black on white with the quiet zone of four modules, one unit a module.
 * NULL when the text is empty or longer than QN_QR_MOST, or there is no memory.
 */
const char *qn_qr_svg(struct qn_arena *a, const char *text);

#endif
