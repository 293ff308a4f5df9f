/* The user as pages see him: Cue's (CONTRACT C8-C10), and the session of FlowScope's (E15). */
#include <string.h>

#include "quoin/store/organization.h"
#include "signin.h"

struct profile {
	const char *id, *email, *first_name, *last_name, *profile_image_url, *company_name,
	    *industry, *role, *usage_purpose;
	qn_time created_at, updated_at;
};

#define TEXT(name, most, doc) QN_FIELD(struct profile, name, STR, QN_F_NULLABLE, 0, most, doc)

static const struct qn_field profile_fields[] = {
    QN_FIELD(struct profile, id, STR, 0, 0, 0, "Id of the user."),
    TEXT(email, 320, "Address."),
    TEXT(first_name, 100, "Given name."),
    TEXT(last_name, 100, "Family name."),
    TEXT(profile_image_url, 2000, "Picture."),
    TEXT(company_name, 200, "Company."),
    TEXT(industry, 100, "Industry."),
    TEXT(role, 100, "Role in the company."),
    TEXT(usage_purpose, 500, "What the product is used for."),
    QN_FIELD(struct profile, created_at, TIME, 0, 0, 0, "When the account was made."),
    QN_FIELD(struct profile, updated_at, TIME, 0, 0, 0, "When it was last changed."),
};
static const struct qn_object profile_object =
    QN_OBJECT("CueProfile", struct profile, profile_fields);

/* What may be changed, and nothing else (T19). */
struct change {
	const char *first_name, *last_name, *company_name, *industry, *role, *usage_purpose,
	    *profile_image_url;
};

static const struct qn_field change_fields[] = {
    QN_FIELD(struct change, first_name, STR, 0, 0, 100, "Given name."),
    QN_FIELD(struct change, last_name, STR, 0, 0, 100, "Family name."),
    QN_FIELD(struct change, company_name, STR, 0, 0, 200, "Company."),
    QN_FIELD(struct change, industry, STR, 0, 0, 100, "Industry."),
    QN_FIELD(struct change, role, STR, 0, 0, 100, "Role in the company."),
    QN_FIELD(struct change, usage_purpose, STR, 0, 0, 500, "What the product is used for."),
    QN_FIELD(struct change, profile_image_url, STR, 0, 0, 2000, "Picture: https, or empty."),
};
static const struct qn_object change_object =
    QN_OBJECT("CueProfileChange", struct change, change_fields);

static enum qn_err shown(struct qn_request *r, const struct account *who)
{
	struct profile *out = qn_new(r->arena, struct profile);

	*out = (struct profile){
	    .id = qn_printf(r->arena, "%s%s", r->who.app->id_prefix, who->id),
	    .email = who->email,
	    .first_name = who->first_name,
	    .last_name = who->last_name,
	    .profile_image_url = who->avatar_url,
	    .company_name = who->company_name,
	    .industry = who->industry,
	    .role = who->job_role,
	    .usage_purpose = who->usage_purpose,
	    .created_at = who->created_at,
	    .updated_at = who->updated_at,
	};
	return qn_reply(r, out);
}

static enum qn_err show(struct qn_request *r)
{
	struct account who;

	QN_TRY(account_by_id(r->db, r->arena, r->who.app->id, r->who.user_id, &who));
	return shown(r, &who);
}

/* Pages put it where a browser follows it. */
static enum qn_err check_picture(struct qn_request *r, const char *url)
{
	if (url == NULL || url[0] == '\0' || strncmp(url, "https://", 8) == 0 ||
	    strncmp(url, "http://", 7) == 0)
		return QN_OK;
	qn_fault_add(r, "body", "profile_image_url", "This must be an https address.", "url");
	return QN_INVALID;
}

static enum qn_err change(struct qn_request *r)
{
	const struct change *in = r->in;
	struct account set = {.first_name = in->first_name,
	    .last_name = in->last_name,
	    .avatar_url = in->profile_image_url,
	    .company_name = in->company_name,
	    .industry = in->industry,
	    .job_role = in->role,
	    .usage_purpose = in->usage_purpose};
	struct account who;

	if (set.first_name == NULL && set.last_name == NULL && set.avatar_url == NULL &&
	    set.company_name == NULL && set.industry == NULL && set.job_role == NULL &&
	    set.usage_purpose == NULL)
		return QN_NO_FIELDS;
	QN_TRY(check_picture(r, in->profile_image_url));
	QN_TRY(account_set_profile(r->db, r->arena, r->who.app->id, r->who.user_id, &set, &who));
	return shown(r, &who);
}

/* session */

enum { ORGANIZATIONS = 100 };

struct session_view {
	const char *id, *email, *name, *image, *tier;
	struct qn_list organizations;
};

static const struct qn_field session_fields[] = {
    QN_FIELD(struct session_view, id, STR, 0, 0, 0, "Id of the user."),
    QN_FIELD(struct session_view, email, STR, QN_F_NULLABLE, 0, 320, "Address."),
    QN_FIELD(struct session_view, name, STR, QN_F_NULLABLE, 0, 200, "Shown name."),
    QN_FIELD(struct session_view, image, STR, QN_F_NULLABLE, 0, 2000, "Picture."),
    QN_FIELD(struct session_view, tier, STR, 0, 0, 0, "The plan, in the app's spelling."),
    QN_FIELD_SUB(struct session_view, organizations, LIST, 0, &organization_item_object,
	"The first hundred that the user is a member of."),
};
static const struct qn_object session_view_object =
    QN_OBJECT("SessionView", struct session_view, session_fields);

static enum qn_err session_show(struct qn_request *r)
{
	struct session_view *out = qn_new(r->arena, struct session_view);
	struct account who;

	QN_TRY(account_by_id(r->db, r->arena, r->who.app->id, r->who.user_id, &who));
	QN_TRY(organization_list(r->db, r->arena, r->who.app->id, r->who.user_id,
	    (struct page){NULL, ORGANIZATIONS}, &out->organizations));
	struct organization *o = (struct organization *)(uintptr_t)out->organizations.items;
	for (size_t i = 0; i < out->organizations.n; i++)
		o[i].tier = api_shown_tier(r, o[i].plan);
	out->id = qn_printf(r->arena, "%s%s", r->who.app->id_prefix, who.id);
	out->email = who.email;
	out->name = who.display_name;
	out->image = who.avatar_url;
	out->tier = api_shown_tier(r, who.plan);
	return qn_reply(r, out);
}

#define CUE .pool = QN_POOL_API, .auth = QN_AUTH_USER, .rate = QN_RATE_ACCOUNT

static const struct qn_route routes[] = {
    {QN_GET, "/api/auth/user", "profile.show", "Show the caller, as Cue's pages want it.", CUE,
	.flags = QN_R_CAMEL, .reply = &profile_object, .handler = show},
    {QN_PUT, "/api/auth/profile", "profile.change", "Change what the caller says of himself.", CUE,
	.flags = QN_R_CAMEL | QN_R_PICK, .body = &change_object, .body_max = 32768,
	.reply = &profile_object, .errors = {QN_NO_FIELDS}, .handler = change},
    {QN_GET, "/api/v1/auth/session", "profile.session",
	"Show the caller with his plan and organizations.", CUE, .reply = &session_view_object,
	.handler = session_show},
    {QN_POST, "/api/auth/logout", "profile.logout", "End this session.", CUE,
	.flags = QN_R_UNKEPT | QN_R_ONE_FACTOR, .reply = &api_message_object,
	.handler = api_logout},
};
API_TABLE(profile_table, routes);
