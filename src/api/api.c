#include "api.h"

static const struct qn_field success_fields[] = {
    QN_FIELD(struct api_success, success, BOOL, 0, 0, 0, "Always true."),
};
const struct qn_object api_success_object =
    QN_OBJECT("Success", struct api_success, success_fields);

enum qn_err api_success(struct qn_request *r)
{
	static const struct api_success yes = {1};

	return qn_reply(r, &yes);
}
