/* What the files of billing share. */
#ifndef QUOIN_SRC_BILLING_H
#define QUOIN_SRC_BILLING_H

#include "quoin/billing/billing.h"

/* A key of our own making: the same for the same parts, NULL at the end. In the arena. */
const char *billing_key(struct qn_billing *b, const char *what, ...) __attribute__((sentinel));

/* POST of a form, which is freed. */
enum qn_err billing_post(struct qn_billing *b, const char *path, struct qn_buf *form,
    const char *key, struct qn_json_object *ret) QN_MUST_CHECK;
enum qn_err billing_get(
    struct qn_billing *b, const char *path, struct qn_json_object *ret) QN_MUST_CHECK;

/* Adds name=number. */
void billing_form_i64(struct qn_buf *form, const char *name, int64_t value);

/*
 * How many of the price itself, and how many further seats beside it, `seats` in all are. QN_INVALID: fewer than one,
 * or more than are included where none are sold.
 */
enum qn_err billing_seats(const struct price *price, int64_t seats, int64_t *ret_quantity,
    int64_t *ret_more) QN_MUST_CHECK;

#endif
