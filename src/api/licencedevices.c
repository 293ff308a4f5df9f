/* The machines that have a seat of a licence, and the leases of a floating one, for who looks after it (D18). */
#include "licences.h"

struct list_reply {
	struct qn_list devices;
};

static const struct qn_field list_fields[] = {
    QN_FIELD_SUB(
	struct list_reply, devices, LIST, 0, &licence_device_object, "The first comes first."),
};
static const struct qn_object list_object =
    QN_OBJECT("LicenseDeviceList", struct list_reply, list_fields);

struct one_reply {
	const struct licence_device *device;
};

static const struct qn_field one_fields[] = {
    QN_FIELD_SUB(struct one_reply, device, OBJ, 0, &licence_device_object, "The machine."),
};
static const struct qn_object one_object =
    QN_OBJECT("LicenseDeviceReply", struct one_reply, one_fields);

struct rename_in {
	const char *name;
};

static const struct qn_field rename_fields[] = {
    QN_FIELD(struct rename_in, name, STR, QN_F_REQUIRED, 1, 100, "Shown name."),
};
static const struct qn_object rename_object =
    QN_OBJECT("LicenseDeviceRename", struct rename_in, rename_fields);

struct leases_reply {
	struct qn_list leases;
};

static const struct qn_field leases_fields[] = {
    QN_FIELD_SUB(struct leases_reply, leases, LIST, 0, &licence_lease_object, "The oldest first."),
};
static const struct qn_object leases_object =
    QN_OBJECT("LicenseLeaseList", struct leases_reply, leases_fields);

static enum qn_err list(struct qn_request *r)
{
	const struct licence_who who = api_licence_who(r);
	struct list_reply *out = qn_new(r->arena, struct list_reply);

	QN_TRY(licence_devices(r->db, r->arena, &who, r->param[0], &out->devices));
	return qn_reply(r, out);
}

static enum qn_err rename_device(struct qn_request *r)
{
	const struct licence_who who = api_licence_who(r);
	const struct rename_in *in = r->in;
	struct one_reply *out = qn_new(r->arena, struct one_reply);
	struct licence_device *device = qn_new(r->arena, struct licence_device);
	struct qn_list any;

	QN_TRY(licence_devices(r->db, r->arena, &who, r->param[0], &any));
	QN_TRY(licence_device_rename(
	    r->db, r->arena, &who, r->param[0], r->param[1], in->name, device));
	out->device = device;
	return qn_reply(r, out);
}

static enum qn_err release(struct qn_request *r)
{
	const struct licence_who who = api_licence_who(r);
	struct licence licence;

	QN_TX(tx, r->db);
	QN_TRY(licence_by_id(r->db, r->arena, &who, r->param[0], &licence));
	QN_TRY(licence_release(
	    r->db, r->arena, &who, r->param[0], r->param[1], NULL, api_licence_by(r)));
	QN_TRY(qn_tx_commit(&tx));
	api_licence_changed(r, r->param[0]);
	return api_success(r);
}

static enum qn_err leases(struct qn_request *r)
{
	const struct licence_who who = api_licence_who(r);
	struct leases_reply *out = qn_new(r->arena, struct leases_reply);

	QN_TRY(licence_leases(r->db, r->arena, &who, r->param[0], &out->leases));
	return qn_reply(r, out);
}

#define ALL "/api/v1/licenses/{license_id}/devices"
#define ONE ALL "/{device_id}"

static const struct qn_route routes[] = {
    {QN_GET, ALL, "licence.devices", "List the machines that have a seat.", LICENCE_ONE,
	.reply = &list_object, .rate = QN_RATE_ACCOUNT, .handler = list},
    {QN_PUT, ONE, "licence.device-rename", "Name a machine.", LICENCE_ONE, .body = &rename_object,
	.body_max = 4096, .reply = &one_object, .errors = {QN_MACHINE_NOT_FOUND},
	.rate = QN_RATE_ACCOUNT, .handler = rename_device},
    {QN_DELETE, ONE, "licence.device-release", "Free a machine's seat.", LICENCE_ONE,
	.reply = &api_success_object, .errors = {QN_MACHINE_NOT_FOUND, QN_RELEASES},
	.rate = QN_RATE_ACCOUNT, .handler = release},
    {QN_GET, "/api/v1/licenses/{license_id}/leases", "licence.leases",
	"List the leases that are held.", LICENCE_ONE, .reply = &leases_object,
	.rate = QN_RATE_ACCOUNT, .handler = leases},
};
API_TABLE(licence_device_table, routes);
