/*
 * The versioned-document core (DESIGN §6, CONTRACT K11): graphs are documents of kind "graph". What a
 * caller may see or change is part of each statement; what is not there for him is QN_NOT_FOUND, and
 * the caller of these functions knows what to call it.
 */
#ifndef QUOIN_STORE_DOCUMENT_H
#define QUOIN_STORE_DOCUMENT_H

#include "quoin/store/workspace.h"

struct document {
	const char *id, *workspace_id, *name;
	struct qn_span data; /* as it was sent, byte for byte */
	int64_t version;
	const char *tag; /* of all that a reply shows of it, without quotes */
	qn_tri is_public;
	const char *permission; /* of a share: read, write, admin */
	qn_time created_at, updated_at;
};

struct document_version {
	int64_t version, size;
	const char *commit_message, *created_by, *sha256;
	struct qn_span data;
	qn_time created_at;
};

extern const struct qn_object document_item_object, document_shared_object, document_made_object,
    document_saved_object, document_object, version_item_object, version_object;

/* Who asks for what. */
struct document_ref {
	const char *app, *user, *kind, *id;
};

struct document_save {
	const char *name;    /* NULL: as it is */
	struct qn_span data; /* absent: as it is */
	const char *message;
	const char *bases; /* versions that may have been edited, "{7,3}"; NULL: any */
	const char *tags;  /* of which the present one must be, "{v7,v3.1}"; NULL: any */
	qn_tri is_public;
};

/* QN_WORKSPACE_NOT_FOUND when the workspace is not there for the user. */
enum qn_err document_list(struct qn_db *db, struct qn_arena *a, const struct document_ref *who,
    const char *workspace, struct page page, struct qn_list *ret) QN_MUST_CHECK;
enum qn_err document_list_own(struct qn_db *db, struct qn_arena *a, const struct document_ref *who,
    struct page page, struct qn_list *ret) QN_MUST_CHECK;
enum qn_err document_list_shared(struct qn_db *db, struct qn_arena *a,
    const struct document_ref *who, struct page page, struct qn_list *ret) QN_MUST_CHECK;
enum qn_err document_create(struct qn_db *db, struct qn_arena *a, const struct document_ref *who,
    const char *workspace, const struct document_save *in, struct document *ret) QN_MUST_CHECK;
enum qn_err document_by_id(struct qn_db *db, struct qn_arena *a, const struct document_ref *ref,
    struct document *ret) QN_MUST_CHECK;
/* For anyone, when the document is public; ref->user is not looked at. */
enum qn_err document_public(struct qn_db *db, struct qn_arena *a, const struct document_ref *ref,
    struct document *ret) QN_MUST_CHECK;
/* ret->id, ->version and ->tag. QN_DENIED, QN_VERSION_CONFLICT (they are of the present one),
 * QN_PRECONDITION_REQUIRED. Data equal to the present makes no version. */
enum qn_err document_save(struct qn_db *db, struct qn_arena *a, const struct document_ref *ref,
    const struct document_save *in, struct document *ret) QN_MUST_CHECK;
/* With `tags` as above. */
enum qn_err document_restore(struct qn_db *db, struct qn_arena *a, const struct document_ref *ref,
    int64_t version, const char *tags, struct document *ret) QN_MUST_CHECK;
enum qn_err document_delete(struct qn_db *db, struct qn_arena *a, const struct document_ref *ref,
    const char *tags, struct document *ret) QN_MUST_CHECK;

/* The superseded ones, newest first; each carries the message of the save that superseded it (A18, A20). */
enum qn_err version_list(struct qn_db *db, struct qn_arena *a, const struct document_ref *ref,
    int64_t below, int64_t limit, struct qn_list *ret) QN_MUST_CHECK;
/* Any one of them, the present one too; QN_VERSION_NOT_FOUND. */
enum qn_err version_get(struct qn_db *db, struct qn_arena *a, const struct document_ref *ref,
    int64_t version, struct document_version *ret) QN_MUST_CHECK;

#endif
