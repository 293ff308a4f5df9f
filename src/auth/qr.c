#include "quoin/auth/qr.h"

#include <qrencode.h>

#include "quoin/base/buf.h"
#include "quoin/base/rand.h"

enum { QUIET = 4, SVG_MOST = 256 * 1024 };

/* A run of dark modules is one rectangle. */
static void draw(struct qn_buf *b, const QRcode *code)
{
	for (int y = 0; y < code->width; y++) {
		const unsigned char *row = code->data + (size_t)y * (size_t)code->width;
		for (int x = 0, n; x < code->width; x += n) {
			bool dark = row[x] & 1;
			for (n = 1; x + n < code->width && (row[x + n] & 1) == dark;)
				n++;
			if (dark)
				qn_buf_printf(b, "M%d %dh%dv1h-%dz", x + QUIET, y + QUIET, n, n);
		}
	}
}

static const char *svg(struct qn_arena *a, const QRcode *code)
{
	int size = code->width + 2 * QUIET;
	const char *text = NULL;
	struct qn_buf b;

	qn_buf_init(&b, SVG_MOST);
	qn_buf_printf(&b,
	    "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" "
	    "shape-rendering=\"crispEdges\"><path fill=\"#fff\" d=\"M0 0h%dv%dH0z\"/><path d=\"",
	    size, size, size, size);
	draw(&b, code);
	qn_buf_str(&b, "\"/></svg>");
	if (!b.over)
		text = qn_strndup(a, b.p, b.n);
	qn_wipe(b.p, b.n);
	qn_buf_done(&b);
	return text;
}

const char *qn_qr_svg(struct qn_arena *a, const char *text)
{
	size_t n = strlen(text);
	QRcode *code = n > 0 && n <= QN_QR_MOST
	                   ? QRcode_encodeString(text, 0, QR_ECLEVEL_M, QR_MODE_8, 1)
	                   : NULL;

	if (code == NULL)
		return NULL;
	const char *drawn = svg(a, code);
	qn_wipe(code->data, (size_t)code->width * (size_t)code->width);
	QRcode_free(code);
	return drawn;
}
