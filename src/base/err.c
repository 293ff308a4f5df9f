#include "quoin/base/err.h"

static const struct {
	int status;
	const char *code, *text;
} errors[QN_ERR__MAX] = {
#define X(name_, status_, code_, text_) [QN_##name_] = {status_, code_, text_},
    QN_ERRORS(X)
#undef X
};

static enum qn_err known(enum qn_err e)
{
	return (unsigned)e < QN_ERR__MAX ? e : QN_INTERNAL;
}

int qn_err_status(enum qn_err e)
{
	return errors[known(e)].status;
}

const char *qn_err_code(enum qn_err e)
{
	return errors[known(e)].code;
}

const char *qn_err_text(enum qn_err e)
{
	return errors[known(e)].text;
}
